//! Scripts sent as user-data: each becomes a file and a runtime unit.

use super::{Action, Builder, Input, Origin, Sender};
use std::collections::BTreeMap;

/// A script's unit, to be started after everything else.
pub(super) struct Script {
    pub unit: String,
    pub origin: Origin,
    pub content: Vec<u8>,
}

/// Where scripts are kept: survives a reboot, and is never mounted noexec.
const DIR: &str = "/var/lib/oem/scripts";

/// Writes the scripts and their units; returns what to start.
pub(super) fn add(b: &mut Builder<'_>, inputs: &[Input]) -> Vec<Script> {
    let mut out = Vec::new();
    let mut numbers = BTreeMap::new();
    for input in inputs {
        if let Some(script) = &input.script {
            let number: &mut u32 = numbers.entry(input.layer.layer).or_default();
            *number += 1;
            let name = format!("{}-{number}", Sender::from(input.layer.layer));
            let origin = Origin {
                layer: input.layer,
                line: Some(1),
            };
            let resource = format!("script {name}");
            let content = match std::str::from_utf8(&script.content) {
                Ok(text) => match b.expand(&resource, origin, text) {
                    Some(text) => text.into_bytes(),
                    None => continue,
                },
                Err(_) => script.content.clone(),
            };
            let path = format!("{DIR}/{name}");
            let unit = format!("oem-script-{name}.service");
            let text = format!(
                "[Unit]\nDescription=Script of {name}\n\n[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart={path}\n"
            );
            b.push(
                resource,
                origin,
                Action::File {
                    path,
                    content: content.clone(),
                    mode: 0o700,
                    owner: None,
                },
            );
            let unit_path = format!("/run/systemd/system/{unit}");
            let file = Action::File {
                path: unit_path,
                content: text.into_bytes(),
                mode: 0o644,
                owner: None,
            };
            b.push(format!("unit {unit}"), origin, file);
            out.push(Script {
                unit,
                origin,
                content,
            });
        }
    }
    out
}
