//! Which firmware started this system, and what systemd-boot says about it.

use std::fs;
use std::path::Path;

use serde::Serialize;

/// The firmware decides who counts tries: systemd-boot in file names, GRUB in its
/// environment block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Firmware {
    /// UEFI: systemd-boot.
    Uefi,
    /// BIOS: GRUB.
    Bios,
}

impl Firmware {
    /// Asks `/sys` below `root`.
    pub fn of_machine(root: &Path) -> Self {
        if root.join("sys/firmware/efi").exists() {
            Firmware::Uefi
        } else {
            Firmware::Bios
        }
    }
}

/// Vendor UUID of the variables of the Boot Loader Interface.
const VENDOR: &str = "4a67b082-0a4c-41cf-b6c7-440b29bb8c4f";

/// What systemd-boot left for the system it started. Nothing depends on it: it is
/// for people who ask.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Loader {
    /// Name and version: `systemd-boot 257.9-1`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub info: Option<String>,
    /// The entry that was booted, without its counters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub entry: Option<String>,
    /// The file that counts this boot, if the entry was on trial.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub counted: Option<String>,
}

impl Loader {
    /// Reads the variables below `root`. What is missing or strange is left out.
    pub fn of_machine(root: &Path) -> Self {
        let text = |name| text(&variable(root, name, VENDOR)?);
        Loader {
            info: text("LoaderInfo"),
            entry: text("LoaderEntrySelected"),
            counted: text("LoaderBootCountPath").map(|path| path.replace('\\', "/")),
        }
    }
}

/// The value of a variable of the firmware, below `root`. Four bytes of attributes are
/// before it.
pub(super) fn variable(root: &Path, name: &str, vendor: &str) -> Option<Vec<u8>> {
    let path = format!("sys/firmware/efi/efivars/{name}-{vendor}");
    let mut bytes = fs::read(root.join(path)).ok()?;
    (bytes.len() >= 4).then(|| bytes.split_off(4))
}

/// Text of a variable: UTF-16, NUL.
fn text(value: &[u8]) -> Option<String> {
    let (units, []) = value.as_chunks::<2>() else {
        return None;
    };
    let units: Vec<u16> = units
        .iter()
        .map(|unit| u16::from_le_bytes(*unit))
        .take_while(|unit| *unit != 0)
        .collect();
    String::from_utf16(&units)
        .ok()
        .filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_loader_interface() {
        let root = tempfile::tempdir().unwrap();
        assert_eq!(Firmware::of_machine(root.path()), Firmware::Bios);
        assert_eq!(Loader::of_machine(root.path()), Loader::default());
        let vars = root.path().join("sys/firmware/efi/efivars");
        fs::create_dir_all(&vars).unwrap();
        let put = |name: &str, value: &str| {
            let mut bytes = vec![6, 0, 0, 0];
            bytes.extend(value.encode_utf16().chain([0]).flat_map(u16::to_le_bytes));
            fs::write(vars.join(format!("{name}-{VENDOR}")), bytes).unwrap();
        };
        put("LoaderInfo", "systemd-boot 257");
        put("LoaderBootCountPath", "\\EFI\\Linux\\holdfast_2+2-1.efi");
        fs::write(
            vars.join(format!("LoaderEntrySelected-{VENDOR}")),
            [6, 0, 0, 0, 9],
        )
        .unwrap();
        assert_eq!(Firmware::of_machine(root.path()), Firmware::Uefi);
        assert_eq!(
            Loader::of_machine(root.path()),
            Loader {
                info: Some("systemd-boot 257".into()),
                entry: None,
                counted: Some("/EFI/Linux/holdfast_2+2-1.efi".into()),
            }
        );
    }
}
