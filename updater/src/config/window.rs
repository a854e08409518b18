//! Windows of the week in which a reboot may happen.

use jiff::civil::{Date, Time, Weekday};
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan as _};

use super::merged::{Origin, unknown};
use super::{Entry, Problem, Value, text};

/// A window: opens on `days` at `start` of its zone's clock, for `length`.
///
/// Daylight saving time: a window whose start the clock skips opens as much later
/// as the clock jumps (`02:30` becomes 03:30); a start that the clock has twice
/// means the first. A window is always open for its whole `length` of real time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Window {
    /// Days on which it opens, Monday first.
    pub days: Vec<Weekday>,
    /// Time of day at which it opens.
    pub start: Time,
    /// Minutes for which it is open; 1 to a week's.
    pub minutes: u32,
    /// Whose clock is meant.
    pub zone: TimeZone,
}

/// Whether a reboot may happen now, as far as windows say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Opening {
    /// There are no windows.
    Always,
    /// Open until then, in seconds since 1970.
    OpenUntil(i64),
    /// Closed until then, in seconds since 1970.
    ClosedUntil(i64),
    /// None opens within two weeks: no calendar can be reckoned at this date.
    Never,
}

const WEEK: u32 = 7 * 24 * 60;
const DAYS: [(&str, Weekday); 7] = [
    ("mon", Weekday::Monday),
    ("tue", Weekday::Tuesday),
    ("wed", Weekday::Wednesday),
    ("thu", Weekday::Thursday),
    ("fri", Weekday::Friday),
    ("sat", Weekday::Saturday),
    ("sun", Weekday::Sunday),
];

impl Window {
    /// When it opens and closes on that day of its zone's calendar.
    fn on(&self, date: Date) -> Option<(i64, i64)> {
        if !self.days.contains(&date.weekday()) {
            return None;
        }
        let start = date.to_datetime(self.start);
        let start = self.zone.to_timestamp(start).ok()?.as_second();
        Some((start, start + 60 * i64::from(self.minutes)))
    }

    /// Its openings from eight days before `now` to fifteen days after it.
    fn around(&self, now: Timestamp) -> impl Iterator<Item = (i64, i64)> + '_ {
        let today = self.zone.to_datetime(now).date();
        (-8..=15).filter_map(move |days: i32| self.on(today.checked_add(days.days()).ok()?))
    }

    /// Minutes of the week at which it opens, Monday 00:00 being 0.
    fn starts(&self) -> impl Iterator<Item = u32> + '_ {
        let minute = self.start.hour().unsigned_abs() as u32 * 60
            + self.start.minute().unsigned_abs() as u32;
        self.days
            .iter()
            .map(move |day| day.to_monday_zero_offset().unsigned_abs() as u32 * 24 * 60 + minute)
    }
}

/// Whether a reboot may happen at `now`, in seconds since 1970.
pub(crate) fn opening(windows: &[Window], now: i64) -> Opening {
    if windows.is_empty() {
        return Opening::Always;
    }
    let Ok(stamp) = Timestamp::from_second(now) else {
        return Opening::Never;
    };
    let all = || windows.iter().flat_map(|w| w.around(stamp));
    if let Some(end) = all()
        .filter(|(start, end)| (*start..*end).contains(&now))
        .map(|(_, end)| end)
        .max()
    {
        return Opening::OpenUntil(end);
    }
    let next = all().map(|(start, _)| start).filter(|s| *s > now).min();
    next.map_or(Opening::Never, Opening::ClosedUntil)
}

/// Reads and checks the list of windows.
pub(super) fn read(origin: &Origin) -> Result<Vec<Window>, Problem> {
    let items = origin.items()?;
    let mut windows = Vec::new();
    for item in &items {
        windows.push(one(item)?);
    }
    refuse_overlaps(&items, &windows)?;
    Ok(windows)
}

/// Two windows of one zone that are open at the same time are a mistake: which of
/// them was meant to be the limit?
fn refuse_overlaps(items: &[Origin], windows: &[Window]) -> Result<(), Problem> {
    let mut seen: Vec<(u32, &Window)> = Vec::new();
    for (item, window) in items.iter().zip(windows) {
        for start in window.starts() {
            let clash = seen.iter().any(|(other, with)| {
                let gap = |from: u32, to: u32| (to + WEEK - from) % WEEK;
                with.zone == window.zone
                    && (gap(*other, start) < with.minutes || gap(start, *other) < window.minutes)
            });
            if clash {
                return Err(item.wrong("this window overlaps another, or itself"));
            }
            seen.push((start, window));
        }
    }
    Ok(())
}

fn one(item: &Origin) -> Result<Window, Problem> {
    let Value::Map(entries) = &item.value else {
        return Err(item.wrong("a window is a mapping with `start` and `length`"));
    };
    let known = ["days", "start", "length", "zone"];
    if let Some(entry) = entries.iter().find(|e| !known.contains(&e.key.as_str())) {
        return Err(unknown(&item.file, entry.spot, &entry.key, known));
    }
    let get = |key: &str| {
        let entry: &Entry = entries.iter().find(|e| e.key == key)?;
        Some(Origin {
            file: item.file.clone(),
            spot: entry.value_spot,
            value: entry.value.clone(),
        })
    };
    let need = |key: &str| get(key).ok_or_else(|| item.wrong(format!("`{key}` is missing")));
    let days = match get("days") {
        None => DAYS.map(|(_, day)| day).to_vec(),
        Some(days) => read_days(&days)?,
    };
    let zone = match get("zone") {
        None => TimeZone::UTC,
        Some(zone) => read_zone(&zone)?,
    };
    Ok(Window {
        days,
        start: read_start(&need("start")?)?,
        minutes: read_length(&need("length")?)?,
        zone,
    })
}

fn read_days(origin: &Origin) -> Result<Vec<Weekday>, Problem> {
    if matches!(&origin.value, Value::Text(text) if text == "daily") {
        return Ok(DAYS.map(|(_, day)| day).to_vec());
    }
    let mut days = Vec::new();
    for item in origin.items()? {
        let text = item.text()?.to_lowercase();
        let day = DAYS
            .into_iter()
            .find(|(short, day)| text == *short || text == format!("{day:?}").to_lowercase());
        let Some((_, day)) = day else {
            let names = DAYS.map(|(name, _)| name);
            return Err(unknown(&item.file, item.spot, &text, names));
        };
        if days.contains(&day) {
            return Err(item.wrong("this day is here twice"));
        }
        days.push(day);
    }
    if days.is_empty() {
        return Err(origin.wrong("a window without days never opens"));
    }
    days.sort_by_key(|d| d.to_monday_zero_offset());
    Ok(days)
}

fn read_start(origin: &Origin) -> Result<Time, Problem> {
    let parse = |text: &str| {
        let (hour, minute) = text.split_once(':')?;
        let digits = |t: &str| !t.is_empty() && t.bytes().all(|b| b.is_ascii_digit());
        let good = digits(hour) && hour.len() <= 2 && digits(minute) && minute.len() == 2;
        let time = || Time::new(hour.parse().ok()?, minute.parse().ok()?, 0, 0).ok();
        good.then(time).flatten()
    };
    parse(origin.text()?).ok_or_else(|| {
        origin
            .wrong("is not a time of day")
            .hint("write it as 04:30, from 00:00 to 23:59")
    })
}

fn read_length(origin: &Origin) -> Result<u32, Problem> {
    let hint = "write it as 30m or 1h30m: whole minutes, at most 7d";
    let Some(length) = text::duration(origin.text()?) else {
        return Err(origin.wrong("is not a duration").hint(hint));
    };
    let seconds = length.as_secs();
    match u32::try_from(seconds / 60) {
        Ok(0) => Err(origin.wrong("a window of no length never opens").hint(hint)),
        Ok(minutes @ 1..=WEEK) if seconds % 60 == 0 => Ok(minutes),
        _ => Err(origin.wrong("is not a length of a window").hint(hint)),
    }
}

fn read_zone(origin: &Origin) -> Result<TimeZone, Problem> {
    let name = origin.text()?;
    TimeZone::get(name).map_err(|_| {
        origin
            .wrong(format!(
                "{name:?} is not a time zone that this system knows"
            ))
            .hint("use a name of the IANA database, such as Europe/Berlin or UTC")
    })
}
