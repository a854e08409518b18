//! Small values: durations and sizes.

use std::time::Duration;

/// `90s`, `45m`, `1h30m`, `2d`: whole numbers, each with its unit.
pub(crate) fn duration(text: &str) -> Option<Duration> {
    let mut rest = text;
    let mut seconds = 0u64;
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let number: u64 = rest.get(..digits)?.parse().ok()?;
        let unit = match rest.as_bytes().get(digits)? {
            b's' => 1,
            b'm' => 60,
            b'h' => 3600,
            b'd' => 86_400,
            _ => return None,
        };
        seconds = seconds.checked_add(number.checked_mul(unit)?)?;
        rest = rest.get(digits + 1..)?;
    }
    (!text.is_empty()).then(|| Duration::from_secs(seconds))
}

/// `1048576`, `512KiB`, `10MiB`, `1GiB`: bytes.
pub(super) fn size(text: &str) -> Option<u64> {
    let (number, unit) = [("KiB", 10), ("MiB", 20), ("GiB", 30)]
        .into_iter()
        .find_map(|(unit, shift)| Some((text.strip_suffix(unit)?, 1u64 << shift)))
        .unwrap_or((text, 1));
    let plain = !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit());
    plain
        .then(|| number.parse::<u64>().ok()?.checked_mul(unit))
        .flatten()
}

/// A duration in words: `1 h 30 min`.
pub(crate) fn in_words(seconds: u64) -> String {
    let units = [(86_400, "d"), (3600, "h"), (60, "min"), (1, "s")];
    let mut rest = seconds;
    let mut parts = Vec::new();
    for (unit, name) in units {
        if rest >= unit && parts.len() < 2 {
            parts.push(format!("{} {name}", rest / unit));
            rest %= unit;
        }
    }
    if parts.is_empty() {
        "0 s".to_owned()
    } else {
        parts.join(" ")
    }
}

/// Bytes in words: `613 B`, `3.4 kB`, `61.2 MB`.
pub(crate) fn size_in_words(bytes: u64) -> String {
    let units = [(1_000_000_000, "GB"), (1_000_000, "MB"), (1000, "kB")];
    let found = units.into_iter().find(|(unit, _)| bytes >= *unit);
    found.map_or(format!("{bytes} B"), |(unit, name)| {
        format!("{}.{} {name}", bytes / unit, bytes % unit / (unit / 10))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn durations() {
        let seconds = |text| duration(text).map(|d| d.as_secs());
        assert_eq!(seconds("90s"), Some(90));
        assert_eq!(seconds("1h30m"), Some(5400));
        assert_eq!(seconds("2d"), Some(172_800));
        for wrong in [
            "",
            "5",
            "m",
            "1.5h",
            "-1s",
            "1h 2m",
            "99999999999999999999s",
            "é",
        ] {
            assert_eq!(duration(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn sizes() {
        assert_eq!(size("10MiB"), Some(10 << 20));
        assert_eq!(size("5"), Some(5));
        for wrong in ["", "MiB", "1MB", "+1", "99999999999GiB"] {
            assert_eq!(size(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn words() {
        assert_eq!(in_words(0), "0 s");
        assert_eq!(in_words(5400), "1 h 30 min");
        assert_eq!(in_words(90_061), "1 d 1 h");
        assert_eq!(size_in_words(0), "0 B");
        assert_eq!(size_in_words(999), "999 B");
        assert_eq!(size_in_words(1099), "1.0 kB");
        assert_eq!(size_in_words(61_299_999), "61.2 MB");
        assert_eq!(size_in_words(u64::MAX), "18446744073.7 GB");
    }

    proptest! {
        #[test]
        fn never_panics(text in ".{0,80}") {
            let _ = (duration(&text), size(&text));
        }
    }
}
