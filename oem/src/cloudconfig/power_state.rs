//! `power_state`: power off or reboot when all is done, once on an instance.

use super::CloudConfig;
use super::node::Kind;
use super::read::{Fields, Reader};
use super::runcmd::commands;
use super::schema::Type::{As, Either, Flag, List, Number, Table, Text, Word};
use super::schema::{Section, key};
use super::shell::quote;
use super::tasks::{Frequency, Phase, Task};

const MODES: &[&str] = &["poweroff", "reboot", "halt"];

pub(super) const SECTION: Section = Section {
    title: "Power state",
    keys: &[
        key("power_state", Table, "power off or reboot when all is done").each(Frequency::Instance),
        key("power_state.mode", Word(MODES), "what to do").required(),
        key(
            "power_state.delay",
            As("`now` or minutes"),
            "default now; `+5` is in five minutes",
        ),
        key(
            "power_state.message",
            Text,
            "what users who are logged in are told",
        ),
        key(
            "power_state.timeout",
            Number,
            "tasks before it are waited for",
        )
        .accepted(),
        key(
            "power_state.condition",
            Either(&[Flag, Text, List(&Text)]),
            "a command that must end with 0",
        ),
    ],
    example: EXAMPLE,
    read,
};

const EXAMPLE: &str = r#"power_state:
  mode: reboot
  delay: "+1"
  message: a moment, please
  condition: test -e /run/reboot-me
  timeout: 30
"#;

fn read(f: &Fields<'_>, config: &mut CloudConfig, r: &mut Reader) {
    let Some((spot, node)) = f.entry("power_state") else {
        return;
    };
    let Some(f) = r.table(node, "power_state", SECTION.keys, "power_state.") else {
        return;
    };
    if f.get("mode").is_none() {
        let hint = format!("one of {}", MODES.join(", "));
        r.error(f.spot, "power_state", "needs a `mode`", &hint);
        return;
    }
    let flag = match f.word("mode", MODES, "unknown mode", r) {
        Some("poweroff") => "-P",
        Some("reboot") => "-r",
        Some(_) => "-H",
        None => return,
    };
    let delay = match f.line("delay", r) {
        None => "now".to_owned(),
        Some(text) if text.value == "now" => text.value,
        Some(text) => match text.value.trim_start_matches('+').parse::<u32>() {
            Ok(n) => format!("+{n}"),
            Err(_) => {
                r.error(
                    text.spot,
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
