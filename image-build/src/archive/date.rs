//! Dates as Debian's `Release` files write them, and back for messages.

use updater::tuf::Time;

const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];

/// Reads `Sat, 21 Nov 2026 00:53:03 UTC` (RFC 2822 with a UTC zone name), seconds
/// since the epoch.
pub(crate) fn parse(text: &str) -> Option<i64> {
    let text = text.trim();
    let text = text.split_once(',').map_or(text, |(_, rest)| rest);
    let mut words = text.split_whitespace();
    let day: i64 = words.next()?.parse().ok()?;
    let month = words.next()?;
    let month = MONTHS.iter().position(|m| *m == month)? as i64 + 1;
    let year: i64 = words.next()?.parse().ok()?;
    let mut clock = words.next()?.splitn(3, ':').map(|n| n.parse::<i64>().ok());
    let (hour, minute, second) = (clock.next()??, clock.next()??, clock.next()??);
    let utc = matches!(words.next(), Some("UTC" | "GMT" | "Z" | "+0000"));
    if !utc || words.next().is_some() || !(1970..=9999).contains(&year) {
        return None;
    }
    // A leap second is the one after it.
    let leap = i64::from(second == 60);
    let second = second - leap;
    let text = format!("{year}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z");
    let time: Time = text.parse().ok()?;
    Some(time.0 + leap)
}

/// `2026-11-21 00:53 UTC`.
pub(crate) fn format(time: i64) -> String {
    let text = Time(time).to_string();
    let minutes = text.rsplit_once(':').map_or(&*text, |(minutes, _)| minutes);
    format!("{} UTC", minutes.replace('T', " "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_and_writes() {
        assert_eq!(parse("Sat, 21 Nov 2026 00:53:03 UTC"), Some(1_795_222_383));
        assert_eq!(parse("Thu, 01 Jan 1970 00:00:00 UTC"), Some(0));
        assert_eq!(parse("Thu, 29 Feb 2024 12:00:00 GMT"), Some(1_709_208_000));
        assert_eq!(format(1_795_222_383), "2026-11-21 00:53 UTC");
        assert_eq!(format(1_709_208_000), "2024-02-29 12:00 UTC");
        for bad in [
            "",
            "Sat, 21 Nov 2026",
            "Sat, 21 Foo 2026 00:00:00 UTC",
            "1 Jan 2026 0:0:0 CET",
            "31 Feb 2026 00:00:00 UTC",
            "1 Jan 2026 -1:00:00 UTC",
            "9 Jan 99999999999999999999 0:0:0 UTC",
        ] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }

    proptest::proptest! {
        #[test]
        fn never_panics(text in ".{0,60}") {
            let _ = parse(&text);
        }
    }
}
