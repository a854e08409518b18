//! `keyboard`.

use super::CloudConfig;
use super::read::{Fields, Reader};
use super::schema::Type::{Table, Text};
use super::schema::{Section, key};
use super::write_files::WriteFile;

pub(super) const SECTION: Section = Section {
    title: "Keyboard",
    keys: &[
        key("keyboard", Table, "keyboard of the console"),
        key("keyboard.layout", Text, "its layout, e.g. `de`"),
        key("keyboard.model", Text, "model; default pc105"),
        key("keyboard.variant", Text, "variant of the layout"),
        key("keyboard.options", Text, "options of XKB"),
    ],
    example: EXAMPLE,
    read,
};

const EXAMPLE: &str = "\
keyboard:
  layout: de
  model: pc105
  variant: nodeadkeys
  options: ctrl:nocaps
";

fn read(f: &Fields<'_>, config: &mut CloudConfig, r: &mut Reader) {
    let Some(node) = f.get("keyboard") else {
        return;
    };
    let Some(f) = r.table(node, "keyboard", SECTION.keys, "keyboard.") else {
        return;
    };
    let mut field = |name: &str| -> Option<String> {
        let line = f.line(name, r)?;
        let plain = |b: u8| b.is_ascii_alphanumeric() || b"_:,-()+".contains(&b);
        if line.value.bytes().all(plain) {
            return Some(line.value);
        }
        r.error(line.spot, &f.key(name), "not a word of XKB", "");
        None
    };
    let model = field("model").unwrap_or_else(|| "pc105".to_owned());
    let variant = field("variant").unwrap_or_default();
    let options = field("options").unwrap_or_default();
    let Some(layout) = field("layout").filter(|l| !l.is_empty()) else {
        r.error(f.spot, "keyboard", "needs a `layout`", "e.g. `layout: de`");
        return;
    };
    let text = format!(
        "KEYMAP={layout}\nXKBLAYOUT={layout}\nXKBMODEL={model}\nXKBVARIANT={variant}\nXKBOPTIONS={options}\n"
    );
    let file = WriteFile::text("/etc/vconsole.conf", text, f.spot);
    config.write_files.push(file.at(f.spot));
}
