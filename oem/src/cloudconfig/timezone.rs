//! `timezone`.

use super::CloudConfig;
use super::diag::At;
use super::read::{Fields, Reader};
use super::schema::Type::Text;
use super::schema::{Section, key};
use super::write_files::{Link, Need, WriteFile};

const ZONES: &str = "/usr/share/zoneinfo";

pub(super) const SECTION: Section = Section {
    title: "Time zone",
    keys: &[key(
        "timezone",
        Text,
        "time zone by its IANA name, e.g. `Europe/Berlin`",
    )],
    example: EXAMPLE,
    read,
};

const EXAMPLE: &str = "\
timezone: Europe/Berlin
";

fn read(f: &Fields<'_>, config: &mut CloudConfig, r: &mut Reader) {
    let Some(zone) = f.line("timezone", r) else {
        return;
    };
    let name = zone.value.as_str();
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"_+-/".contains(&b);
    if !name.starts_with(|c: char| c.is_ascii_alphabetic()) || !name.bytes().all(plain) {
        r.error(
            zone.spot,
            "timezone",
            "not the name of a time zone",
            "write it as `Europe/Berlin`, or `UTC`",
        );
        return;
    }
    let target = format!("{ZONES}/{name}");
    config.links.push(At {
        spot: zone.spot,
        value: Link {
            path: "/etc/localtime".to_owned(),
            need: Some(Need {
                any_of: vec![target.clone()],
                within: ZONES,
                why: format!("there is no time zone {name}"),
                hint: "`timedatectl list-timezones` has their names; mind capital letters",
            }),
            target,
        },
    });
    let file = WriteFile::text("/etc/timezone", format!("{name}\n"), zone.spot);
    config.write_files.push(file.at(zone.spot));
}
