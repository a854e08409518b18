//! `power_state`: power off or reboot when all is done, once on an instance.

use super::CloudConfig;
use super::node::Kind;
use super::read::{Fields, Reader};
use super::runcmd::commands;
use super::schema::{Section, key};
use super::shell::quote;
use super::tasks::{Frequency, Phase, Task};

pub(super) const SECTION: Section = Section {
    keys: &[
        key(
            "power_state",
            "mapping",
            "power off or reboot when all is done",
        ),
        key(
            "power_state.mode",
            "poweroff|reboot|halt, required",
            "what to do",
        ),
        key(
            "power_state.delay",
            "now or minutes",
            "default now; `+5` is in five minutes",
        ),
        key(
            "power_state.message",
            "text",
            "what users who are logged in are told",
        ),
        key(
            "power_state.timeout",
            "number",
            "accepted; tasks before it are waited for",
        ),
        key(
            "power_state.condition",
            "true|false or command",
            "a command that must end with 0",
        ),
    ],
    read,
};

fn read(f: &Fields<'_>, config: &mut CloudConfig, r: &mut Reader) {
    let Some((spot, node)) = f.entry("power_state") else {
        return;
    };
    let Some(f) = r.table(node, "power_state", SECTION.keys, "power_state.") else {
        return;
    };
    let flag = match f.line("mode", r).map(|m| m.value) {
        Some(m) if m == "poweroff" => "-P",
        Some(m) if m == "reboot" => "-r",
        Some(m) if m == "halt" => "-H",
        _ => {
            r.error(
                f.spot,
                "power_state.mode",
                "unknown mode",
                "poweroff, reboot or halt",
            );
            return;
        }
    };
    let delay = match f.line("delay", r).map(|d| d.value) {
        None => "now".to_owned(),
        Some(text) if text == "now" => text,
        Some(text) => match text.trim_start_matches('+').parse::<u32>() {
            Ok(n) => format!("+{n}"),
            Err(_) => {
                r.error(
                    f.spot,
                    "power_state.delay",
                    "not a delay",
                    "`now`, or minutes as `+5`",
                );
                return;
            }
        },
    };
    let mut body = String::new();
    if let Some(n) = f.get("condition") {
        let word = match &n.kind {
            Kind::Scalar { text, .. } => text.to_ascii_lowercase(),
            _ => String::new(),
        };
        match word.as_str() {
            "true" | "yes" | "on" => {}
            "false" | "no" | "off" => return,
            _ => {
                // A list is one command, with its words; not a list of commands.
                let command = match &n.kind {
                    Kind::Seq(_) => {
                        let words = r.lines(n, "power_state.condition");
                        let words: Vec<String> = words.iter().map(|w| quote(&w.value)).collect();
                        words.join(" ") + "\n"
                    }
                    _ => commands(n, "power_state.condition", r),
                };
                body += &format!("(\n{command}) || exit 0\n");
            }
        }
    }
    let message = f
        .line("message", r)
        .map(|m| quote(&m.value))
        .unwrap_or_default();
    body += format!("exec shutdown {flag} {delay} {message}").trim_end();
    body.push('\n');
    let about = "Power off or reboot, as asked for";
    let task = Task::shell(
        "power-state",
        about,
        &body,
        Frequency::Instance,
        Phase::Last,
    );
    config.tasks.push(task.at(spot));
}
