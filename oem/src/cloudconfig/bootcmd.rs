//! `bootcmd`: commands in every boot, early.

use super::runcmd::{commands, push};
use super::schema::{COMMANDS, Section, key};
use super::tasks::{Frequency, Phase, Task};

pub(super) const SECTION: Section = Section {
    title: "Commands at every boot",
    keys: &[key(
        "bootcmd",
        COMMANDS,
        "commands, early in the boot: text is run by sh, a list is one command with its words",
    )
    .each(Frequency::Boot)],
    example: EXAMPLE,
    read: |f, config, r| {
        if let Some((spot, node)) = f.entry("bootcmd") {
            let body = commands(node, "bootcmd", r);
            let about = "Run `bootcmd`";
            let task = Task::shell("bootcmd", about, &body, Frequency::Boot, Phase::Early);
            push(config, spot, task, &body);
        }
    },
};

const EXAMPLE: &str = "\
bootcmd:
  - echo early > /run/early
  - [modprobe, br_netfilter]
";
