//! `mounts`: lines of fstab(5), a block of its own.

use super::CloudConfig;
use super::diag::At;
use super::node::{Kind, Node};
use super::read::{Fields, Reader, shorten};
use super::schema::Type::{Either, List, Null, Text};
use super::schema::{Section, key};
use super::shell::unit_of_path;
use super::units::{Unit, Verb};
use super::write_files::{Base, WriteFile};
use std::rc::Rc;

/// A disk that is not there must not keep the machine from booting.
const DEFAULTS: [&str; 6] = [
    "",
    "",
    "auto",
    "defaults,nofail,x-systemd.device-timeout=30s",
    "0",
    "2",
];
const FSTAB: &str = "/etc/fstab";

pub(super) const SECTION: Section = Section {
    title: "Mounts",
    keys: &[
        key(
            "mounts",
            List(&List(&Either(&[Text, Null]))),
            "file systems to mount: the fields of fstab(5), the last ones may be left out",
        ),
        key(
            "mount_default_fields",
            List(&Either(&[Text, Null])),
            "fields for those left out; default `auto`, `defaults,nofail`, 0, 2",
        ),
    ],
    example: EXAMPLE,
    read,
};

const EXAMPLE: &str = r#"mounts:
  - [LABEL=data, /srv/data]
  - [tmpfs, /srv/fast, tmpfs, size=64m]
mount_default_fields: [null, null, auto, "defaults,nofail", "0", "2"]
"#;

fn read(f: &Fields<'_>, config: &mut CloudConfig, r: &mut Reader) {
    let mut defaults = DEFAULTS.map(str::to_owned);
    if let Some(n) = f.get("mount_default_fields") {
        let path = "mount_default_fields";
        let items = r.list(n, path);
        seventh(items, path, r);
        for (i, n) in items.iter().enumerate().take(6) {
            if !n.is_null()
                && let Some(word) = r.line(n, &format!("{path}[{i}]"))
            {
                defaults[i] = word.value;
            }
        }
    }
    let Some((spot, node)) = f.entry("mounts") else {
        return;
    };
    let mut text = String::new();
    let mut units = Vec::new();
    for (i, n) in r.list(node, "mounts").iter().enumerate() {
        let Some(line) = line(n, &format!("mounts[{i}]"), &defaults, r) else {
            continue;
        };
        text += &line.text;
        if let Some(name) = line.unit {
            units.push(name.clone());
            let mut unit = Unit::named(name, n.spot);
            unit.command = Some(Verb::Start);
            config.units.push(At {
                spot: n.spot,
                value: unit,
            });
        }
    }
    if let Some(disks) = config.tasks.iter_mut().find(|t| t.value.name == "disks") {
        disks.value.before.extend(units);
    }
    if !text.is_empty() {
        let mut file = WriteFile::text(FSTAB, text, spot);
        file.base = Base::Block;
        config.write_files.push(file.at(spot));
    }
}

struct Line {
    text: String,
    /// To be started now.
    unit: Option<String>,
}

fn line(node: &Node, at: &str, defaults: &[String; 6], r: &mut Reader) -> Option<Line> {
    let Kind::Seq(items) = &node.kind else {
        let why = format!("expected a list, found {}", node.describe());
        r.error(node.spot, at, why, "e.g. `- [/dev/vdb, /srv]`");
        return None;
    };
    seventh(items, at, r);
    let mut fields = defaults.clone();
    let mut given = [false; 6];
    for (i, item) in items.iter().enumerate().take(6) {
        if item.is_null() {
            // So cloud-init takes a mount of its own away; there is none here.
            if i == 1 {
                return None;
            }
            continue;
        }
        fields[i] = r.line(item, &format!("{at}[{i}]"))?.value;
        given[i] = true;
    }
    let [spec, file, kind, options, freq, pass] = &mut fields;
    if items.len() < 2 || spec.is_empty() || file.is_empty() {
        r.error(node.spot, at, "needs at least a device and a directory", "");
        return None;
    }
    *spec = device(spec, kind).or_else(|| {
        let why = format!("{} is not known on this system", shorten(spec));
        r.error(
            node.spot,
            at,
            why,
            "write a path (`/dev/...`), `LABEL=...` or `UUID=...`",
        );
        None
    })?;
    // What is no device is neither waited for nor checked.
    if !node_of(spec).is_some_and(|path| path.starts_with("/dev/")) {
        if !given[3] {
            *options = options.replace(",x-systemd.device-timeout=30s", "");
        }
        if !given[5] {
            *pass = "0".to_owned();
        }
    }
    let swap = kind == "swap" || file == "swap";
    if swap {
        *kind = "swap".to_owned();
        *file = "none".to_owned();
        // Nothing checks a swap space.
        *pass = "0".to_owned();
    } else {
        if !file.starts_with('/') {
            *file = format!("/{file}");
        }
        let clean = file.trim_end_matches('/');
        let fixed = ["", "/usr", "/etc", "/proc", "/sys", "/dev", "/run"];
        if fixed.contains(&clean) || file.split('/').any(|c| c == ".." || c == ".") {
            let why = format!("{} cannot be mounted over", shorten(file));
            r.error(
                node.spot,
                at,
                why,
                "choose a directory below /srv, /mnt, /opt or /var",
            );
            return None;
        }
    }
    if !freq.bytes().all(|b| b.is_ascii_digit()) || !pass.bytes().all(|b| b.is_ascii_digit()) {
        r.error(node.spot, at, "the fifth and sixth field are numbers", "");
        return None;
    }
    let auto = !options.split(',').any(|o| o == "noauto");
    let unit = match (auto, swap) {
        (false, _) => None,
        (true, false) => Some(unit_of_path(file, "mount")),
        (true, true) => node_of(spec).map(|p| unit_of_path(&p, "swap")),
    };
    let fields = [&*spec, &*file, &*kind, &*options, &*freq, &*pass];
    let words: Vec<String> = fields.iter().map(|w| escape(w)).collect();
    Some(Line {
        text: words.join("\t") + "\n",
        unit,
    })
}

/// A line of fstab(5) has six fields.
fn seventh(items: &[Rc<Node>], at: &str, r: &mut Reader) {
    if let Some(more) = items.get(6) {
        let why = "there are six fields; this one and those after it are not applied";
        r.warn(more.spot, at, why, "options are one field, with commas");
    }
}

/// What stands for a device, as fstab takes it.
fn device(spec: &str, kind: &str) -> Option<String> {
    let disk = [
        "sd", "vd", "xvd", "hd", "nvme", "mmcblk", "dm-", "md", "loop",
    ]
    .iter()
    .any(|p| spec.starts_with(p));
    let virtual_kind = !matches!(kind, "auto" | "swap");
    if spec.starts_with('/') || spec.contains(['=', ':', '$']) {
        Some(spec.to_owned())
    } else if disk && !spec.contains('/') {
        Some(format!("/dev/{spec}"))
    } else if ["ephemeral", "root", "swap", "ami"]
        .iter()
        .any(|p| spec.starts_with(p))
    {
        None
    } else {
        virtual_kind.then(|| spec.to_owned())
    }
}

/// The path udev gives to a device.
fn node_of(spec: &str) -> Option<String> {
    let Some((tag, value)) = spec.split_once('=') else {
        return spec.starts_with('/').then(|| spec.to_owned());
    };
    let folder = match tag {
        "LABEL" => "by-label",
        "UUID" => "by-uuid",
        "PARTLABEL" => "by-partlabel",
        "PARTUUID" => "by-partuuid",
        _ => return None,
    };
    Some(format!("/dev/disk/{folder}/{}", value.trim_matches('"')))
}

/// A field of fstab(5).
fn escape(word: &str) -> String {
    word.replace('\\', "\\134")
        .replace(' ', "\\040")
        .replace('\t', "\\011")
        .replace('#', "\\043")
}
