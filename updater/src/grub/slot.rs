//! What GRUB boots from a slot, and which slot it boots.

use std::fmt::Write as _;

use super::env::{BadEnv, Env};
use crate::bls::{Counters, EntryName, FOLDER, TRIES};
use crate::uki;
use crate::version::Version;

/// `grub/SLOT.cfg`: a GRUB script that sets four variables and does nothing else.
/// Kernel and initrd are sectors of the UKI itself (GRUB block lists,
/// `FIRST+COUNT`, 512 bytes each), so nothing is on the ESP twice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Slot {
    /// Paths that the UKI may have on the ESP, absolute:
    /// `/EFI/Linux/holdfast_1.2.efi`. systemd-boot counts tries in the name; GRUB
    /// takes the first that is there and not empty, so the script never changes.
    pub uki: Vec<String>,
    /// First sector and number of sectors of the kernel in the UKI.
    pub linux: (u64, u64),
    /// The same for the initrd.
    pub initrd: (u64, u64),
    /// Kernel command line.
    pub cmdline: String,
}

/// Why GRUB could not boot this.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadSlot {
    /// Not a PE file, or cut short.
    #[error("{0}")]
    Uki(#[from] uki::BadUki),
    /// A section is missing or not aligned to sectors.
    #[error("the UKI's section {0} is missing, or does not start on a 512-byte sector")]
    Section(&'static str),
    /// A character that GRUB's script language would read as its own.
    #[error("`{0}` cannot be written into a GRUB script")]
    Text(String),
}

impl Slot {
    /// Finds kernel, initrd and command line in the UKI of a release.
    pub fn from_uki(version: &Version, bytes: &[u8]) -> Result<Self, BadSlot> {
        let sections = uki::sections(bytes)?;
        let blocks = |name: &'static str| {
            let section = sections
                .iter()
                .find(|s| s.name == name && s.offset % 512 == 0);
            let section = section.ok_or(BadSlot::Section(name))?;
            Ok::<_, BadSlot>((section.offset / 512, section.len.div_ceil(512)))
        };
        let cmdline = uki::text(bytes, ".cmdline")?.ok_or(BadSlot::Section(".cmdline"))?;
        Ok(Slot {
            uki: names(version),
            linux: blocks(".linux")?,
            initrd: blocks(".initrd")?,
            cmdline,
        })
    }

    /// The script.
    pub fn script(&self) -> Result<String, BadSlot> {
        let mut out = String::new();
        let (linux, initrd) = (self.linux, self.initrd);
        for value in self.uki.iter().chain([&self.cmdline]) {
            // Within single quotes GRUB takes everything else as it is.
            if value.contains(['\'', '\n', '\0']) {
                return Err(BadSlot::Text(value.clone()));
            }
        }
        let uki: String = self.uki.iter().map(|path| format!(" '{path}'")).collect();
        let _ = writeln!(out, "set uki=\nfor path in{uki}; do");
        let _ = writeln!(out, "  if [ -z \"$uki\" ]; then");
        let _ = writeln!(
            out,
            "    if [ -s \"$path\" ]; then set uki=\"$path\"; fi\n  fi"
        );
        let _ = writeln!(out, "done\nset cmdline='{}'", self.cmdline);
        let _ = writeln!(out, "set linux={}+{}", linux.0, linux.1);
        let _ = writeln!(out, "set initrd={}+{}", initrd.0, initrd.1);
        Ok(out)
    }
}

/// Every name that a release's UKI has in its life: good, on trial, given up.
fn names(version: &Version) -> Vec<String> {
    let trial = (0..=TRIES).map(|done| (TRIES - done, done));
    let bad = (0..TRIES).map(|done| (0, done));
    let counters = trial
        .chain(bad)
        .map(|(left, done)| Some(Counters { left, done }));
    std::iter::once(None)
        .chain(counters)
        .map(|counters| {
            let version = version.clone();
            format!("/{FOLDER}/{}", EntryName { version, counters })
        })
        .collect()
}

/// The slots' order and counters, as the environment block holds them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct State {
    /// Slots, preferred first.
    pub order: Vec<char>,
    /// The slot last known good.
    pub good: Option<char>,
    /// Tries left of the slots that are on trial.
    pub left: Vec<(char, u8)>,
}

impl State {
    /// Reads the variables; what GRUB would not understand is left out.
    pub fn read(env: &Env) -> Self {
        let one = |text: &str| text.chars().next().filter(|_| text.len() == 1);
        let get = |name: &str| env.vars.get(name).map(String::as_str);
        let left = |slot: char| {
            let value = get(&format!("{slot}_left")).filter(|v| !v.is_empty())?;
            // GRUB passes over a slot whose counter is not one digit.
            let left = match value.as_bytes() {
                [digit @ b'0'..=b'9'] => digit - b'0',
                _ => 0,
            };
            Some((slot, left))
        };
        State {
            order: get("order")
                .unwrap_or_default()
                .split(' ')
                .filter_map(one)
                .collect(),
            good: get("good").and_then(one),
            left: ['a', 'b'].into_iter().filter_map(left).collect(),
        }
    }

    /// The block to write over the old one, in place.
    pub fn write(&self) -> Result<[u8; super::ENV_SIZE], BadEnv> {
        let order: Vec<String> = self.order.iter().map(char::to_string).collect();
        let mut env = Env::default();
        env.vars.insert("order".to_owned(), order.join(" "));
        if let Some(good) = self.good {
            env.vars.insert("good".to_owned(), good.to_string());
        }
        for (slot, left) in &self.left {
            // One digit is all that grub.cfg can count.
            env.vars
                .insert(format!("{slot}_left"), left.min(&9).to_string());
        }
        env.encode()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn state_round_trip() {
        let state = State {
            order: vec!['b', 'a'],
            good: Some('a'),
            left: vec![('b', 3)],
        };
        let env = Env::parse(&state.write().unwrap()).unwrap();
        assert_eq!(State::read(&env), state);
        assert_eq!(env.vars["order"], "b a");
    }

    #[test]
    fn a_counter_that_grub_cannot_count_is_used_up() {
        for text in ["31", "+5", "x", "-1"] {
            let mut env = Env::default();
            env.vars.insert("b_left".to_owned(), text.to_owned());
            assert_eq!(State::read(&env).left, [('b', 0)], "{text}");
        }
    }

    #[test]
    fn scripts_are_quoted() {
        let mut slot = Slot {
            uki: vec!["/1.efi".into(), "/1+3.efi".into()],
            linux: (10, 20),
            initrd: (30, 4),
            cmdline: "usrhash=00 a=$b \"c d\"".into(),
        };
        assert_eq!(
            slot.script().unwrap(),
            "set uki=\nfor path in '/1.efi' '/1+3.efi'; do\n  \
             if [ -z \"$uki\" ]; then\n    if [ -s \"$path\" ]; then set uki=\"$path\"; fi\n  fi\ndone\n\
             set cmdline='usrhash=00 a=$b \"c d\"'\nset linux=10+20\nset initrd=30+4\n"
        );
        slot.cmdline = "it's".into();
        assert!(slot.script().is_err());
    }

    #[test]
    fn names_cover_a_uki_s_life() {
        let names = names(&"7".parse().unwrap());
        let short: Vec<&str> = names
            .iter()
            .map(|n| n.strip_prefix("/EFI/Linux/holdfast_7").unwrap())
            .collect();
        assert_eq!(
            short,
            [
                ".efi", "+3.efi", "+2-1.efi", "+1-2.efi", "+0-3.efi", "+0.efi", "+0-1.efi",
                "+0-2.efi"
            ]
        );
    }
}
