//! Time stamps as text, from seconds since the epoch (UTC). Builds never ask the
//! clock: their one time comes from the lock.

/// Year, month, day, hour, minute, second of a Unix time.
fn civil(epoch: i64) -> (i64, u32, u32, u32, u32, u32) {
    let days = epoch.div_euclid(86_400);
    let secs = epoch.rem_euclid(86_400);
    // Days from civil, inverted (proleptic Gregorian calendar, eras of 400 years).
    let z = days + 719_468;
    let era = z.div_euclid(146_097);
    let doe = z.rem_euclid(146_097);
    let yoe = (doe - doe / 1_460 + doe / 36_524 - doe / 146_096) / 365;
    let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    let mp = (5 * doy + 2) / 153;
    let day = doy - (153 * mp + 2) / 5 + 1;
    let month = if mp < 10 { mp + 3 } else { mp - 9 };
    let year = yoe + era * 400 + i64::from(month <= 2);
    let small = |n: i64| u32::try_from(n).unwrap_or(0);
    (
        year,
        small(month),
        small(day),
        small(secs / 3600),
        small(secs / 60 % 60),
        small(secs % 60),
    )
}

/// `2026-11-22T14:12:00Z` (RFC 3339).
pub fn rfc3339(epoch: i64) -> String {
    let (y, mo, d, h, mi, s) = civil(epoch);
    format!("{y:04}-{mo:02}-{d:02}T{h:02}:{mi:02}:{s:02}Z")
}

/// `20261122.1412`: the default version of an image.
pub fn version(epoch: i64) -> String {
    let (y, mo, d, h, mi, _) = civil(epoch);
    format!("{y:04}{mo:02}{d:02}.{h:02}{mi:02}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_dates() {
        assert_eq!(rfc3339(0), "1970-01-01T00:00:00Z");
        assert_eq!(rfc3339(951_782_400), "2000-02-29T00:00:00Z");
        assert_eq!(rfc3339(1_763_820_720), "2025-11-22T14:12:00Z");
        assert_eq!(version(1_763_820_720), "20251122.1412");
    }
}
