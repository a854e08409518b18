//! `disk_setup`, `fs_setup` and growing: what is on a disk is only replaced where
//! `overwrite: true` says so, and then once on an instance.

use super::CloudConfig;
use super::node::{Kind, Node};
use super::read::{Fields, Reader, shorten};
use super::schema::Type::{Any, As, Either, Flag, List, Map, Table, Text, Word};
use super::schema::{Section, TABLES, WORDS, key};
use super::shell::quote;
use super::tasks::{Frequency, Phase, Task};
use std::collections::BTreeMap;

const TABLE_TYPES: &[&str] = &["gpt", "mbr"];

pub(super) const SECTION: Section = Section {
    title: "Disks",
    keys: &[
        key(
            "device_aliases",
            Map(&Text),
            "names for devices, to be used in `disk_setup` and `fs_setup`",
        ),
        key(
            "disk_setup",
            Map(&Table),
            "partition tables; needs sfdisk in the image (package fdisk)",
        )
        .each(Frequency::Instance),
        key(
            "disk_setup.*.table_type",
            Word(TABLE_TYPES),
            "kind; default mbr",
        ),
        key(
            "disk_setup.*.layout",
            Either(&[Flag, List(&Any)]),
            "true: one partition; else sizes in percent, or `[percent, type]`",
        ),
        key(
            "disk_setup.*.overwrite",
            Flag,
            "replace what is on the disk; without it only an empty disk is changed",
        ),
        key("fs_setup", TABLES, "file systems to make").each(Frequency::Instance),
        key("fs_setup[].device", As("path"), "the disk or partition").required(),
        key(
            "fs_setup[].partition",
            As("number, `auto` or `none`"),
            "which partition of the device; default the device as it is",
        ),
        key("fs_setup[].filesystem", Text, "e.g. `ext4`, `swap`").required(),
        key("fs_setup[].label", Text, "label"),
        key(
            "fs_setup[].overwrite",
            Flag,
            "replace what is there; without it only an empty device is changed",
        ),
        key("fs_setup[].extra_opts", WORDS, "further options of mkfs"),
        key(
            "fs_setup[].replace_fs",
            Text,
            "only `overwrite: true` replaces anything",
        )
        .not_applied(),
        key("fs_setup[].cmd", Text, "mkfs is chosen here").not_applied(),
        key(
            "growpart",
            Table,
            "`/` is grown to the end of its disk at every boot",
        )
        .accepted(),
        key("growpart.mode", Text, "`/` is grown always").accepted(),
        key("growpart.devices", WORDS, "only `/` is grown").accepted(),
        key(
            "growpart.ignore_growroot_disabled",
            Flag,
            "it has no meaning here",
        )
        .accepted(),
        key(
            "resize_rootfs",
            Either(&[Flag, Word(&["noblock"])]),
            "`/` is grown at every boot",
        )
        .accepted(),
    ],
    example: EXAMPLE,
    read,
};

const EXAMPLE: &str = r#"device_aliases:
  data: /dev/disk/by-id/virtio-data
disk_setup:
  data:
    table_type: gpt
    layout: [75, [25, 82]]             # percents; 82 is swap
    overwrite: false
fs_setup:
  - device: data
    partition: 1
    filesystem: ext4
    label: data
    extra_opts: [-m, "1"]
    overwrite: false
growpart:
  mode: auto
  devices: [/]
  ignore_growroot_disabled: false
resize_rootfs: true
"#;

/// What the script begins with. What cannot be told counts as in use, and as not
/// empty; `blkid -p` ends with 2 where it finds nothing.
const HEAD: &str = "\
set -u
failed=0
is_there() {
	udevadm wait --timeout=60 \"$1\" || true
	[ -b \"$1\" ] && return
	echo \"$1 is not there\" >&2
	failed=1
	return 1
}
is_used() {
	mounts=$(lsblk -nro MOUNTPOINTS \"$1\") || return 0
	[ -z \"$(printf %s \"$mounts\" | tr -d '\\n')\" ] || return 0
	labels=$(lsblk -nro PARTLABEL \"$1\") || return 0
	printf '%s\\n' \"$labels\" | grep -Eqx 'bios|esp|OEM|root|_empty|holdfast_.*'
}
is_empty() {
	blkid -p \"$1\" > /dev/null 2>&1
	[ $? = 2 ] && cmp -s -n 1048576 \"$1\" /dev/zero
}
# may DEVICE OVERWRITE: whether it may be written to
may() {
	is_there \"$1\" || return
	if is_used \"$1\"; then
		echo \"$1 is in use, or part of the system, and stays as it is\" >&2
		failed=1
		return 1
	fi
	if [ \"$2\" != yes ] && ! is_empty \"$1\"; then
		echo \"$1 is not empty and stays as it is (there is no overwrite: true)\"
		return 1
	fi
}
";

fn read(f: &Fields<'_>, config: &mut CloudConfig, r: &mut Reader) {
    grow(f, r);
    let aliases = aliases(f, r);
    let mut body = String::new();
    let mut first = None;
    if let Some((spot, node)) = f.entry("disk_setup") {
        first = Some(spot);
        if let Kind::Map(entries) = &node.kind {
            for (name, node) in entries {
                if let Some(name) = r.line(name, "disk_setup") {
                    let path = format!("disk_setup.{}", shorten(&name.value));
                    if let Some(dev) = device(&name.value, &aliases, node, &path, r) {
                        body += &table(&dev, node, &path, r).unwrap_or_default();
                    }
                }
            }
        } else {
            r.error(node.spot, "disk_setup", "expected a mapping of devices", "");
        }
    }
    if let Some((spot, node)) = f.entry("fs_setup") {
        first = first.or(Some(spot));
        for (i, node) in r.list(node, "fs_setup").iter().enumerate() {
            body += &file_system(node, &format!("fs_setup[{i}]"), &aliases, r).unwrap_or_default();
        }
    }
    if let Some(spot) = first.filter(|_| !body.is_empty()) {
        let body = format!("{HEAD}{body}exit $failed\n");
        let about = "Make partitions and file systems";
        let task = Task::shell("disks", about, &body, Frequency::Instance, Phase::Early);
        config.tasks.push(task.at(spot));
    }
}

fn aliases(f: &Fields<'_>, r: &mut Reader) -> BTreeMap<String, String> {
    let mut out = BTreeMap::new();
    let Some(node) = f.get("device_aliases") else {
        return out;
    };
    if let Kind::Map(entries) = &node.kind {
        for (name, path) in entries {
            let path = r.line(path, "device_aliases");
            if let (Some(name), Some(path)) = (r.line(name, "device_aliases"), path) {
                out.insert(name.value, path.value);
            }
        }
    } else {
        r.error(node.spot, "device_aliases", "expected a mapping", "");
    }
    out
}

/// The path of a device that was named.
fn device(
    name: &str,
    aliases: &BTreeMap<String, String>,
    node: &Node,
    path: &str,
    r: &mut Reader,
) -> Option<String> {
    let name = aliases.get(name).map_or(name, String::as_str);
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"/._-:+@\\".contains(&b);
    if name.starts_with("/dev/") && name.bytes().all(plain) && !name.contains("..") {
        return Some(name.to_owned());
    }
    r.error(
        node.spot,
        path,
        format!("{} is not a device", shorten(name)),
        "write its path (`/dev/disk/by-id/...`), or give it one in `device_aliases`",
    );
    None
}

fn table(dev: &str, node: &Node, path: &str, r: &mut Reader) -> Option<String> {
    let f = r.table(node, path, SECTION.keys, "disk_setup.*.")?;
    let kind = match f.get("table_type") {
        None => "dos",
        Some(_) => match f.word("table_type", TABLE_TYPES, "unknown kind of table", r)? {
            "gpt" => "gpt",
            _ => "dos",
        },
    };
    let overwrite = f.boolean("overwrite", r) == Some(true);
    let layout = f.get("layout")?;
    let mut lines = String::new();
    match &layout.kind {
        Kind::Scalar { .. } => {
            if !r.boolean(layout, &f.key("layout"))? {
                return None;
            }
            lines += "echo 'type=linux'\n";
        }
        _ => {
            let items = r.list(layout, &f.key("layout"));
            let mut sum = 0;
            for (i, item) in items.iter().enumerate() {
                let path = format!("{}[{i}]", f.key("layout"));
                let (size, kind) = match &item.kind {
                    Kind::Seq(pair) => (pair.first()?, pair.get(1)),
                    _ => (item, None),
                };
                let percent = r.number(size, &path)?;
                sum += percent;
                let kind = match kind.and_then(|k| r.line(k, &path)) {
                    None => "linux",
                    Some(k) if ["83", "8300", "linux"].contains(&k.value.as_str()) => "linux",
                    Some(k) if ["82", "8200", "swap"].contains(&k.value.as_str()) => "swap",
                    Some(k) => {
                        r.error(
                            k.spot,
                            &path,
                            "unknown kind of partition",
                            "83 or 82 (swap)",
                        );
                        return None;
                    }
                };
                if percent == 0 || sum > 100 {
                    r.error(
                        size.spot,
                        &path,
                        "sizes are percents, 100 in all at most",
                        "",
                    );
                    return None;
                }
                let last = i + 1 == items.len();
                lines += &if last && sum >= 99 {
                    format!("echo 'type={kind}'\n")
                } else {
                    format!("echo \"size=$((mib * {percent} / 100))MiB, type={kind}\"\n")
                };
            }
        }
    }
    let dev = quote(dev);
    Some(format!(
        "if may {dev} {}; then\n\
         mib=$(($(blockdev --getsize64 {dev}) / 1048576 - 2))\n\
         {{\necho 'label: {kind}'\n{lines}}} | sfdisk --wipe always --wipe-partitions always {dev} || failed=1\n\
         udevadm settle --timeout=30\nfi\n",
        if overwrite { "yes" } else { "no" }
    ))
}

fn file_system(
    node: &Node,
    path: &str,
    aliases: &BTreeMap<String, String>,
    r: &mut Reader,
) -> Option<String> {
    let f = r.table(node, path, SECTION.keys, "fs_setup[].")?;
    for name in ["replace_fs", "cmd"] {
        if let Some((spot, _)) = f.entry(name) {
            let why = "not applied";
            r.warn(
                spot,
                &f.key(name),
                why,
                "only `overwrite: true` replaces what is there",
            );
        }
    }
    let (Some(dev), Some(kind)) = (f.line("device", r), f.line("filesystem", r)) else {
        r.error(f.spot, path, "needs a `device` and a `filesystem`", "");
        return None;
    };
    // cloud-init takes `ephemeral0.1` for the first partition.
    let (name, mut partition) = match dev.value.rsplit_once('.') {
        Some((name, n)) if aliases.contains_key(name) => (name, n.parse::<u32>().ok()),
        _ => (dev.value.as_str(), None),
    };
    let mut dev = device(name, aliases, node, &f.key("device"), r)?;
    if let Some(word) = f.line("partition", r) {
        match word.value.as_str() {
            "none" | "auto" | "any" => {}
            text => match text.parse::<u32>() {
                Ok(n) if n > 0 => partition = Some(n),
                _ => {
                    let hint = "a number, `auto` or `none`";
                    r.error(word.spot, &f.key("partition"), "not a partition", hint);
                    return None;
                }
            },
        }
    }
    if let Some(n) = partition {
        let by_name = dev.starts_with("/dev/disk/");
        let digit = dev.ends_with(|c: char| c.is_ascii_digit());
        dev += &match (by_name, digit) {
            (true, _) => format!("-part{n}"),
            (false, true) => format!("p{n}"),
            (false, false) => n.to_string(),
        };
    }
    let word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    if kind.value.is_empty() || !kind.value.bytes().all(word) {
        r.error(
            kind.spot,
            &f.key("filesystem"),
            "not a kind of file system",
            "e.g. `ext4`",
        );
        return None;
    }
    let (command, label, force) = match kind.value.as_str() {
        "swap" => ("mkswap".to_owned(), "-L", "-f"),
        "vfat" | "fat" => ("mkfs.vfat".to_owned(), "-n", "-I"),
        "xfs" | "btrfs" => (format!("mkfs.{}", kind.value), "-L", "-f"),
        other => (format!("mkfs.{other}"), "-L", "-F"),
    };
    let mut options = vec![force.to_owned()];
    if let Some(text) = f
        .line("label", r)
        .filter(|t| !t.value.is_empty() && t.value != "None")
    {
        options.extend([label.to_owned(), quote(&text.value)]);
    }
    if let Some(n) = f.get("extra_opts") {
        let more = r.words(n, &f.key("extra_opts"));
        options.extend(more.iter().map(|w| quote(&w.value)));
    }
    let overwrite = f.boolean("overwrite", r) == Some(true);
    let dev = quote(&dev);
    Some(format!(
        "if may {dev} {}; then\n{command} {} {dev} || failed=1\nfi\n",
        if overwrite { "yes" } else { "no" },
        options.join(" ")
    ))
}

/// `growpart` and `resize_rootfs`: what they ask for has happened before.
fn grow(f: &Fields<'_>, r: &mut Reader) {
    let told = |spot, path: &str, r: &mut Reader| {
        let why = "not applied: / has been grown to the end of its disk before this is read";
        r.warn(spot, path, why, "leave the key out");
    };
    if let Some(word) = f.line("resize_rootfs", r)
        && matches!(word.value.as_str(), "false" | "False" | "no" | "off")
    {
        told(word.spot, "resize_rootfs", r);
    }
    let Some(node) = f.get("growpart") else {
        return;
    };
    let Some(f) = r.table(node, "growpart", SECTION.keys, "growpart.") else {
        return;
    };
    if let Some(mode) = f.line("mode", r)
        && matches!(mode.value.as_str(), "off" | "false" | "False" | "no")
    {
        told(mode.spot, "growpart.mode", r);
    }
    if let Some(n) = f.get("devices") {
        for device in r.words(n, "growpart.devices") {
            if device.value != "/" {
                let why = "not grown: only / is";
                let hint = "add `x-systemd.growfs` to its options in `mounts`";
                r.warn(device.spot, "growpart.devices", why, hint);
            }
        }
    }
}
