//! `bootcmd`: commands in every boot, early.

use super::runcmd::{commands, push};
use super::schema::{Section, key};
use super::tasks::{Frequency, Phase, Task};

pub(super) const SECTION: Section = Section {
    keys: &[key(
        "bootcmd",
        "list of text or of lists",
        "commands run in every boot, early: text by sh, a list as it is",
    )],
    read: |f, config, r| {
        if let Some((spot, node)) = f.entry("bootcmd") {
            let body = commands(node, "bootcmd", r);
            let about = "Run `bootcmd`";
            let task = Task::shell("bootcmd", about, &body, Frequency::Boot, Phase::Early);
            push(config, spot, task, &body);
        }
    },
};
