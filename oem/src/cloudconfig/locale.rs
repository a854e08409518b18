//! `locale`.

use super::CloudConfig;
use super::read::{Fields, Reader};
use super::schema::Type::{As, Text};
use super::schema::{Section, key};
use super::write_files::{Need, WriteFile};

const LOCALES: &str = "/usr/lib/locale";
/// Where PAM and systemd look.
const DEFAULT: &str = "/etc/default/locale";

pub(super) const SECTION: Section = Section {
    title: "Locale",
    keys: &[
        key(
            "locale",
            Text,
            "LANG for logins and services, if the image has it",
        ),
        key(
            "locale_configfile",
            As("path"),
            "LANG is in the files that PAM and systemd read",
        )
        .not_applied(),
    ],
    example: EXAMPLE,
    read,
};

const EXAMPLE: &str = "\
locale: C.UTF-8
";

fn read(f: &Fields<'_>, config: &mut CloudConfig, r: &mut Reader) {
    if let Some((spot, _)) = f.entry("locale_configfile") {
        let why = "not applied: LANG is in /etc/default/locale and /etc/locale.conf";
        r.warn(spot, "locale_configfile", why, "leave the key out");
    }
    let Some(locale) = f.line("locale", r) else {
        return;
    };
    let name = locale.value.as_str();
    if matches!(name, "false" | "False" | "none" | "") {
        return;
    }
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"_.@-".contains(&b);
    if !name.bytes().all(plain) {
        r.error(
            locale.spot,
            "locale",
            "not the name of a locale",
            "write it as `C.UTF-8`",
        );
        return;
    }
    let built_in = ["C", "POSIX"].contains(&name)
        || ["c.utf-8", "c.utf8"].contains(&name.to_ascii_lowercase().as_str());
    let need = (!built_in).then(|| Need {
        any_of: folders(name),
        within: "/usr/lib",
        why: format!("this image has no data for the locale {name}"),
        hint: "add the package `locales-all` to the image's recipe, or use `C.UTF-8`",
    });
    for path in [DEFAULT, "/etc/locale.conf"] {
        let mut file = WriteFile::text(path, format!("LANG={name}\n"), locale.spot);
        file.need = need.clone();
        config.write_files.push(file.at(locale.spot));
    }
}

/// Where glibc looks: all in one archive, or a folder with the code set in short.
fn folders(name: &str) -> Vec<String> {
    let short = match name.split_once('.') {
        Some((language, set)) => {
            let set: String = set.chars().filter(|c| *c != '-').collect();
            format!("{language}.{}", set.to_ascii_lowercase())
        }
        None => name.to_owned(),
    };
    vec![
        format!("{LOCALES}/{name}/LC_CTYPE"),
        format!("{LOCALES}/{short}/LC_CTYPE"),
        format!("{LOCALES}/locale-archive"),
    ]
}
