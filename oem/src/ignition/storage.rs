//! `storage`: files, directories and links; file systems where a device is empty.

use super::Reading;
use super::resource::{self, Outcome};
use crate::cloudconfig::{At, Base, Directory, Encoding, Fields, Kind, Link, Node, Spot};
use crate::cloudconfig::{WriteFile, path_fault, read_tables};
use crate::plan::literal;
use std::rc::Rc;

const TABLES: &[&str] = &[
    "files",
    "directories",
    "links",
    "filesystems",
    "disks",
    "raid",
    "luks",
    "trees",
];
/// What Ignition does to disks before there is a system.
const DISKS: &[(&str, &str, &str)] = &[
    (
        "disks",
        "disks are not partitioned from Ignition",
        "use `disk_setup` in a #cloud-config",
    ),
    (
        "raid",
        "RAID arrays are not made",
        "use redundant storage below the virtual machine, or mdadm from a unit",
    ),
    (
        "luks",
        "encrypted volumes are not made",
        "use systemd-cryptenroll from a unit, or encrypted storage of the provider",
    ),
    (
        "trees",
        "files that only Butane can read, where it runs",
        "run Butane first and send its output",
    ),
];
const FILE: &[&str] = &[
    "path",
    "overwrite",
    "contents",
    "append",
    "mode",
    "user",
    "group",
];
const DIRECTORY: &[&str] = &["path", "overwrite", "mode", "user", "group"];
const LINK: &[&str] = &["path", "overwrite", "target", "hard", "user", "group"];
const FILE_SYSTEM: &[&str] = &[
    "device",
    "format",
    "path",
    "wipe_filesystem",
    "label",
    "uuid",
    "options",
    "mount_options",
    "with_mount_unit",
];

/// Reads the table.
pub(super) fn read(node: &Node, c: &mut Reading<'_, '_>) {
    let known = match c.butane {
        true => TABLES,
        false => &TABLES[..TABLES.len() - 1],
    };
    let Some(f) = c.r.fields(node, "storage", known, &[]) else {
        return;
    };
    for (name, why, hint) in DISKS {
        let Some(n) = f.get(name) else { continue };
        for (at, n) in c.items(n, &f.key(name)) {
            c.unsupported(n.spot, &at, why, hint);
        }
    }
    let mut disks = Disks::default();
    if let Some(n) = f.get("filesystems") {
        for (at, n) in c.items(n, &f.key("filesystems")) {
            file_system(n, &at, &mut disks, c);
        }
        disks.read_into(n.spot, c);
    }
    let mounted = disks.hidden;
    if let Some(n) = f.get("directories") {
        for (at, n) in c.items(n, &f.key("directories")) {
            if let Some(directory) = directory(n, &at, &mounted, c) {
                c.config.directories.push(directory);
            }
        }
    }
    if let Some(n) = f.get("files") {
        for (at, n) in c.items(n, &f.key("files")) {
            if let Some(file) = file(n, &at, &mounted, c) {
                c.config.write_files.push(file);
            }
        }
    }
    if let Some(n) = f.get("links") {
        for (at, n) in c.items(n, &f.key("links")) {
            if let Some(link) = link(n, &at, &mounted, c) {
                c.config.links.push(link);
            }
        }
    }
}

fn file(
    node: &Node,
    at: &str,
    mounted: &[String],
    c: &mut Reading<'_, '_>,
) -> Option<At<WriteFile>> {
    let f = c.r.fields(node, at, FILE, &[])?;
    let path = path(&f, mounted, c)?;
    let mut content = Vec::new();
    // Without contents, what is there stays and is only added to.
    let mut base = Base::Itself;
    if let Some(n) = f.get("contents") {
        match resource::read(n, &f.key("contents"), c) {
            Outcome::Bytes(bytes) => {
                content = bytes;
                base = Base::Nothing;
            }
            Outcome::Nothing => {}
            Outcome::Failed => return None,
        }
    }
    if let Some(n) = f.get("append") {
        for (at, n) in c.items(n, &f.key("append")) {
            match resource::read(n, &at, c) {
                Outcome::Bytes(bytes) => content.extend(bytes),
                Outcome::Nothing => {}
                Outcome::Failed => return None,
            }
        }
    }
    let content = match String::from_utf8(content) {
        Ok(text) => literal(&text).into_bytes(),
        Err(binary) => binary.into_bytes(),
    };
    if path.value == "/etc/hostname"
        && let Ok(name) = std::str::from_utf8(&content)
    {
        // Ignition writes it before systemd reads it; here it is set as well.
        c.config.hostname = Some(At {
            spot: f.spot,
            value: name.trim().to_owned(),
        });
        return None;
    }
    let mode = mode(&f, c)?;
    Some(At {
        spot: f.spot,
        value: WriteFile {
            mode: mode.or((base == Base::Nothing).then_some(0o644)),
            owner: owner(&f, c),
            path,
            content,
            encoding: Encoding::Plain,
            base,
            defer: false,
            need: None,
        },
    })
}

fn directory(
    node: &Node,
    at: &str,
    mounted: &[String],
    c: &mut Reading<'_, '_>,
) -> Option<At<Directory>> {
    let f = c.r.fields(node, at, DIRECTORY, &[])?;
    let path = path(&f, mounted, c)?.value;
    Some(At {
        spot: f.spot,
        value: Directory {
            path,
            mode: mode(&f, c)?,
            owner: owner(&f, c).map(|o| o.value),
        },
    })
}

fn link(node: &Node, at: &str, mounted: &[String], c: &mut Reading<'_, '_>) -> Option<At<Link>> {
    let f = c.r.fields(node, at, LINK, &[])?;
    let path = path(&f, mounted, c)?.value;
    if f.boolean("hard", &mut c.r) == Some(true) {
        let hint = "make it a symbolic link: leave `hard` out";
        c.unsupported(f.spot, &f.key("hard"), "hard links are not made", hint);
        return None;
    }
    let Some(target) = f.line("target", &mut c.r).filter(|t| !t.value.is_empty()) else {
        c.r.error(f.spot, at, "a link needs a `target`", "");
        return None;
    };
    Some(At {
        spot: f.spot,
        value: Link {
            path,
            target: target.value,
            need: None,
        },
    })
}

/// The path of a file, directory or link, if something may be put there.
fn path(f: &Fields<'_>, mounted: &[String], c: &mut Reading<'_, '_>) -> Option<At<String>> {
    let Some(mut path) = f.line("path", &mut c.r) else {
        c.r.error(f.spot, &f.path, "needs a `path`", "");
        return None;
    };
    if path.value.len() > 1 && path.value.ends_with('/') {
        path.value.truncate(path.value.trim_end_matches('/').len());
    }
    if let Some((why, hint)) = path_fault(&path.value) {
        c.r.error(path.spot, &f.key("path"), why, hint);
        return None;
    }
    let inside = |dir: &String| {
        let rest = path.value.strip_prefix(dir.as_str());
        rest.is_some_and(|r| r.starts_with('/'))
    };
    if let Some(dir) = mounted.iter().find(|d| inside(d)) {
        let why = format!("not applied: {dir} is mounted later, and would hide it");
        c.r.error(
            path.spot,
            &f.key("path"),
            why,
            "write it from a unit that wants the mount",
        );
        return None;
    }
    path.value = literal(&path.value);
    Some(path)
}

/// Modes that people mean.
const USUAL: &[u32] = &[
    0o400, 0o440, 0o444, 0o500, 0o550, 0o555, 0o600, 0o640, 0o644, 0o660, 0o664, 0o666, 0o700,
    0o750, 0o755, 0o770, 0o775, 0o777,
];

/// Permission bits. Decimal, as JSON has no other numbers; in Butane octal with a
/// leading 0.
fn mode(f: &Fields<'_>, c: &mut Reading<'_, '_>) -> Option<Option<u32>> {
    let Some(text) = f.line("mode", &mut c.r) else {
        return Some(None);
    };
    let digits = text.value.as_str();
    let octal = digits
        .strip_prefix("0o")
        .or_else(|| digits.strip_prefix('0'));
    let mode = match octal.filter(|d| c.butane && !d.is_empty()) {
        Some(octal) => u32::from_str_radix(octal, 8).ok(),
        None => digits.parse().ok(),
    };
    let key = f.key("mode");
    let Some(mode) = mode.filter(|m| *m <= 0o7777) else {
        c.r.error(
            text.spot,
            &key,
            "not a mode",
            "a number up to 4095: 420 is octal 644",
        );
        return None;
    };
    if octal.is_none()
        && let Ok(meant) = u32::from_str_radix(digits, 8)
        && USUAL.contains(&meant)
        && !USUAL.contains(&mode)
    {
        let why = format!("decimal: these bits are octal {mode:o}");
        let hint = format!("for octal {digits} write {meant}");
        c.r.warn(text.spot, &key, why, &hint);
    }
    Some(Some(mode))
}

/// `user:group`, each a name or a number.
fn owner(f: &Fields<'_>, c: &mut Reading<'_, '_>) -> Option<At<String>> {
    let mut one = |name: &str| {
        let key = f.key(name);
        let inner = c.r.fields(f.get(name)?, &key, &["id", "name"], &[])?;
        let word = inner
            .line("name", &mut c.r)
            .or_else(|| inner.line("id", &mut c.r))?;
        let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
        if word.value.is_empty() || !word.value.bytes().all(plain) {
            c.r.error(word.spot, &key, "not the name or number of an account", "");
            return None;
        }
        Some(word)
    };
    let (user, group) = (one("user"), one("group"));
    let spot = user.as_ref().or(group.as_ref())?.spot;
    let user = user.map_or("root".to_owned(), |u| u.value);
    let value = group.map_or(user.clone(), |g| format!("{user}:{}", g.value));
    Some(At { spot, value })
}

/// File systems, as a #cloud-config would ask for them.
#[derive(Default)]
struct Disks {
    fs_setup: Vec<Rc<Node>>,
    mounts: Vec<Rc<Node>>,
    /// Directories that a mount will hide.
    hidden: Vec<String>,
}

impl Disks {
    fn read_into(&mut self, spot: Spot, c: &mut Reading<'_, '_>) {
        let t = Tree(spot);
        let mut tables = Vec::new();
        for (name, items) in [
            ("fs_setup", &mut self.fs_setup),
            ("mounts", &mut self.mounts),
        ] {
            if !items.is_empty() {
                tables.push(t.field(name, t.list(std::mem::take(items))));
            }
        }
        read_tables(&t.node(Kind::Map(tables)), &mut c.config, &mut c.r);
    }
}

/// Has the file system made where the device has none, and mounted where Butane
/// says so.
fn file_system(node: &Node, at: &str, disks: &mut Disks, c: &mut Reading<'_, '_>) {
    let Some(f) = c.r.fields(node, at, FILE_SYSTEM, &[]) else {
        return;
    };
    let Some(device) = f.line("device", &mut c.r) else {
        c.r.error(f.spot, at, "a file system needs a `device`", "");
        return;
    };
    let format = f
        .line("format", &mut c.r)
        .map(|l| l.value)
        .unwrap_or_default();
    let directory = f
        .line("path", &mut c.r)
        .map(|l| l.value)
        .filter(|p| !p.is_empty());
    if f.boolean("wipe_filesystem", &mut c.r) == Some(true) {
        let why = "not applied: what is on a device stays; only an empty one gets a file system";
        let hint = "use `fs_setup` with `overwrite: true` in a #cloud-config";
        c.r.warn(f.spot, &f.key("wipe_filesystem"), why, hint);
    }
    let mut list = |name: &str| match f.get(name) {
        Some(n) => {
            c.r.lines(n, &f.key(name))
                .into_iter()
                .map(|l| l.value)
                .collect()
        }
        None => Vec::new(),
    };
    let (mut options, mount_options): (Vec<String>, Vec<String>) =
        (list("options"), list("mount_options"));
    if let Some(uuid) = f.line("uuid", &mut c.r) {
        match format.as_str() {
            "xfs" => options.extend(["-m".to_owned(), format!("uuid={}", uuid.value)]),
            "vfat" => options.extend(["-i".to_owned(), uuid.value.replace('-', "")]),
            _ => options.extend(["-U".to_owned(), uuid.value]),
        }
    }
    let t = Tree(f.spot);
    if !matches!(format.as_str(), "" | "none") {
        let mut fields = vec![
            t.field("device", t.text(&device.value)),
            t.field("filesystem", t.text(&format)),
            t.field(
                "extra_opts",
                t.list(options.iter().map(|o| t.text(o)).collect()),
            ),
        ];
        if let Some(label) = f.line("label", &mut c.r) {
            fields.push(t.field("label", t.text(&label.value)));
        }
        disks.fs_setup.push(t.node(Kind::Map(fields)));
    }
    let swap = format == "swap";
    let mount = f.boolean("with_mount_unit", &mut c.r) == Some(true);
    if mount && (swap || directory.is_some()) {
        let mut words = vec!["defaults".to_owned(), "nofail".to_owned()];
        words.extend(mount_options);
        let target = match (&directory, swap) {
            (Some(dir), false) => dir.as_str(),
            _ => "none",
        };
        let kind = if matches!(format.as_str(), "" | "none") {
            "auto"
        } else {
            &format
        };
        let fields = [device.value.as_str(), target, kind, &words.join(",")];
        let line = fields.iter().map(|w| t.text(w)).collect();
        disks.mounts.push(t.list(line));
    }
    disks.hidden.extend(directory.filter(|d| !swap && d != "/"));
}

/// Makes a tree out of nothing, all of it at one place.
struct Tree(Spot);

impl Tree {
    fn node(&self, kind: Kind) -> Rc<Node> {
        Rc::new(Node::new(self.0, kind))
    }
    fn text(&self, text: &str) -> Rc<Node> {
        self.node(Kind::Scalar {
            text: text.to_owned(),
            plain: false,
            binary: false,
        })
    }
    fn list(&self, items: Vec<Rc<Node>>) -> Rc<Node> {
        self.node(Kind::Seq(items))
    }
    fn field(&self, name: &str, value: Rc<Node>) -> (Rc<Node>, Rc<Node>) {
        (self.text(name), value)
    }
}
