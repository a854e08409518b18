//! `coreos.update` and `coreos.locksmith`: what the updater of this system is to do,
//! in CoreOS's words.

use super::diag::At;
use super::node::Node;
use super::read::{Fields, Reader, shorten, suggest};
use super::schema::Type::{As, Table, Text, Word};
use super::schema::{Fate, Key, Section, key};

/// Wishes about updates. Texts may still have placeholders in them, but those of
/// `strategy` and `window`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Updates {
    /// `coreos.update.reboot_strategy`.
    pub strategy: Option<At<&'static str>>,
    /// `coreos.update.group`: a channel, in this system's words.
    pub channel: Option<At<String>>,
    /// `coreos.update.server`.
    pub server: Option<At<String>>,
    /// `coreos.locksmith.group`: who shares a reboot lock.
    pub group: Option<At<String>>,
    /// `coreos.locksmith.window_start` and `window_length`.
    pub window: Option<At<Window>>,
}

/// When reboots may happen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Window {
    /// `mon`..`sun`; every day if absent.
    pub day: Option<&'static str>,
    /// Time of day, UTC.
    pub start: (u32, u32),
    /// Minutes; at most up to when it opens again.
    pub minutes: u64,
}

/// What [`Updates::server`] is where there are to be no updates.
pub const NO_SERVER: &str = "disabled";

pub(super) const UPDATE: Section = Section {
    title: "Updates",
    keys: &[
        key(
            "coreos.update",
            Table,
            "what the updater takes, and when it reboots",
        ),
        key(
            "coreos.update.reboot_strategy",
            Word(&STRATEGIES),
            "who decides about a reboot into an update",
        ),
        key(
            "coreos.update.group",
            Text,
            "the channel whose releases are taken",
        ),
        key(
            "coreos.update.server",
            As("URL or `disabled`"),
            "the repository of releases",
        ),
    ],
    example: UPDATE_EXAMPLE,
    read: |coreos, config, r| {
        if let Some(n) = coreos.get("update") {
            read_update(n, &mut config.updates, r);
        }
    },
};

const UPDATE_EXAMPLE: &str = "\
coreos:
  update:
    reboot_strategy: reboot
    group: stable
    server: https://updates.example.org/shop
";

pub(super) const LOCKSMITH: Section = Section {
    title: "Reboot windows",
    keys: &[
        key("coreos.locksmith", Table, "when the updater may reboot"),
        key(
            "coreos.locksmith.window_start",
            As("`[Day ]HH:MM`"),
            "when a reboot may happen; UTC",
        ),
        key(
            "coreos.locksmith.window_length",
            As("duration"),
            "for how long, e.g. `1h30m`",
        ),
        key(
            "coreos.locksmith.group",
            Text,
            "machines that share a rollout and a reboot lock",
        ),
        etcd_field("coreos.locksmith.endpoint"),
        etcd_field("coreos.locksmith.etcd_cafile"),
        etcd_field("coreos.locksmith.etcd_certfile"),
        etcd_field("coreos.locksmith.etcd_keyfile"),
        etcd_field("coreos.locksmith.etcd_username"),
        etcd_field("coreos.locksmith.etcd_password"),
    ],
    example: LOCKSMITH_EXAMPLE,
    read: |coreos, config, r| {
        if let Some(n) = coreos.get("locksmith") {
            read_locksmith(n, &mut config.updates, r);
        }
    },
};

const LOCKSMITH_EXAMPLE: &str = "\
coreos:
  locksmith:
    window_start: Thu 04:00
    window_length: 1h30m
    group: shop
";

const fn etcd_field(name: &'static str) -> Key {
    key(name, Text, "no lock is taken in etcd before a reboot").not_applied()
}

const STRATEGIES: [&str; 4] = ["reboot", "best-effort", "etcd-lock", "off"];
const DAYS: [(&str, &str); 7] = [
    ("mon", "monday"),
    ("tue", "tuesday"),
    ("wed", "wednesday"),
    ("thu", "thursday"),
    ("fri", "friday"),
    ("sat", "saturday"),
    ("sun", "sunday"),
];
const DAY: u64 = 24 * 60;
/// Servers that CoreOS's and Flatcar's users have in their files.
const FOREIGN: [&str; 4] = [
    "public.update.core-os.net",
    "public.update.flatcar-linux.net",
    "update.release.core-os.net",
    "update.release.flatcar-linux.net",
];

/// Reads `coreos.update`.
fn read_update(node: &Node, out: &mut Updates, r: &mut Reader) {
    let Some(f) = r.table(node, "coreos.update", UPDATE.keys, "coreos.update.") else {
        return;
    };
    if let Some(word) = text(&f, "reboot_strategy", r) {
        out.strategy = strategy(&word, r);
    }
    out.channel = text(&f, "group", r).filter(|name| {
        let fault = unless_placeholder(&name.value, name_fault);
        good(name, &f.key("group"), fault, r)
    });
    out.server = text(&f, "server", r).filter(|url| {
        let key = f.key("server");
        if is_foreign(&url.value) {
            r.warn(
                url.spot,
                &key,
                "speaks CoreOS's protocol and has no releases of this system; not applied",
                "name a repository that `image-build publish` made, or leave `server` out",
            );
            return false;
        }
        let fault = unless_placeholder(&url.value, server_fault);
        good(url, &key, fault, r)
    });
}

/// Reads `coreos.locksmith`.
fn read_locksmith(node: &Node, out: &mut Updates, r: &mut Reader) {
    let prefix = "coreos.locksmith.";
    let Some(f) = r.table(node, "coreos.locksmith", LOCKSMITH.keys, prefix) else {
        return;
    };
    let unmet = |name: &str| {
        let mut keys = LOCKSMITH.keys.iter();
        keys.any(|k| k.fate == Fate::NotApplied && k.name.strip_prefix(prefix) == Some(name))
    };
    for (name, spot, _) in f.iter().filter(|(name, ..)| unmet(name)) {
        r.warn(
            spot,
            &f.key(name),
            "not applied: this version takes no lock in etcd before a reboot",
            "use `window_start` and `window_length` to keep reboots apart",
        );
    }
    out.group = text(&f, "group", r).filter(|name| {
        let fault = unless_placeholder(&name.value, name_fault);
        good(name, &f.key("group"), fault, r)
    });
    let start = text(&f, "window_start", r);
    let length = text(&f, "window_length", r);
    match (start, length) {
        (Some(start), Some(length)) => out.window = window(&f, &start, &length, r),
        (Some(one), None) | (None, Some(one)) => r.error(
            one.spot,
            &f.path,
            "a reboot window needs both `window_start` and `window_length`",
            "",
        ),
        (None, None) => {}
    }
}

/// A line that is there and not empty; CoreOS took empty ones as absent.
fn text(f: &Fields<'_>, name: &str, r: &mut Reader) -> Option<At<String>> {
    let line = r.line(f.get(name)?, &f.key(name))?;
    if line.value.is_empty() {
        r.warn(line.spot, &f.key(name), "is empty; not applied", "");
        return None;
    }
    Some(line)
}

fn good(
    text: &At<String>,
    key: &str,
    fault: Option<(String, &'static str)>,
    r: &mut Reader,
) -> bool {
    if let Some((why, hint)) = &fault {
        r.error(text.spot, key, why.clone(), hint);
    }
    fault.is_none()
}

/// With a placeholder inside, only the final value can be judged.
fn unless_placeholder<T>(text: &str, fault: impl Fn(&str) -> Option<T>) -> Option<T> {
    if text.contains('$') {
        None
    } else {
        fault(text)
    }
}

fn strategy(word: &At<String>, r: &mut Reader) -> Option<At<&'static str>> {
    let key = "coreos.update.reboot_strategy";
    // YAML writers who think of booleans write `off` as `false`.
    let lower = match word.value.to_ascii_lowercase().replace('_', "-") {
        word if word == "false" => "off".to_owned(),
        word => word,
    };
    let Some(value) = STRATEGIES.into_iter().find(|s| *s == lower) else {
        let hint = match suggest(&lower, &STRATEGIES) {
            Some(meant) => format!("did you mean `{meant}`?"),
            None => format!("one of {}", STRATEGIES.join(", ")),
        };
        let why = format!("{:?} is not a strategy", shorten(&word.value));
        r.error(word.spot, key, why, &hint);
        return None;
    };
    if value == "etcd-lock" {
        r.warn(
            word.spot,
            key,
            "this version takes no lock in etcd: updates are installed, and the reboot is left to you",
            "use `reboot` with a window in `coreos.locksmith` for reboots by themselves",
        );
    }
    Some(At {
        spot: word.spot,
        value,
    })
}

fn window(
    f: &Fields<'_>,
    start: &At<String>,
    length: &At<String>,
    r: &mut Reader,
) -> Option<At<Window>> {
    let Some((day, time)) = start_of(&start.value) else {
        r.error(
            start.spot,
            &f.key("window_start"),
            format!("{:?} is not a time of day", shorten(&start.value)),
            "write it as `04:30`, or as `Thu 04:30`; UTC",
        );
        return None;
    };
    let longest = if day.is_some() { 7 * DAY } else { DAY };
    let minutes = go_minutes(&length.value).filter(|m| (1..=longest).contains(m));
    let Some(minutes) = minutes else {
        r.error(
            length.spot,
            &f.key("window_length"),
            format!(
                "{:?} is not a length of this window",
                shorten(&length.value)
            ),
            if day.is_some() {
                "write it as `1h30m`: whole minutes, at most a week"
            } else {
                "write it as `1h30m`: whole minutes, at most a day"
            },
        );
        return None;
    };
    Some(At {
        spot: start.spot,
        value: Window {
            day,
            start: time,
            minutes,
        },
    })
}

/// `[Day ]H:MM`.
fn start_of(text: &str) -> Option<(Option<&'static str>, (u32, u32))> {
    let (day, time) = match text.split_once(char::is_whitespace) {
        None => (None, text),
        Some((word, time)) => {
            let word = word.to_ascii_lowercase();
            let (short, _) = DAYS
                .into_iter()
                .find(|(short, long)| word == *short || word == *long)?;
            (Some(short), time.trim_start())
        }
    };
    let (hour, minute) = time.split_once(':')?;
    let number = |text: &str, most: u32| {
        let plain = (1..=2).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
        let number: u32 = plain.then(|| text.parse().ok()).flatten()?;
        (number <= most).then_some(number)
    };
    let minute = number(minute, 59).filter(|_| minute.len() == 2)?;
    Some((day, (number(hour, 23)?, minute)))
}

/// A duration as Go writes it (`1h30m`, `1.5h`, `90m`), in whole minutes.
fn go_minutes(text: &str) -> Option<u64> {
    const UNITS: [(&str, u64); 6] = [
        // Longest names first: `ms` is not `m` with something behind it.
        ("ms", 1_000_000),
        ("us", 1_000),
        ("ns", 1),
        ("s", 1_000_000_000),
        ("m", 60_000_000_000),
        ("h", 3_600_000_000_000),
    ];
    let mut rest = text.strip_prefix('+').unwrap_or(text);
    let mut sum: u64 = 0;
    while !rest.is_empty() {
        let end = rest.find(|c: char| c != '.' && !c.is_ascii_digit())?;
        let (whole, part) = match rest[..end].split_once('.') {
            None => (&rest[..end], ""),
            Some(parts) => parts,
        };
        rest = &rest[end..];
        let (name, unit) = UNITS.iter().find(|(name, _)| rest.starts_with(name))?;
        rest = &rest[name.len()..];
        if whole.is_empty() && part.is_empty() || part.len() > 9 {
            return None;
        }
        let digits = |text: &str| {
            if text.is_empty() {
                Some(0)
            } else {
                text.parse().ok()
            }
        };
        let (whole, fraction): (u64, u64) = (digits(whole)?, digits(part)?);
        let scale = 10u128.pow(u32::try_from(part.len()).ok()?);
        let fraction = u128::from(fraction) * u128::from(*unit) / scale;
        sum = sum
            .checked_add(whole.checked_mul(*unit)?)?
            .checked_add(u64::try_from(fraction).ok()?)?;
    }
    let minute = 60_000_000_000;
    (!text.is_empty() && sum.is_multiple_of(minute)).then_some(sum / minute)
}

/// What is wrong with the name of a channel or group, and what to do.
pub fn name_fault(name: &str) -> Option<(String, &'static str)> {
    let good = (1..=64).contains(&name.len())
        && name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b".-_".contains(&b));
    (!good).then(|| {
        (
            format!("{:?} is not a name", shorten(name)),
            "1 to 64 letters, digits, dots, dashes and underscores; a letter or digit first",
        )
    })
}

/// What is wrong with a server, and what to do.
pub fn server_fault(url: &str) -> Option<(String, &'static str)> {
    const HINT: &str = "write it as `https://updates.example.org/shop`, or `disabled`";
    if url == NO_SERVER {
        return None;
    }
    if is_foreign(url) {
        return Some((
            "speaks CoreOS's protocol and has no releases of this system".to_owned(),
            "name a repository that `image-build publish` made",
        ));
    }
    let wrong = |why: String| Some((why, HINT));
    match reqwest::Url::parse(url) {
        Err(e) => wrong(format!("{:?} is not a URL: {e}", shorten(url))),
        Ok(u) if !["https", "http", "file"].contains(&u.scheme()) => {
            wrong("must start with https://, http:// or file://".to_owned())
        }
        Ok(u) if u.query().is_some() || u.fragment().is_some() => {
            wrong("must have no `?` and no `#`".to_owned())
        }
        Ok(_) => None,
    }
}

/// Whether an Omaha server is meant.
fn is_foreign(url: &str) -> bool {
    reqwest::Url::parse(url).is_ok_and(|u| {
        u.host_str().is_some_and(|host| FOREIGN.contains(&host))
            || u.path().trim_end_matches('/').ends_with("/v1/update")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn go_durations() {
        for (text, minutes) in [
            ("1h", 60),
            ("1h30m", 90),
            ("1.5h", 90),
            ("90m", 90),
            ("+0.5h", 30),
            ("60s", 1),
            ("60000ms", 1),
        ] {
            assert_eq!(go_minutes(text), Some(minutes), "{text}");
        }
        for wrong in [
            "",
            "5",
            "h",
            ".h",
            "-1h",
            "90s",
            "1h 2m",
            "1d",
            "1µs",
            "99999999999999999999h",
        ] {
            assert_eq!(go_minutes(wrong), None, "{wrong}");
        }
        assert_eq!(go_minutes("0s"), Some(0));
    }

    #[test]
    fn starts_of_windows() {
        assert_eq!(start_of("Thu 23:00"), Some((Some("thu"), (23, 0))));
        assert_eq!(start_of("sunday  4:05"), Some((Some("sun"), (4, 5))));
        assert_eq!(start_of("0:00"), Some((None, (0, 0))));
        for wrong in [
            "", "24:00", "4", "4:5", "4:60", "Xyz 4:00", "Thu", ":30", "004:30",
        ] {
            assert_eq!(start_of(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn servers() {
        for url in [
            "https://a.example/x",
            "http://10.0.0.1:8080",
            "file:///media/usb",
            "disabled",
        ] {
            assert_eq!(server_fault(url), None, "{url}");
        }
        for url in [
            "a.example",
            "ftp://a",
            "https://a/?x",
            "https://a/#x",
            "http://a/v1/update/",
        ] {
            assert!(server_fault(url).is_some(), "{url}");
        }
    }

    proptest! {
        #[test]
        fn never_panics(text in ".{0,40}", go in "[0-9.hmsµun+-]{0,24}") {
            let _ = (start_of(&text), go_minutes(&text), go_minutes(&go));
            let _ = (name_fault(&text), server_fault(&text));
        }
    }
}
