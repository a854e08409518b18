//! Dates as Debian's `Release` files write them, and back for messages.

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
    let sane = (1970..=9999).contains(&year)
        && (1..=31).contains(&day)
        && (0..24).contains(&hour)
        && (0..60).contains(&minute)
        && (0..=60).contains(&second);
    (utc && sane && words.next().is_none())
        .then(|| days(year, month, day) * 86400 + hour * 3600 + minute * 60 + second)
}

/// `2026-11-21 00:53 UTC`.
pub(crate) fn format(time: i64) -> String {
    let (day, rest) = (time.div_euclid(86400), time.rem_euclid(86400));
    // The inverse of `days`, after the same calendar that starts in March.
    let z = day + 719_468;
    let era = z.div_euclid(146_097);
    let doe = z.rem_euclid(146_097);
    let yoe = (doe - doe / 1460 + doe / 36_524 - doe / 146_096) / 365;
    let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    let mp = (5 * doy + 2) / 153;
    let month = if mp < 10 { mp + 3 } else { mp - 9 };
    let year = yoe + era * 400 + i64::from(month <= 2);
    let date = doy - (153 * mp + 2) / 5 + 1;
    format!(
        "{year:04}-{month:02}-{date:02} {:02}:{:02} UTC",
        rest / 3600,
        rest / 60 % 60
    )
}

/// Days since 1970-01-01 in the Gregorian calendar (years that start in March
/// make leap days the last of their year).
fn days(year: i64, month: i64, day: i64) -> i64 {
    let y = year - i64::from(month <= 2);
    let era = y.div_euclid(400);
    let yoe = y.rem_euclid(400);
    let doy = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + yoe * 365 + yoe / 4 - yoe / 100 + doy - 719_468
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
