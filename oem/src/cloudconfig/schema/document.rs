//! The keys as a document for users, in Markdown.

use super::{COREOS, Key, SECTIONS, Section, refused, sections};
use std::fmt::Write as _;

const HEAD: &str = "\
# Keys of cloud-config

<!-- Written by `oem schema --markdown`, and compared with it by a test. -->

User-data that begins with the line `#cloud-config` is YAML with the keys below. They are CoreOS's and cloud-init's; `-` may
be written for `_` in each. `oem validate FILE` checks a file on any machine: every finding has its line, its column and,
where there is one, a suggestion. `oem plan --user-data FILE --root DIR` shows what applying it would write.

- **Placeholders.** `$public_ipv4`, `$private_ipv4`, `$public_ipv6` and `$private_ipv6` (also in braces: `${public_ipv4}`) are
  replaced in texts, but not in commands of `runcmd` and `bootcmd`. `\\$` keeps a dollar.
- **Secrets.** A value may be `credential:NAME` where the tables say so: the secret itself is then one of the machine's
  credentials (<https://systemd.io/CREDENTIALS/>), from the hypervisor (SMBIOS, fw_cfg), in `/etc/credstore`, or encrypted
  for this machine by `systemd-creds encrypt` in `/etc/credstore.encrypted`. It is read when it is applied and is in no plan,
  status, journal or inventory. What has no such credential is told, and the rest is applied.
- **How often.** What has no word about it is a state: it is looked at in every boot, and written where it differs.
- **Editors.** `oem schema --json-schema` prints a JSON Schema (draft 2020-12), which is also in
  [cloud-config.schema.json](cloud-config.schema.json). Editors with a YAML language server take it from a second line
  `# yaml-language-server: $schema=PATH`.

";

/// The whole document.
pub fn markdown() -> String {
    let mut out = HEAD.to_owned();
    out += "## All keys\n\n";
    out += "*accepted*: it is so already, or means nothing here. *not applied*: warned about, with what to use instead. ";
    out += "Fields of tables are further down, with an example.\n\n";
    contents(&mut out, "At the top level", SECTIONS);
    contents(&mut out, "In the table `coreos`", COREOS);
    out += "Of other keys that cloud-init and CoreOS have, [the last chapter](#known-and-not-applied) tells what to use instead.\n";
    for section in sections() {
        chapter(&mut out, section);
    }
    out += "\n## Known and not applied\n\n";
    out += "They are warned about, with the line they are on; the rest of the file is applied.\n\n";
    out += "| key | use instead |\n|---|---|\n";
    let mut keys: Vec<_> = refused().collect();
    // Those of one reason stand together.
    keys.sort_by_key(|(name, instead)| (name.contains('.'), *instead));
    for keys in keys.chunk_by(|a, b| a.1 == b.1 && a.0.contains('.') == b.0.contains('.')) {
        let names: Vec<String> = keys.iter().map(|(name, _)| format!("`{name}`")).collect();
        let _ = writeln!(out, "| {} | {} |", names.join(", "), cell(keys[0].1));
    }
    out
}

fn contents(out: &mut String, title: &str, sections: &[&Section]) {
    let _ = write!(
        out,
        "### {title}\n\n| key | state | does | how often | since |\n|---|---|---|---|---|\n"
    );
    for section in sections {
        for key in section.keys.iter().filter(|k| k.is_top()) {
            let _ = writeln!(
                out,
                "| [`{}`](#{}) | {} | {} | {} | {} |",
                key.name,
                anchor(section.title),
                key.fate.as_str(),
                cell(key.about),
                key.frequency.map(|f| f.as_str()).unwrap_or_default(),
                key.since
            );
        }
    }
    out.push('\n');
}

fn chapter(out: &mut String, section: &Section) {
    let _ = write!(out, "\n## {}\n\n", section.title);
    if !section.example.is_empty() {
        let _ = write!(out, "```yaml\n#cloud-config\n{}```\n\n", section.example);
    }
    out.push_str("| key | value | does |\n|---|---|---|\n");
    for key in section.keys {
        let _ = writeln!(
            out,
            "| `{}` | {} | {} |",
            key.name,
            cell(&key.kind_told()),
            cell(&told(key))
        );
    }
}

fn told(key: &Key) -> String {
    let since = match key.since {
        "0.1" => String::new(),
        since => format!(" (since {since})"),
    };
    key.told() + &since
}

/// Text in a table.
fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}

/// Where a heading can be reached, as Markdown renderers name it.
fn anchor(title: &str) -> String {
    title
        .to_lowercase()
        .chars()
        .filter_map(|c| match c {
            ' ' => Some('-'),
            c if c.is_alphanumeric() || c == '-' || c == '_' => Some(c),
            _ => None,
        })
        .collect()
}
