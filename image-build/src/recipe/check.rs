//! From a merged recipe to a checked one.

use std::collections::{BTreeMap, BTreeSet};

use updater::tuf::{Clock, Time};

use super::raw::{RawFile, RawRecipe, RawUnit, RawUpdate, RawUser};
use super::{File, Kernel, Recipe, Size, Unit, Update, User, secure_boot};
use crate::archive::lock::Pocket;
use crate::disk::layout::Sizes;
use crate::error::{Error, Result};
use crate::tree::clean;

/// Where systemd units may be named from.
const UNIT_TYPES: [&str; 11] = [
    "service",
    "socket",
    "device",
    "mount",
    "automount",
    "swap",
    "target",
    "path",
    "timer",
    "slice",
    "scope",
];

const MIB: u64 = 1 << 20;

impl Recipe {
    /// Checks everything that can be checked without packages.
    pub(super) fn check(raw: RawRecipe) -> Result<Recipe> {
        let name = raw
            .name
            .ok_or_else(|| Error::input("the recipe has no `name`"))?;
        word("name", &name, "-_.")?;
        let architecture = raw.architecture.unwrap_or_else(|| "amd64".to_owned());
        if architecture != "amd64" {
            return Err(
                Error::input(format!("architecture {architecture:?} is not supported"))
                    .hint("supported: amd64"),
            );
        }
        let suite = raw
            .suite
            .ok_or_else(|| Error::input("the recipe names no Debian `suite`"))?;
        word("suite", &suite, "-")?;
        let pockets = check_pockets(raw.pockets)?;
        if let Some(version) = &raw.version {
            check_version(version)?;
        }
        let kernel = raw.kernel.unwrap_or(Kernel::Generic);
        let mut packages: BTreeSet<String> = raw.packages.into_iter().collect();
        packages.insert(match kernel {
            Kernel::Generic => format!("linux-image-{architecture}"),
            Kernel::Cloud => format!("linux-image-cloud-{architecture}"),
        });
        let exclude: BTreeSet<String> = raw.exclude.into_iter().collect();
        for package in packages.iter().chain(&exclude) {
            package_name(package)?;
        }
        for pattern in &raw.accept_scripts {
            package_name(&pattern.replace('*', ""))?;
        }
        let mut enable: BTreeSet<String> = raw.enable.into_iter().collect();
        let mut disable: BTreeSet<String> = raw.disable.into_iter().collect();
        let mut mask: BTreeSet<String> = raw.mask.into_iter().collect();
        let mut units = BTreeMap::new();
        for unit in raw.units {
            check_unit(&unit.name)?;
            match unit.enable {
                Some(true) => drop(enable.insert(unit.name.clone())),
                Some(false) => {
                    enable.remove(&unit.name);
                    disable.insert(unit.name.clone());
                }
                None => {}
            }
            if unit.mask {
                mask.insert(unit.name.clone());
            }
            let (name, unit) = check_unit_body(unit)?;
            units.insert(name, unit);
        }
        for unit in enable.iter().chain(&disable).chain(&mask) {
            check_unit(unit)?;
        }
        if let Some(both) = enable.intersection(&mask).next() {
            return Err(Error::input(format!(
                "unit {both} is both enabled and masked"
            )));
        }
        if let Some(both) = enable.intersection(&disable).next() {
            return Err(Error::input(format!(
                "unit {both} is both enabled and disabled"
            )));
        }
        for arg in &raw.cmdline {
            if arg.split_ascii_whitespace().count() != 1 || !arg.is_ascii() {
                return Err(
                    Error::input(format!("`cmdline` entry {arg:?} is not one word"))
                        .hint("write one list entry for each word"),
                );
            }
            if arg.starts_with("usrhash=") {
                return Err(Error::input(
                    "`usrhash=` on the kernel command line comes from the build",
                ));
            }
        }
        if let Some(hostname) = &raw.hostname {
            check_hostname(hostname)?;
        }
        for pattern in raw.remove_paths.iter().chain(&raw.keep_paths) {
            clean(pattern)?;
        }
        let files = raw
            .files
            .into_iter()
            .map(check_file)
            .collect::<Result<BTreeMap<_, _>>>()?;
        let users = check_users(raw.users)?;
        let size = |s: Option<Size>, default: u64| s.map_or(default, |s| s.0);
        let default = Sizes::default();
        let sizes = Sizes {
            usr: size(raw.sizes.usr, default.usr),
            verity: size(raw.sizes.verity, default.verity),
            esp: size(raw.sizes.esp, default.esp),
            oem: size(raw.sizes.oem, default.oem),
            disk: size(raw.sizes.disk, default.disk),
        };
        for (name, size) in [
            ("usr", sizes.usr),
            ("verity", sizes.verity),
            ("esp", sizes.esp),
            ("oem", sizes.oem),
        ] {
            if size == 0 || size % MIB != 0 {
                return Err(Error::input(format!(
                    "size of {name} ({size} bytes) is not a multiple of 1 MiB"
                )));
            }
        }
        Ok(Recipe {
            name,
            version: raw.version,
            suite,
            pockets,
            architecture,
            kernel,
            packages,
            exclude,
            files,
            units,
            users,
            enable,
            disable,
            mask,
            cmdline: raw.cmdline,
            compression: raw.compression.unwrap_or_default(),
            sizes,
            formats: raw.formats.into_iter().collect(),
            hostname: raw.hostname,
            modules: raw.modules.keep.into_iter().collect(),
            accept_scripts: raw.accept_scripts.into_iter().collect(),
            remove_paths: trimmed(raw.remove_paths),
            keep_paths: trimmed(raw.keep_paths),
            update: raw.update.map(check_update).transpose()?,
            secure_boot: raw.secure_boot.map(secure_boot::check).transpose()?,
        })
    }
}

fn check_pockets(raw: Option<Vec<Pocket>>) -> Result<Vec<Pocket>> {
    let mut pockets = raw.unwrap_or(Pocket::ALL.to_vec());
    pockets.sort();
    if pockets.first() != Some(&Pocket::Main) {
        return Err(Error::input("`pockets` is without `main`")
            .hint("`main` is the suite as it was released; the others only change it"));
    }
    if pockets.windows(2).any(|pair| pair[0] == pair[1]) {
        return Err(Error::input("`pockets` names one twice"));
    }
    Ok(pockets)
}

fn check_update(raw: RawUpdate) -> Result<Update> {
    let channel = raw.channel.unwrap_or_else(|| "stable".to_owned());
    word("update.channel", &channel, "-_.")?;
    if let Some(url) = &raw.url {
        let known = ["https://", "http://", "file:///"];
        let plain = url
            .chars()
            .all(|c| c.is_ascii_graphic() && !"\"'\\?#".contains(c));
        if !plain || !known.iter().any(|scheme| url.starts_with(scheme)) {
            return Err(
                Error::input(format!("`update.url` {url:?} is no repository"))
                    .hint("give the URL of the folder that has metadata/ and targets/"),
            );
        }
    }
    let root = raw.root.ok_or_else(|| {
        Error::input("`update` has no `root`")
            .hint("name the repository's metadata/1.root.json, as `image-build keys init` made it")
    })?;
    updater::tuf::TrustedSet::new(root.as_bytes(), Clock::now(Time(0)))
        .map_err(|e| Error::input("`update.root` is no root of trust").because(e))?;
    Ok(Update {
        channel,
        url: raw.url,
        root,
    })
}

fn trimmed(patterns: Vec<String>) -> BTreeSet<String> {
    patterns
        .into_iter()
        .map(|p| p.trim_start_matches('/').to_owned())
        .collect()
}

/// A version is part of partition names and BLS file names.
pub(crate) fn check_version(version: &str) -> Result<()> {
    let good = |c: char| c.is_ascii_alphanumeric() || ".~^-".contains(c);
    if version.is_empty() || version.len() > 27 || !version.chars().all(good) {
        return Err(Error::input(format!("version {version:?} cannot be used"))
            .hint("use at most 27 letters, digits and `.`, `~`, `^`, `-`"));
    }
    Ok(())
}

fn word(what: &str, text: &str, also: &str) -> Result<()> {
    let good = |c: char| c.is_ascii_alphanumeric() || also.contains(c);
    if text.is_empty() || text.len() > 64 || text.starts_with(['-', '.']) || !text.chars().all(good)
    {
        return Err(Error::input(format!(
            "{what} {text:?} has characters that cannot be used"
        )));
    }
    Ok(())
}

fn package_name(name: &str) -> Result<()> {
    let good = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "+-.".contains(c);
    if name.len() < 2
        || !name.starts_with(|c: char| c.is_ascii_alphanumeric())
        || !name.chars().all(good)
    {
        return Err(Error::input(format!("{name:?} is not a Debian package name"))
            .hint("package names have lower-case letters, digits and `+`, `-`, `.`; versions cannot be given"));
    }
    Ok(())
}

fn check_unit(name: &str) -> Result<()> {
    let known = name
        .rsplit_once('.')
        .is_some_and(|(stem, kind)| !stem.is_empty() && UNIT_TYPES.contains(&kind));
    let good = |c: char| c.is_ascii_alphanumeric() || ":-_.@\\".contains(c);
    if !known || name.len() > 255 || !name.chars().all(good) {
        return Err(Error::input(format!("{name:?} is not a unit name"))
            .hint("write it with its type: `docker.service`"));
    }
    Ok(())
}

fn check_unit_body(unit: RawUnit) -> Result<(String, Unit)> {
    let mut drop_ins = BTreeMap::new();
    for drop_in in unit.drop_ins {
        if !drop_in.name.ends_with(".conf") || drop_in.name.contains('/') {
            return Err(Error::input(format!(
                "drop-in {:?} of {} does not end in .conf",
                drop_in.name, unit.name
            )));
        }
        drop_ins.insert(drop_in.name, drop_in.content);
    }
    Ok((
        unit.name,
        Unit {
            content: unit.content,
            drop_ins,
        },
    ))
}

fn check_file(file: RawFile) -> Result<(String, File)> {
    if !file.path.starts_with('/') {
        return Err(Error::input(format!(
            "file path {:?} is not absolute",
            file.path
        )));
    }
    let path = crate::tree::canonical(&clean(&file.path)?);
    if !["etc/", "usr/", "var/"]
        .iter()
        .any(|top| path.starts_with(top))
    {
        return Err(Error::input(format!("file /{path} is not in /usr, /etc or /var"))
            .hint("everything else of the image is made at boot; use a tmpfiles.d file in /usr/lib/tmpfiles.d"));
    }
    let mode = match &file.mode {
        None => 0o644,
        Some(text) => u32::from_str_radix(text.trim_start_matches("0o"), 8)
            .ok()
            .filter(|m| *m <= 0o7777)
            .ok_or_else(|| {
                Error::input(format!(
                    "mode {text:?} of /{path} is not an octal file mode such as \"0644\""
                ))
            })?,
    };
    let content = file.content.ok_or_else(|| {
        Error::input(format!(
            "file /{path} has neither `content` nor a readable `source`"
        ))
    })?;
    let name = |n: Option<String>| n.unwrap_or_else(|| "root".to_owned());
    Ok((
        path,
        File {
            content,
            mode,
            owner: name(file.owner),
            group: name(file.group),
        },
    ))
}

fn check_users(raw: Vec<RawUser>) -> Result<BTreeMap<String, User>> {
    let mut users: BTreeMap<String, User> = BTreeMap::new();
    for user in raw {
        let good = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_".contains(c);
        if user.name.is_empty()
            || user.name.len() > 31
            || !user
                .name
                .starts_with(|c: char| c.is_ascii_lowercase() || c == '_')
            || !user.name.chars().all(good)
        {
            return Err(Error::input(format!("{:?} is not a user name", user.name)));
        }
        let uid = match (user.uid, user.name.as_str()) {
            (Some(uid), _) => uid,
            (None, "core") => 1000,
            (None, name) => {
                return Err(Error::input(format!("user {name} has no `uid`"))
                    .hint("ids must not change between releases; use 1001 to 59999"));
            }
        };
        if !(1000..60000).contains(&uid) {
            return Err(Error::input(format!(
                "uid {uid} of user {} is not in 1000 to 59999",
                user.name
            )));
        }
        if let Some((other, _)) = users.iter().find(|(_, u)| u.uid == uid) {
            return Err(Error::input(format!(
                "users {other} and {} both have uid {uid}",
                user.name
            )));
        }
        let one_line = |what: &str, text: &str| {
            if text.contains([':', '\n', '\0']) {
                return Err(Error::input(format!(
                    "{what} of user {} has a colon or a line break",
                    user.name
                )));
            }
            Ok(())
        };
        let home = user.home.unwrap_or_else(|| format!("/home/{}", user.name));
        let shell = user.shell.unwrap_or_else(|| "/bin/bash".to_owned());
        let comment = user.comment.unwrap_or_default();
        one_line("home", &home)?;
        one_line("shell", &shell)?;
        one_line("comment", &comment)?;
        one_line(
            "password_hash",
            user.password_hash.as_deref().unwrap_or_default(),
        )?;
        users.insert(
            user.name,
            User {
                uid,
                groups: user.groups.into_iter().collect(),
                ssh_authorized_keys: user.ssh_authorized_keys,
                shell,
                home,
                comment,
                password_hash: user.password_hash,
            },
        );
    }
    Ok(users)
}

fn check_hostname(name: &str) -> Result<()> {
    let label = |l: &str| {
        !l.is_empty()
            && l.len() <= 63
            && !l.starts_with('-')
            && !l.ends_with('-')
            && l.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
    };
    if name.len() > 64 || !name.split('.').all(label) {
        return Err(Error::input(format!("{name:?} is not a host name")));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(text: &str) -> String {
        Recipe::parse(&format!("extends: minimal\n{text}"))
            .unwrap_err()
            .chain()
    }

    #[test]
    fn refuses_what_cannot_work() {
        for (text, want) in [
            ("architecture: m68k", "not supported"),
            ("pockets: [updates]", "without `main`"),
            ("pockets: []", "without `main`"),
            ("pockets: [main, security, main]", "one twice"),
            ("pockets: [main, secure]", "`secure` is not allowed here"),
            ("version: 1_2", "cannot be used"),
            ("packages: ['vim=9']", "not a Debian package name"),
            ("enable: [docker]", "not a unit name"),
            (
                "enable: [a.service]\ndisable: [a.service]",
                "both enabled and disabled",
            ),
            (
                "enable: [a.service]\nmask: [a.service]",
                "both enabled and masked",
            ),
            ("cmdline: ['a b']", "not one word"),
            ("cmdline: ['usrhash=0']", "comes from the build"),
            ("hostname: a_b", "not a host name"),
            ("files: [{path: etc/x, content: x}]", "not absolute"),
            ("files: [{path: /home/x, content: x}]", "not in /usr"),
            ("files: [{path: /etc/../x, content: x}]", "leads out"),
            ("files: [{path: /etc/x, content: x, mode: '9'}]", "octal"),
            ("files: [{path: /etc/x}]", "neither"),
            ("users: [{name: a}]", "no `uid`"),
            ("users: [{name: a, uid: 1}]", "not in 1000"),
            ("users: [{name: a, uid: 1000}]", "both have uid"),
            ("users: [{name: A, uid: 1001}]", "not a user name"),
            ("sizes: {usr: 1000}", "multiple of 1 MiB"),
            (
                "units: [{name: a.service, drop_ins: [{name: x, content: y}]}]",
                "end in .conf",
            ),
        ] {
            assert!(error(text).contains(want), "{text}: {}", error(text));
        }
    }

    #[test]
    fn pockets_are_all_unless_a_recipe_says_less() {
        let pockets = |text: &str| Recipe::parse(text).unwrap().pockets;
        assert_eq!(pockets("extends: minimal"), Pocket::ALL);
        let text = "extends: minimal\npockets: [security, main]";
        assert_eq!(pockets(text), [Pocket::Main, Pocket::Security]);
    }

    #[test]
    fn asked_for_packages_are_never_excluded() {
        let recipe = Recipe::parse("extends: minimal\npackages: [perl-base]\n").unwrap();
        assert!(
            recipe.exclude.contains("perl-base")
                && !recipe.excluded().contains(&"perl-base".to_owned())
        );
    }
}
