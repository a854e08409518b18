//! `Retry-After` (RFC 9110, 10.2.3): seconds, or a date.

use std::time::Duration;

/// No server may silence an updater for longer: that would be a freeze.
const LONGEST: Duration = Duration::from_secs(24 * 3600);

/// How long to stay away. A date is compared with the answer's own `Date`, as this
/// machine's clock may be wrong; without one, with `now` (seconds since 1970).
pub(super) fn parse(value: &str, date: Option<&str>, now: u64) -> Option<Duration> {
    let value = value.trim();
    let seconds = if !value.is_empty() && value.bytes().all(|b| b.is_ascii_digit()) {
        value.parse().unwrap_or(u64::MAX)
    } else {
        let now = date.and_then(http_date).unwrap_or(now);
        http_date(value)?.saturating_sub(now)
    };
    Some(Duration::from_secs(seconds).min(LONGEST))
}

/// Seconds since 1970 of `Sun, 06 Nov 1994 08:49:37 GMT`. The two obsolete forms
/// are not read.
fn http_date(text: &str) -> Option<u64> {
    const MONTHS: [&str; 12] = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ];
    let words: Vec<&str> = text.split(' ').collect();
    let [_, day, month, year, time, "GMT"] = words[..] else {
        return None;
    };
    let number = |digits: &str, most: u64| -> Option<u64> {
        let all = digits.len() <= 4 && digits.bytes().all(|b| b.is_ascii_digit());
        digits.parse().ok().filter(|n| all && *n <= most)
    };
    let month = MONTHS.iter().position(|m| *m == month)? as u64 + 1;
    let (day, year) = (number(day, 31)?, number(year, 9999)?);
    let mut clock = time.split(':');
    let (hour, minute) = (number(clock.next()?, 23)?, number(clock.next()?, 59)?);
    let second = number(clock.next()?, 60)?;
    if clock.next().is_some() || year < 1970 || day == 0 {
        return None;
    }
    // Days from 1970-01-01, with years that begin in March.
    let (y, m) = (year - u64::from(month <= 2), (month + 9) % 12);
    let days: u64 = y * 365 + y / 4 - y / 100 + y / 400 + (m * 153 + 2) / 5 + (day - 1);
    let days = days.checked_sub(719_468)?;
    Some(((days * 24 + hour) * 60 + minute) * 60 + second)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reads_seconds_and_dates() {
        let date = "Sun, 06 Nov 1994 08:49:37 GMT";
        assert_eq!(http_date(date), Some(784_111_777));
        assert_eq!(http_date("Thu, 01 Jan 1970 00:00:00 GMT"), Some(0));
        assert_eq!(
            http_date("Thu, 29 Feb 2024 23:59:59 GMT"),
            Some(1_709_251_199)
        );
        let seconds = |s| Some(Duration::from_secs(s));
        assert_eq!(parse("120", None, 0), seconds(120));
        assert_eq!(parse(" 0 ", None, 0), seconds(0));
        assert_eq!(parse(date, None, 784_111_700), seconds(77));
        let earlier = "Sun, 06 Nov 1994 08:49:00 GMT";
        assert_eq!(parse(date, Some(earlier), 5), seconds(37));
        assert_eq!(parse(earlier, Some(date), 5), seconds(0));
        for bad in ["", "-1", "1.5", "soon", "Sun, 06 Nov 1994", "+5"] {
            assert_eq!(parse(bad, None, 0), None, "{bad}");
        }
    }

    #[test]
    fn a5_no_server_asks_for_more_than_a_day() {
        for long in ["99999999999999999999999", "Fri, 31 Dec 9999 23:59:59 GMT"] {
            assert_eq!(parse(long, None, 0), Some(LONGEST));
        }
    }

    proptest! {
        #[test]
        fn never_panics(value in ".{0,40}", a in 0u32..99, b in 0u32..99, c in 0u32..99999) {
            parse(&value, Some(&value), 0);
            http_date(&format!("Mon, {a} Feb {c} {b}:{a}:{b} GMT"));
        }
    }
}
