//! `swap`: a file for swapping, made once.

use super::CloudConfig;
use super::diag::At;
use super::read::{Fields, Reader};
use super::schema::Type::{As, Table};
use super::schema::{Section, key};
use super::shell::unit_of_path;
use super::units::{Unit, Verb};

const MAKER: &str = "oem-swapfile.service";
/// Largest file where the size is left to us.
const MAX: u64 = 4 << 30;

pub(super) const SECTION: Section = Section {
    title: "Swap",
    keys: &[
        key("swap", Table, "a swap file"),
        key("swap.filename", As("path"), "where; default /swap.img"),
        key(
            "swap.size",
            As("size or `auto`"),
            "bytes, or `512M`, `2G`; `auto` is as much as memory, at most `maxsize`",
        ),
        key("swap.maxsize", As("size"), "limit for `auto`; default 4G"),
    ],
    example: EXAMPLE,
    read,
};

const EXAMPLE: &str = "\
swap:
  filename: /swap.img
  size: auto
  maxsize: 2G
";

fn read(f: &Fields<'_>, config: &mut CloudConfig, r: &mut Reader) {
    let Some((spot, node)) = f.entry("swap") else {
        return;
    };
    let Some(f) = r.table(node, "swap", SECTION.keys, "swap.") else {
        return;
    };
    let path = match f.line("filename", r) {
        None => "/swap.img".to_owned(),
        Some(path) => {
            let plain = |b: u8| b.is_ascii_alphanumeric() || b"/._-".contains(&b);
            let fault = super::path_fault(&path.value);
            if fault.is_some() || !path.value.bytes().all(plain) {
                let hint = "an absolute path of letters, digits and `._-`";
                r.error(
                    path.spot,
                    &f.key("filename"),
                    "not a path for a swap file",
                    hint,
                );
                return;
            }
            path.value
        }
    };
    let Some(size) = f.line("size", r) else {
        return;
    };
    let most = match f.line("maxsize", r) {
        None => MAX,
        Some(text) => match bytes(&text.value) {
            Some(n) => n,
            None => {
                r.error(text.spot, &f.key("maxsize"), "not a size", "e.g. `2G`");
                return;
            }
        },
    };
    let size = if size.value == "auto" {
        // `$$` is a dollar in a unit file.
        format!(
            "while read -r name kb unit; do [ \"$$name\" != MemTotal: ] || break; done < /proc/meminfo; size=$$((kb * 1024)); [ \"$$size\" -le {most} ] || size={most}"
        )
    } else {
        match bytes(&size.value) {
            Some(0) => return,
            Some(n) if n >= 40 << 10 => format!("size={n}"),
            _ => {
                r.error(
                    size.spot,
                    &f.key("size"),
                    "not a size",
                    "bytes, `512M`, `2G` or `auto`",
                );
                return;
            }
        }
    };
    let name = unit_of_path(&path, "swap");
    let mut maker = Unit::named(MAKER, spot);
    // Whole or not at all: it gets its name when it is done.
    maker.content = Some(format!(
        "[Unit]\nDescription=Make the swap file {path}\nDefaultDependencies=no\nConditionPathExists=!{path}\nRequiresMountsFor={path}\nAfter=systemd-remount-fs.service\nConflicts=shutdown.target\nBefore=shutdown.target\n\n\
         [Service]\nType=oneshot\nRemainAfterExit=yes\nUMask=0077\n\
         ExecStart=/usr/bin/sh -euc '{size}; rm -f {path}.new; fallocate -l \"$$size\" {path}.new; mkswap {path}.new; sync {path}.new; mv {path}.new {path}'\n"
    ));
    let mut unit = Unit::named(name, spot);
    unit.content = Some(format!(
        "[Unit]\nDescription=Swap file {path}\nRequires={MAKER}\nAfter={MAKER}\n\n[Swap]\nWhat={path}\n\n[Install]\nWantedBy=swap.target\n"
    ));
    unit.enable = true;
    unit.command = Some(Verb::Start);
    config
        .units
        .extend([maker, unit].map(|value| At { spot, value }));
}

/// A size: bytes, or with a letter of 1024 and its powers.
pub(super) fn bytes(text: &str) -> Option<u64> {
    let text = text.trim().trim_end_matches("iB").trim_end_matches('B');
    let (digits, scale) = match text.char_indices().next_back()? {
        (at, 'K' | 'k') => (&text[..at], 10),
        (at, 'M' | 'm') => (&text[..at], 20),
        (at, 'G' | 'g') => (&text[..at], 30),
        (at, 'T' | 't') => (&text[..at], 40),
        _ => (text, 0),
    };
    digits.trim().parse::<u64>().ok()?.checked_mul(1 << scale)
}
