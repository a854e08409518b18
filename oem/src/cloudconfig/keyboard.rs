//! `keyboard`.

use super::CloudConfig;
use super::read::{Fields, Reader};
use super::schema::{Section, key};
use super::write_files::WriteFile;

pub(super) const SECTION: Section = Section {
    keys: &[
        key(
            "keyboard.layout",
            "text",
            "layout of the console's keyboard, e.g. `de`",
        ),
        key("keyboard.model", "text", "model; default pc105"),
        key("keyboard.variant", "text", "variant of the layout"),
        key("keyboard.options", "text", "options of XKB"),
    ],
    read,
};

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
