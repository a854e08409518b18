//! Programs to run: each becomes a file and a runtime unit, and the units run one
//! after the other. What is to run once leaves a mark, which the unit asks for.
//!
//! The mark is there before the program starts, as with cloud-init: commands that reboot
//! the machine must not do so for ever. In it is the boot; when the program ends, well or
//! not, or is stopped, another mark says so. One without the other, from an earlier boot,
//! is of a program that the power cut short. The agent's own that may be repeated are
//! (`phone_home`, `random_seed`, `ssh_deletekeys`); of all others that is told, for only
//! who wrote them knows whether half of them may be done twice.

use super::{Action, Builder, Input, Layer, Origin, Sender, hex};
use crate::cloudconfig::{At, Frequency, Phase, Task, Verb, environment};
use crate::userdata::{Script, When};
use sha2::{Digest as _, Sha256};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// Where programs are kept: survives a reboot, and is never mounted noexec.
const DIR: &str = "/var/lib/oem/scripts";
/// Marks of what ran once.
pub const ONCE: &str = "/var/lib/oem/done";
/// What late tasks wait for, once and for all of them: some network, but not forever.
const ONLINE: &str = "oem-online.service";
const ONLINE_TEXT: &str = "[Unit]
Description=Wait for the network, for what user-data run
After=systemd-networkd.service

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=-/usr/lib/systemd/systemd-networkd-wait-online --any --timeout=30
";
/// Another in each boot.
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";
/// Where cloud-init's users put programs, with how often they run.
const FOLDERS: [(&str, &str, Frequency); 3] = [
    (
        "scripts-per-once",
        "/var/lib/cloud/scripts/per-once",
        Frequency::Once,
    ),
    (
        "scripts-per-boot",
        "/var/lib/cloud/scripts/per-boot",
        Frequency::Boot,
    ),
    (
        "scripts-per-instance",
        "/var/lib/cloud/scripts/per-instance",
        Frequency::Instance,
    ),
];

/// A job that starts a task.
pub(super) struct Start {
    /// Before all other jobs.
    pub early: bool,
    /// Who asked for it, and the job.
    pub job: (Origin, Action),
}

/// A task with its names.
struct Named<'a> {
    task: Cow<'a, Task>,
    origin: Origin,
    /// Name of its program, and of the unit without `oem-` and type.
    name: String,
}

/// Plans programs and units; returns what to start, in order.
pub(super) fn add(b: &mut Builder<'_>, inputs: &[&Input]) -> Vec<Start> {
    let mut used = BTreeMap::new();
    let mut all: Vec<Named<'_>> = Vec::new();
    for input in inputs {
        of_input(input, &mut used, &mut all);
    }
    all.sort_by_key(|n| n.task.phase);
    if let Some(late) = all.iter().find(|n| n.task.phase != Phase::Early) {
        let action = Action::File {
            path: format!("/run/systemd/system/{ONLINE}"),
            content: ONLINE_TEXT.into(),
            mode: 0o644,
            owner: None,
        };
        b.push(format!("unit {ONLINE}"), late.origin, action);
    }
    let mut out = Vec::new();
    let mut before: Vec<String> = Vec::new();
    for named in &all {
        let Some((unit, hash)) = one(b, named, &before) else {
            continue;
        };
        before.push(unit.clone());
        out.push(Start {
            early: named.task.phase == Phase::Early,
            job: (
                named.origin,
                Action::Job {
                    unit,
                    verb: Verb::Start,
                    hash,
                },
            ),
        });
    }
    out
}

/// Names used so far, by layer.
type Used = BTreeMap<(Layer, String), usize>;

fn of_input<'a>(input: &'a Input, used: &mut Used, out: &mut Vec<Named<'a>>) {
    let layer = layer_of(input.sender.layer);
    let mut push = |task: Cow<'a, Task>, origin: Origin| {
        let count = used.entry((layer, task.name.clone())).or_default();
        *count += 1;
        let mut name = format!("{}-{}", task.name, Sender::from(layer));
        if *count > 1 || task.name == "script" {
            let _ = write!(name, "-{count}");
        }
        out.push(Named { task, origin, name });
    };
    for (name, folder, frequency) in FOLDERS {
        let inside = format!("{folder}/");
        let first = input
            .config
            .write_files
            .iter()
            .find(|f| f.value.path.value.starts_with(&inside));
        if let Some(file) = first {
            let task = Cow::Owned(folder_task(name, folder, frequency));
            push(task, Origin::at(input.sender, file.spot));
        }
    }
    for At { spot, value } in &input.config.tasks {
        push(
            std::borrow::Cow::Borrowed(value),
            Origin::at(input.sender, *spot),
        );
    }
    if let Some(script) = &input.script {
        let origin = Origin {
            sender: input.sender,
            line: Some(1),
        };
        push(Cow::Owned(script_task(script)), origin);
    }
}

/// A whole script that was sent as user-data.
fn script_task(script: &Script) -> Task {
    let (frequency, phase) = match script.when {
        When::Boothook => (Frequency::Boot, Phase::Early),
        When::Boot => (Frequency::Boot, Phase::Late),
        When::Instance => (Frequency::Instance, Phase::Late),
        When::Once => (Frequency::Once, Phase::Late),
    };
    Task {
        name: "script".to_owned(),
        about: "Script".to_owned(),
        program: script.content.clone(),
        frequency,
        phase,
        expand: true,
        before: Vec::new(),
        repeats: false,
    }
}

/// Runs what is in a folder, as run-parts(8) does.
fn folder_task(name: &str, folder: &str, frequency: Frequency) -> Task {
    let program = format!(
        "#!/bin/sh\nfailed=0\nfor program in {folder}/*; do\n\
         \t[ -f \"$program\" ] && [ -x \"$program\" ] || continue\n\
         \t\"$program\" || failed=1\ndone\nexit $failed\n"
    );
    Task {
        name: name.to_owned(),
        about: format!("Run the programs in {folder}"),
        program: program.into_bytes(),
        frequency,
        phase: Phase::Late,
        expand: false,
        before: Vec::new(),
        repeats: false,
    }
}

/// Plans one task; its unit and what tells it from another.
fn one(b: &mut Builder<'_>, named: &Named<'_>, before: &[String]) -> Option<(String, String)> {
    let Named { task, origin, name } = named;
    let resource = format!("task {name}");
    let content = match std::str::from_utf8(&task.program) {
        Ok(text) if task.expand => b.expand(&resource, *origin, text)?.into_bytes(),
        _ => task.program.clone(),
    };
    let path = format!("{DIR}/{name}");
    let unit = format!("oem-{name}.service");
    let marks = match task.frequency {
        Frequency::Boot => None,
        Frequency::Instance => Some(b.instance.marks.clone()),
        Frequency::Once => Some(ONCE.to_owned()),
    };
    if let Some(dir) = &marks {
        let resource = format!("directory {dir}");
        if !b.steps.iter().any(|s| s.resource == resource) {
            let action = Action::Directory {
                path: dir.clone(),
                mode: 0o700,
                owner: None,
            };
            b.push(resource, *origin, action);
        }
    }
    let mark = marks.map(|dir| format!("{dir}/{name}"));
    if let Some(mark) = mark.as_ref().filter(|mark| is_cut_short(b, mark)) {
        interrupted(b, named, mark);
    }
    let text = unit_text(b, named, &path, mark.as_deref(), before);
    let hash = hex(&Sha256::digest(&content));
    b.push(
        resource,
        *origin,
        Action::File {
            path,
            content,
            mode: 0o700,
            owner: None,
        },
    );
    let file = Action::File {
        path: format!("/run/systemd/system/{unit}"),
        content: text.into_bytes(),
        mode: 0o644,
        owner: None,
    };
    b.push(format!("unit {unit}"), *origin, file);
    Some((unit, hash))
}

/// Whether a program began in an earlier boot, and did not end.
fn is_cut_short(b: &Builder<'_>, mark: &str) -> bool {
    let text = |path: &str| match b.view.read(path) {
        Ok(bytes) => bytes.map(|b| String::from_utf8_lossy(&b).trim().to_owned()),
        Err(_) => None,
    };
    let (Some(now), Some(then)) = (text(BOOT_ID), text(mark)) else {
        return false;
    };
    !then.is_empty() && then != now && text(&ended(mark)).is_none()
}

/// The mark of a program that came to its end.
fn ended(mark: &str) -> String {
    format!("{mark}.ended")
}

/// Has a program run again, or tells that it does not.
fn interrupted(b: &mut Builder<'_>, named: &Named<'_>, mark: &str) {
    let Named { task, origin, name } = named;
    if task.repeats {
        let path = mark.to_owned();
        b.push(
            format!("mark of task {name}"),
            *origin,
            Action::Remove { path },
        );
        return;
    }
    let why = "it was cut short when the machine stopped, and is not run again by itself";
    let hint = format!(
        "to run it again: `rm {mark}`, then `systemctl start oem-{name}.service`; to leave it: `touch {}`",
        ended(mark)
    );
    b.skip(format!("rest of task {name}"), *origin, why, Some(hint));
}

fn unit_text(
    b: &Builder<'_>,
    named: &Named<'_>,
    path: &str,
    mark: Option<&str>,
    before: &[String],
) -> String {
    let Named { task, origin, .. } = named;
    let sender = Origin::from(origin.sender);
    let mut text = format!("[Unit]\nDescription={} ({sender})\n", task.about);
    if task.phase == Phase::Early {
        text += "DefaultDependencies=no\nConflicts=shutdown.target\nBefore=shutdown.target\n";
    }
    if task.phase != Phase::Early {
        let _ = writeln!(text, "Wants={ONLINE}\nAfter={ONLINE}");
    }
    let _ = writeln!(text, "RequiresMountsFor={DIR}");
    if !before.is_empty() {
        let _ = writeln!(text, "After={}", before.join(" "));
    }
    if !task.before.is_empty() {
        let _ = writeln!(text, "Before={}", task.before.join(" "));
    }
    if let Some(mark) = mark {
        let _ = writeln!(text, "ConditionPathExists=!{mark}");
    }
    // What it leaves running goes on.
    text += "\n[Service]\nType=oneshot\nRemainAfterExit=yes\nKillMode=process\nTasksMax=infinity\n";
    text += &environment("HOME", "/root");
    text += &environment("INSTANCE_ID", &b.instance.id);
    text += &environment("DATASOURCE", &b.instance.provider);
    if let Some(mark) = mark {
        // Before it runs, as cloud-init does: commands that reboot the machine, in
        // whatever way, must not do so for ever.
        let _ = writeln!(
            text,
            "ExecStartPre=/usr/bin/sh -c 'cp {BOOT_ID} {mark}.new && sync {mark}.new && mv {mark}.new {mark} && sync {mark}'"
        );
    }
    let _ = writeln!(text, "ExecStart={path}");
    if let Some(mark) = mark {
        let _ = writeln!(text, "ExecStartPost=/usr/bin/touch {}", ended(mark));
        // Also where it failed, or was stopped: it is known, then.
        let _ = writeln!(text, "ExecStopPost=/usr/bin/touch {}", ended(mark));
    }
    text + "StandardOutput=journal+console\nStandardError=journal+console\n"
}

/// What comes with metadata or the command line counts as the user's.
fn layer_of(layer: Layer) -> Layer {
    match layer {
        Layer::Oem | Layer::VendorData => layer,
        _ => Layer::UserData,
    }
}
