//! The configuration as the rest of the program uses it.

use std::time::Duration;

use super::merged::{Origin, unknown};
use super::{Key, Merged, Problem, Value, Window, text, window};
use crate::version::Version;

/// Checked configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Look for releases and install them without being asked.
    pub enabled: bool,
    /// Repositories, tried in order. Empty: nothing can be fetched.
    pub servers: Vec<String>,
    /// Channel to follow.
    pub channel: String,
    /// The only version to run, whatever the channel offers.
    pub pin: Option<String>,
    /// Who shares a rollout and a reboot lock.
    pub group: String,
    /// Time between two looks for a release.
    pub poll_interval: Duration,
    /// How long no repository may answer before that is told; none: for ever.
    pub stale_after: Option<Duration>,
    /// Bytes per second.
    pub rate_limit: Option<u64>,
    /// Proxy's URL.
    pub proxy: Option<String>,
    /// Longest wait for a healthy boot, checks and `boot-complete.target` together.
    pub health_timeout: Duration,
    /// Longest run of one check.
    pub health_check_timeout: Duration,
    /// Who decides about a reboot.
    pub strategy: Strategy,
    /// When it may happen; empty: at any time.
    pub windows: Vec<Window>,
    /// How long before it users are told.
    pub warning: Duration,
}

/// Who decides about a reboot, apart from windows, inhibitors and holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Strategy {
    /// Nobody else.
    Reboot,
    /// The lock in etcd where etcd runs, else nobody.
    BestEffort,
    /// A lock in etcd.
    EtcdLock,
    /// A FleetLock server.
    FleetLock,
    /// An operator.
    Off,
}

impl Strategy {
    /// Every strategy.
    pub const ALL: [Strategy; 5] = [
        Strategy::Reboot,
        Strategy::BestEffort,
        Strategy::EtcdLock,
        Strategy::FleetLock,
        Strategy::Off,
    ];

    /// As it is written.
    pub fn name(self) -> &'static str {
        match self {
            Strategy::Reboot => "reboot",
            Strategy::BestEffort => "best-effort",
            Strategy::EtcdLock => "etcd-lock",
            Strategy::FleetLock => "fleet-lock",
            Strategy::Off => "off",
        }
    }
}

impl Default for Config {
    fn default() -> Self {
        Config {
            enabled: true,
            servers: Vec::new(),
            channel: "stable".to_owned(),
            pin: None,
            group: "default".to_owned(),
            poll_interval: Duration::from_secs(45 * 60),
            stale_after: Some(Duration::from_secs(7 * 86_400)),
            rate_limit: None,
            proxy: None,
            health_timeout: Duration::from_secs(600),
            health_check_timeout: Duration::from_secs(60),
            strategy: Strategy::Reboot,
            windows: Vec::new(),
            warning: Duration::from_secs(300),
        }
    }
}

impl Config {
    /// Checks every key. A value that is wrong is a problem and its default is used,
    /// but with a wrong `enabled` or `pin` nothing is installed unasked.
    pub(super) fn from_merged(merged: &Merged, problems: &mut Vec<Problem>) -> Self {
        let mut config = Config::default();
        for (key, origin) in &merged.keys {
            if let Err(problem) = config.set(*key, origin) {
                // Neither must be forgotten because of a typing error.
                if matches!(key, Key::Enabled | Key::Pin) {
                    config.enabled = false;
                }
                problems.push(problem);
            }
        }
        config
    }

    fn set(&mut self, key: Key, origin: &Origin) -> Result<(), Problem> {
        let minutes = |n: u64| Duration::from_secs(60 * n);
        let second = Duration::from_secs(1);
        let day = minutes(24 * 60);
        match key {
            Key::Enabled => self.enabled = boolean(origin)?,
            Key::Servers => self.servers = servers(origin)?,
            Key::Channel => self.channel = name(origin)?,
            Key::Pin => self.pin = optional(origin, version)?,
            Key::Group => self.group = name(origin)?,
            Key::PollInterval => self.poll_interval = span(origin, minutes(1), 7 * day)?,
            Key::StaleAfter => {
                self.stale_after = optional(origin, |o, _| span(o, minutes(60), 365 * day))?;
            }
            Key::RateLimit => self.rate_limit = optional(origin, rate)?,
            Key::Proxy => self.proxy = optional(origin, |o, text| url(o, text, &PROXIES))?,
            Key::HealthTimeout => self.health_timeout = span(origin, 10 * second, day)?,
            Key::HealthCheckTimeout => self.health_check_timeout = span(origin, second, day)?,
            Key::RebootStrategy => self.strategy = strategy(origin)?,
            Key::RebootWindows => self.windows = window::read(origin)?,
            Key::RebootWarning => self.warning = span(origin, Duration::ZERO, day)?,
        }
        Ok(())
    }
}

const SERVERS: [&str; 3] = ["https", "http", "file"];
const PROXIES: [&str; 3] = ["http", "https", "socks5"];

impl Origin {
    pub(super) fn wrong(&self, message: impl Into<String>) -> Problem {
        Problem::new(&self.file, self.spot, message)
    }

    pub(super) fn text(&self) -> Result<&str, Problem> {
        match &self.value {
            Value::Text(text) => Ok(text),
            Value::List(_) => Err(self.wrong("a single value is needed here, not a list")),
            Value::Map(_) => Err(self.wrong("a single value is needed here, not a mapping")),
        }
    }

    /// The items of a list, each as if it stood alone.
    pub(super) fn items(&self) -> Result<Vec<Origin>, Problem> {
        let Value::List(items) = &self.value else {
            return Err(self.wrong("a list is needed here"));
        };
        let alone = |(spot, value): &(_, Value)| Origin {
            file: self.file.clone(),
            spot: *spot,
            value: value.clone(),
        };
        Ok(items.iter().map(alone).collect())
    }
}

fn boolean(origin: &Origin) -> Result<bool, Problem> {
    match origin.text()? {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => Err(origin.wrong("must be true or false")),
    }
}

/// What [`is_name`] asks for, in words.
pub const NAME_RULE: &str =
    "1 to 64 letters, digits, dots, dashes and underscores; a letter or digit first";

/// Whether a text can be the name of a channel or a group: it becomes part of a path and
/// of a lock's key.
pub fn is_name(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    (1..=64).contains(&text.len())
        && text.chars().all(plain)
        && text.starts_with(|c: char| c.is_ascii_alphanumeric())
}

fn name(origin: &Origin) -> Result<String, Problem> {
    let text = origin.text()?;
    if is_name(text) {
        Ok(text.to_owned())
    } else {
        Err(origin.wrong("is not a name").hint(NAME_RULE))
    }
}

fn span(origin: &Origin, least: Duration, most: Duration) -> Result<Duration, Problem> {
    let Some(duration) = text::duration(origin.text()?) else {
        return Err(origin
            .wrong("is not a duration")
            .hint("write it as 90s, 45m, 1h30m or 2d"));
    };
    if (least..=most).contains(&duration) {
        return Ok(duration);
    }
    Err(origin.wrong(format!(
        "must be between {} and {}",
        text::in_words(least.as_secs()),
        text::in_words(most.as_secs())
    )))
}

fn optional<T>(
    origin: &Origin,
    read: impl Fn(&Origin, &str) -> Result<T, Problem>,
) -> Result<Option<T>, Problem> {
    match origin.text()? {
        "none" => Ok(None),
        text => read(origin, text).map(Some),
    }
}

fn version(origin: &Origin, text: &str) -> Result<String, Problem> {
    match text.parse::<Version>() {
        Ok(version) => Ok(version.to_string()),
        Err(e) => Err(origin.wrong(format!("is not a version: {e}"))),
    }
}

fn rate(origin: &Origin, text: &str) -> Result<u64, Problem> {
    match text::size(text) {
        Some(rate) if rate >= 1024 => Ok(rate),
        _ => Err(origin
            .wrong("must be at least 1KiB of bytes per second, or none")
            .hint("write it as 512KiB or 10MiB")),
    }
}

fn strategy(origin: &Origin) -> Result<Strategy, Problem> {
    let text = origin.text()?;
    let all = Strategy::ALL;
    all.into_iter()
        .find(|s| s.name() == text)
        // YAML writers who think of booleans.
        .or((text == "false").then_some(Strategy::Off))
        .ok_or_else(|| unknown(&origin.file, origin.spot, text, all.map(Strategy::name)))
}

fn servers(origin: &Origin) -> Result<Vec<String>, Problem> {
    let items = origin.items()?;
    items
        .iter()
        .map(|item| url(item, item.text()?, &SERVERS))
        .collect()
}

fn url(origin: &Origin, text: &str, schemes: &[&str]) -> Result<String, Problem> {
    let url = reqwest::Url::parse(text).map_err(|e| origin.wrong(format!("is not a URL: {e}")))?;
    if !schemes.contains(&url.scheme()) {
        let all = schemes.join("://, ");
        return Err(origin.wrong(format!("must start with one of: {all}://")));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(origin.wrong("must have no `?` and no `#`"));
    }
    Ok(text.trim_end_matches('/').to_owned())
}
