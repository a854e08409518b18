//! `runcmd`: commands once on an instance, when the system is up.

use super::CloudConfig;
use super::diag::Spot;
use super::node::{Kind, Node};
use super::read::Reader;
use super::schema::{COMMANDS, Section, key};
use super::shell::quote;
use super::tasks::{Frequency, Phase, Task};

pub(super) const SECTION: Section = Section {
    title: "Commands on a new instance",
    keys: &[key(
        "runcmd",
        COMMANDS,
        "commands, late in the boot: text is run by sh, a list is one command with its words",
    )
    .each(Frequency::Instance)],
    example: EXAMPLE,
    read: |f, config: &mut CloudConfig, r| {
        if let Some((spot, node)) = f.entry("runcmd") {
            let body = commands(node, "runcmd", r);
            push(
                config,
                spot,
                Task::shell(
                    "runcmd",
                    "Run `runcmd`",
                    &body,
                    Frequency::Instance,
                    Phase::Late,
                ),
                &body,
            );
        }
    },
};

const EXAMPLE: &str = r#"runcmd:
  - echo "this is run by sh" > /run/greeting
  - [docker, run, -d, --restart=always, "nginx:stable"]
"#;

pub(super) fn push(config: &mut CloudConfig, spot: Spot, task: Task, body: &str) {
    if !body.is_empty() {
        config.tasks.push(task.at(spot));
    }
}

/// The commands as lines of one script, as cloud-init makes it: one that fails does
/// not stop the others, and what one sets or where it goes holds for the next.
pub(super) fn commands(node: &Node, path: &str, r: &mut Reader) -> String {
    let mut lines = String::new();
    let items = match &node.kind {
        // One text is a script.
        Kind::Scalar { .. } => {
            let text = r.string(node, path).map(|s| s.value).unwrap_or_default();
            return if text.trim().is_empty() {
                String::new()
            } else {
                format!("{}\n", text.trim_end())
            };
        }
        _ => r.list(node, path),
    };
    for (i, item) in items.iter().enumerate().filter(|(_, n)| !n.is_null()) {
        let path = format!("{path}[{i}]");
        match &item.kind {
            Kind::Scalar { .. } => {
                if let Some(text) = r.string(item, &path) {
                    lines += &format!("{}\n", text.value.trim_end());
                }
            }
            Kind::Seq(words) => {
                let mut line = Vec::new();
                for (j, word) in words.iter().enumerate() {
                    if let Some(word) = r.string(word, &format!("{path}[{j}]")) {
                        line.push(quote(&word.value));
                    }
                }
                if !line.is_empty() {
                    lines += &format!("{}\n", line.join(" "));
                }
            }
            Kind::Map(_) => r.error(
                item.spot,
                &path,
                "expected a command, found a mapping",
                "a `: ` in a command makes it a mapping: put the command in quotes",
            ),
        }
    }
    lines
}
