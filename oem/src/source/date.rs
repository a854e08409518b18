//! Points in time as services write them: RFC 3339, and with an offset without colon
//! (`2026-01-31T10:00:00+0000`).

/// Seconds since 1970.
pub(crate) fn parse(text: &str) -> Option<i64> {
    let (date, time) = text.trim().split_once(['T', 't', ' '])?;
    let mut parts = date.split('-').map(digits);
    let (year, month, day) = (parts.next()??, parts.next()??, parts.next()??);
    let end = time.find(['Z', 'z', '+', '-']).unwrap_or(time.len());
    let (time, offset) = time.split_at(end);
    let time = time.split('.').next()?;
    let mut parts = time.split(':').map(digits);
    let (hour, minute, second) = (parts.next()??, parts.next()??, parts.next()??);
    let valid = (1970..=9999).contains(&year)
        && (1..=12).contains(&month)
        && (1..=31).contains(&day)
        && hour < 24
        && minute < 60
        && second <= 60;
    let seconds = days(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second;
    let utc = seconds - offset_of(offset)?;
    (valid && utc >= 0).then_some(utc)
}

/// `YYYYMMDDHHMMSSZ`, as sshd's `expiry-time` wants it. From 1970 to 9999.
pub(crate) fn compact(seconds: i64) -> String {
    let (mut year, mut rest) = (1970, seconds.div_euclid(86_400));
    let length = |year: i64| days(year + 1, 1, 1) - days(year, 1, 1);
    while rest >= length(year) {
        rest -= length(year);
        year += 1;
    }
    let start = days(year, 1, 1);
    let month = (1..=12)
        .rev()
        .find(|m| days(year, *m, 1) - start <= rest)
        .unwrap_or(1);
    let day = rest - (days(year, month, 1) - start) + 1;
    let time = seconds.rem_euclid(86_400);
    let (hour, minute, second) = (time / 3600, time / 60 % 60, time % 60);
    format!("{year:04}{month:02}{day:02}{hour:02}{minute:02}{second:02}Z")
}

/// RFC 3339, in UTC.
pub(crate) fn show(seconds: i64) -> String {
    let compact = compact(seconds);
    let part = |from: usize, to: usize| compact.get(from..to).unwrap_or_default();
    let date = [part(0, 4), part(4, 6), part(6, 8)].join("-");
    let time = [part(8, 10), part(10, 12), part(12, 14)].join(":");
    format!("{date}T{time}Z")
}

fn digits(text: &str) -> Option<i64> {
    let plain = (1..=4).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
    plain.then(|| text.parse().ok())?
}

/// Seconds to take off.
fn offset_of(text: &str) -> Option<i64> {
    let sign = match text.as_bytes() {
        [] | [b'Z' | b'z'] => return Some(0),
        [b'+', ..] => 1,
        [b'-', ..] => -1,
        _ => return None,
    };
    let plain = text[1..].replace(':', "");
    let number = digits(&plain).filter(|_| plain.len() == 4)?;
    let (hours, minutes) = (number / 100, number % 100);
    (hours < 24 && minutes < 60).then_some(sign * (hours * 3600 + minutes * 60))
}

/// Days since 1970 of a date of the Gregorian calendar.
fn days(year: i64, month: i64, day: i64) -> i64 {
    // Years begin in March: the leap day is their last.
    let year = if month <= 2 { year - 1 } else { year };
    let month = (month + 9) % 12;
    let leap = year / 4 - year / 100 + year / 400;
    year * 365 + leap + (month * 306 + 5) / 10 + day - 1 - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn known_points() {
        for (text, seconds, short) in [
            ("1970-01-01T00:00:00Z", 0, "19700101000000Z"),
            ("2000-02-29T23:59:59+0000", 951_868_799, "20000229235959Z"),
            (
                "2026-12-31T23:00:00.123-02:00",
                1_798_765_200,
                "20270101010000Z",
            ),
            ("2018-12-04T20:12:00+0000", 1_543_954_320, "20181204201200Z"),
        ] {
            assert_eq!(parse(text), Some(seconds), "{text}");
            assert_eq!(compact(seconds), short, "{text}");
        }
        for wrong in [
            "",
            "tomorrow",
            "2026-13-01T00:00:00Z",
            "2026-01-01",
            "2026-01-01T1:2",
            "2026-01-01T00:00:00+1",
        ] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn foreign_text_never_panics(text in "\\PC{0,30}", near in "[0-9TZ:+.-]{0,30}") {
            parse(&text);
            parse(&near);
        }

        #[test]
        fn there_and_back(seconds in 0i64..253_402_300_799) {
            prop_assert_eq!(parse(&show(seconds)), Some(seconds));
        }
    }
}
