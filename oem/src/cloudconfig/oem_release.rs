//! `coreos.oem`: what the OEM partition says about itself, in /etc/oem-release.

use super::read::{Fields, Reader};
use super::schema::Type::{As, Table, Text};
use super::schema::{Section, key};
use super::{CloudConfig, WriteFile};

pub(super) const SECTION: Section = Section {
    title: "OEM",
    keys: &[
        key(
            "coreos.oem",
            Table,
            "what the OEM partition says about itself, in /etc/oem-release",
        ),
        key(
            "coreos.oem.id",
            Text,
            "ID in that file; without it nothing is written",
        ),
        key("coreos.oem.name", Text, "NAME in that file"),
        key("coreos.oem.version_id", Text, "VERSION_ID in that file"),
        key("coreos.oem.home_url", As("URL"), "HOME_URL in that file"),
        key(
            "coreos.oem.bug_report_url",
            As("URL"),
            "BUG_REPORT_URL in that file",
        ),
    ],
    example: EXAMPLE,
    read,
};

const EXAMPLE: &str = "\
coreos:
  oem:
    id: example
    name: Example Cloud
    version_id: 1.2.0
    home_url: https://cloud.example.com/
    bug_report_url: https://cloud.example.com/bugs
";

fn read(coreos: &Fields<'_>, config: &mut CloudConfig, r: &mut Reader) {
    let Some(node) = coreos.get("oem") else {
        return;
    };
    let Some(f) = r.table(node, "coreos.oem", SECTION.keys, "coreos.oem.") else {
        return;
    };
    let mut value = |name: &str| f.line(name, r).map(|l| l.value).unwrap_or_default();
    let (id, version, name) = (value("id"), value("version_id"), value("name"));
    let (home, bugs) = (value("home_url"), value("bug_report_url"));
    if id.is_empty() {
        r.warn(
            f.spot,
            "coreos.oem",
            "without an `id` nothing is written",
            "add `id:`",
        );
        return;
    }
    let quoted = |text: &str| text.replace(['"', '\\'], "");
    let text = format!(
        "ID={id}\nVERSION_ID={version}\nNAME=\"{}\"\nHOME_URL=\"{}\"\nBUG_REPORT_URL=\"{}\"\n",
        quoted(&name),
        quoted(&home),
        quoted(&bugs)
    );
    let file = WriteFile::text("/etc/oem-release", text, f.spot);
    config.write_files.push(file.at(f.spot));
}
