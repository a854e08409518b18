//! `coreos.update` and `coreos.locksmith`: one drop-in of the updater's configuration.
//! The updater's crate says what its files mean.

use super::{Action, Builder, Input, Origin, Step};
use crate::cloudconfig::{At, NO_SERVER, Updates, Verb, Window, name_fault, server_fault};
use std::fmt::Write as _;

/// The updater's service.
const UPDATER: &str = "updater.service";
/// After CoreOS's own update.conf, which the updater reads as `50-update.conf`, and
/// before what an administrator would call `60-...`.
const PATH: &str = "/etc/holdfast/update.d/55-cloud-config.yaml";

/// Plans the drop-in. For each key the strongest wish that can be met counts.
pub(super) fn add(b: &mut Builder<'_>, inputs: &[&Input]) {
    let mut text = String::new();
    let mut first: Option<Origin> = None;
    let mut note = |origin: Origin| {
        let stronger = first.is_none_or(|f| (origin.sender, f.line) > (f.sender, origin.line));
        if stronger {
            first = Some(origin);
        }
    };
    if let Some((origin, at)) = strongest(inputs, |u| u.strategy.as_ref()) {
        note(origin);
        let _ = writeln!(text, "reboot-strategy: {}", at.value);
    }
    if let Some((origin, url)) = met(b, inputs, "server", |u| &u.server, server_fault) {
        note(origin);
        if url == NO_SERVER {
            text += "enabled: false\n";
        } else {
            // A string of JSON is one of YAML.
            let url = serde_json::Value::from(url);
            let _ = writeln!(text, "servers:\n  - {url}");
        }
    }
    if let Some((origin, name)) = met(b, inputs, "group", |u| &u.channel, name_fault) {
        note(origin);
        let _ = writeln!(text, "channel: {name}");
    }
    if let Some((origin, name)) = met(b, inputs, "locksmith group", |u| &u.group, name_fault) {
        note(origin);
        let _ = writeln!(text, "group: {name}");
    }
    if let Some((origin, at)) = strongest(inputs, |u| u.window.as_ref()) {
        note(origin);
        let Window {
            day,
            start: (hour, minute),
            minutes,
        } = at.value;
        text += "reboot-windows:\n";
        let _ = match day {
            Some(day) => writeln!(text, "  - days: [{day}]"),
            None => writeln!(text, "  - days: daily"),
        };
        let _ = writeln!(
            text,
            "    start: \"{hour:02}:{minute:02}\"\n    length: {minutes}m"
        );
    }
    let Some(origin) = first else { return };
    let text = format!(
        "# From `coreos.update` and `coreos.locksmith` of cloud-config, by oem.\n\
         # A file of a later name has the last word.\n{text}"
    );
    let file = Action::File {
        path: PATH.to_owned(),
        content: text.into_bytes(),
        mode: 0o644,
        owner: None,
    };
    b.push(format!("file {PATH}"), origin, file);
}

/// Plans that a running updater reads its files again.
pub(super) fn add_refresh(b: &mut Builder<'_>) {
    let path_of = |step: &Step| {
        let path = step.work.action().and_then(Action::path);
        path.filter(|p| is_ours(p)).map(str::to_owned)
    };
    let ours: Vec<(Origin, String)> = b
        .steps
        .iter()
        .filter_map(|s| Some((s.origin, path_of(s)?)))
        .collect();
    let Some((origin, _)) = ours.first() else {
        return;
    };
    let action = Action::Refresh {
        unit: UPDATER.to_owned(),
        verb: Verb::ReloadOrTryRestart,
        paths: ours.iter().map(|(_, p)| p.clone()).collect(),
    };
    b.push("updater reload", *origin, action);
}

/// Whether the updater reads the file at `path`.
fn is_ours(path: &str) -> bool {
    path.starts_with("/etc/holdfast/update.d/")
        || path.starts_with("/run/holdfast/update.d/")
        || ["/etc/coreos/update.conf", "/etc/flatcar/update.conf"].contains(&path)
}

fn strongest<'a, T>(
    inputs: &'a [&Input],
    pick: impl Fn(&'a Updates) -> Option<&'a At<T>>,
) -> Option<(Origin, &'a At<T>)> {
    inputs.iter().rev().find_map(|input| {
        let at = pick(&input.config.updates)?;
        Some((Origin::at(input.sender, at.spot), at))
    })
}

/// The strongest wish that is right once its placeholders are replaced.
fn met(
    b: &mut Builder<'_>,
    inputs: &[&Input],
    name: &str,
    pick: impl Fn(&Updates) -> &Option<At<String>>,
    fault: impl Fn(&str) -> Option<(String, &'static str)>,
) -> Option<(Origin, String)> {
    let resource = format!("updater {name}");
    for input in inputs.iter().rev() {
        let Some(at) = pick(&input.config.updates) else {
            continue;
        };
        let origin = Origin::at(input.sender, at.spot);
        let Some(text) = b.expand(&resource, origin, &at.value) else {
            continue;
        };
        match fault(&text) {
            None => return Some((origin, text)),
            Some((why, hint)) => b.skip(&resource, origin, why, Some(hint.to_owned())),
        }
    }
    None
}
