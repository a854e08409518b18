//! What is on the EFI system partition.

use std::collections::BTreeMap;

use updater::bls::EntryName;
use updater::grub::{Slot, State};
use updater::version::Version;

use super::grub;
use crate::error::{Context, Error, Result};
use crate::recipe::Enroll;

/// Files of a FAT partition: path with `/` between parts, content.
pub type Files = BTreeMap<String, Vec<u8>>;

/// What goes onto the ESP.
#[derive(Debug, Clone, Copy)]
pub struct Content<'a> {
    /// systemd-boot (`systemd-bootx64.efi`).
    pub loader: &'a [u8],
    /// The UKI.
    pub uki: &'a [u8],
    /// Version of the release.
    pub version: &'a Version,
    /// Size of the partition in bytes.
    pub size: u64,
    /// Keys for firmware in setup mode.
    pub enroll: Option<&'a Enroll>,
}

/// Where systemd-boot looks for keys that it may enrol without being asked.
const KEYS: &str = "loader/keys/auto";

/// While one release is installed there may be the running one, the last good
/// one and the new one.
const RELEASES: u64 = 3;

/// Path of a release's UKI on the ESP, as long as it is not on trial.
pub fn uki_path(version: &Version) -> String {
    format!(
        "EFI/Linux/{}",
        EntryName {
            version: version.clone(),
            counters: None
        }
    )
}

/// The loaders' own files, the same for every slot.
pub fn loaders(loader: &[u8], enroll: Option<&Enroll>) -> Files {
    // No menu; a key held during start still shows it.
    let mut config = "timeout 0\nauto-firmware yes\n".to_owned();
    if let Some(enroll) = enroll {
        config.push_str(&format!("secure-boot-enroll {}\n", enroll.when.word()));
    }
    Files::from([
        ("EFI/BOOT/BOOTX64.EFI".to_owned(), loader.to_vec()),
        (
            "EFI/systemd/systemd-bootx64.efi".to_owned(),
            loader.to_vec(),
        ),
        ("loader/loader.conf".to_owned(), config.into_bytes()),
        ("loader/entries.srel".to_owned(), b"type1\n".to_vec()),
        ("grub/grub.cfg".to_owned(), grub::CONFIG.as_bytes().to_vec()),
    ])
}

/// The files of the ESP, with slot A as the one to boot.
pub fn files(content: &Content) -> Result<Files> {
    let uki = uki_path(content.version);
    let slot = Slot::from_uki(content.version, content.uki)
        .and_then(|slot| slot.script())
        .input(|| "describing the UKI to GRUB".to_owned())?;
    let state = State {
        order: vec!['a', 'b'],
        good: Some('a'),
        left: Vec::new(),
    };
    let state = state
        .write()
        .input(|| "making GRUB's environment block".to_owned())?;
    let mut files = loaders(content.loader, content.enroll);
    files.extend([
        (uki, content.uki.to_vec()),
        ("grub/a.cfg".to_owned(), slot.into_bytes()),
        ("grub/grubenv".to_owned(), state.to_vec()),
    ]);
    for (variable, file) in content.enroll.iter().flat_map(|enroll| &enroll.files) {
        files.insert(format!("{KEYS}/{variable}.auth"), file.clone());
    }
    let other: u64 = files.values().map(|f| f.len() as u64).sum::<u64>() - content.uki.len() as u64;
    // Tables and partly filled clusters take some of the room.
    let usable = content.size - content.size / 64;
    let need = other + RELEASES * content.uki.len() as u64;
    if need > usable {
        return Err(Error::refused(format!(
            "the ESP has {} MiB, and three releases with a UKI of {} MiB each need more",
            content.size >> 20,
            content.uki.len() >> 20
        ))
        .hint("enlarge `sizes.esp` in the recipe, or make kernel and initrd smaller"));
    }
    Ok(files)
}
