//! Key-value pairs for the host (Hyper-V's data exchange). hv_kvp_daemon passes on what
//! is in its pool files: records of 512 bytes of key and 2048 of value, padded with
//! zeros. Without the daemon there are none, and nothing to write to.

use crate::provider::Verdict;
use crate::source::date;
use std::fs::OpenOptions;
use std::io::{ErrorKind, Result, Write as _};
use std::path::Path;

/// Pairs from the guest.
const POOL: &str = "var/lib/hyperv/.kvp_pool_1";
const KEY: usize = 512;
const VALUE: usize = 2048;
/// Longest value a host shows, in bytes: 1024 units of UTF-16.
const SHOWN: usize = 1024;

/// The key under which provisioning agents tell how it went.
pub(super) const PROVISIONING_REPORT: &str = "PROVISIONING_REPORT";

/// The value for it, as Azure's own agents write it: fields between `|`.
pub(super) fn provisioning_report(verdict: &Verdict<'_>, now: u64) -> String {
    let agent = concat!("agent=holdfast-oem/", env!("CARGO_PKG_VERSION"));
    let machine = verdict.metadata.instance_id.as_deref().unwrap_or("unknown");
    let time = date::show(i64::try_from(now).unwrap_or_default());
    let result = match verdict.wrong {
        None => "result=success".to_owned(),
        Some(wrong) => {
            let reason: String = wrong.chars().take(400).collect();
            format!("result=error|reason={}", reason.replace('|', "/"))
        }
    };
    format!("{result}|{agent}|pps_type=None|vm_id={machine}|timestamp={time}")
}

/// Adds a pair; whether there is a pool to add it to.
pub(super) fn append(root: &Path, key: &str, value: &str) -> Result<bool> {
    match OpenOptions::new().append(true).open(root.join(POOL)) {
        // One write, so that the daemon never reads half a record.
        Ok(mut file) => file.write_all(&record(key, value)).map(|()| true),
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(false),
        Err(e) => Err(e),
    }
}

fn record(key: &str, value: &str) -> Vec<u8> {
    let mut out = vec![0; KEY + VALUE];
    let key = cut(key, KEY - 1);
    let value = cut(value, SHOWN - 1);
    out[..key.len()].copy_from_slice(key);
    out[KEY..KEY + value.len()].copy_from_slice(value);
    out
}

/// At most so many bytes, in whole characters.
fn cut(text: &str, most: usize) -> &[u8] {
    &text.as_bytes()[..text.floor_char_boundary(most)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_have_their_size_whatever_is_in_them() {
        let record = record("é".repeat(400).as_str(), &"ä".repeat(4000));
        assert_eq!(record.len(), KEY + VALUE);
        assert_eq!((record[KEY - 2], record[KEY - 1]), (0, 0));
        assert!(std::str::from_utf8(&record).is_ok());
    }

    #[test]
    fn appends_only_to_a_pool_that_is_there() {
        let root = tempfile::tempdir().unwrap();
        assert!(!append(root.path(), "a", "b").unwrap());
        let pool = root.path().join(POOL);
        std::fs::create_dir_all(pool.parent().unwrap()).unwrap();
        std::fs::write(&pool, vec![1; KEY + VALUE]).unwrap();
        assert!(append(root.path(), "a", "b").unwrap());
        let bytes = std::fs::read(&pool).unwrap();
        assert_eq!(bytes.len(), 2 * (KEY + VALUE));
        assert_eq!((bytes[KEY + VALUE], bytes[2 * KEY + VALUE]), (b'a', b'b'));
    }
}
