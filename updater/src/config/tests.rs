//! Every folder of `testdata/config` is a root; `expected.txt` says what is read from
//! it. `UPDATE_TESTDATA=1` writes these anew.

use std::fmt::Write as _;
use std::path::Path;

use jiff::civil::{Weekday, time};
use jiff::tz::TimeZone;

use super::*;

fn render(loaded: &Loaded) -> String {
    let mut out = String::new();
    let c = &loaded.config;
    let default = Config::default();
    let mut tell = |name: &str, value: String, default: String| {
        if value != default {
            let _ = writeln!(out, "{name}: {value}");
        }
    };
    macro_rules! tell {
        ($($field:ident)+) => {
            $(tell(stringify!($field), format!("{:?}", c.$field), format!("{:?}", default.$field));)+
        };
    }
    tell!(enabled servers channel pin group poll_interval stale_after rate_limit proxy);
    tell!(health_timeout health_check_timeout strategy warning);
    for w in &c.windows {
        let zone = w.zone.iana_name().unwrap_or("?");
        let _ = writeln!(
            out,
            "window: {:?} {} {} min {zone}",
            w.days, w.start, w.minutes
        );
    }
    let mut problems: Vec<String> = Vec::new();
    for problem in &loaded.problems {
        let hint = problem.hint.iter().map(|h| format!("\n  hint: {h}"));
        problems.push(format!("{problem}{}\n", hint.collect::<String>()));
    }
    out + &problems.concat()
}

#[test]
fn testdata() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/config");
    let mut cases: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|e| e.unwrap().path())
        .collect();
    cases.sort();
    assert!(cases.len() > 10);
    for case in cases {
        let shown = render(&load(&case));
        let path = case.join("expected.txt");
        if std::env::var_os("UPDATE_TESTDATA").is_some() {
            std::fs::write(&path, &shown).unwrap();
        }
        let expected = std::fs::read_to_string(&path).unwrap_or_default();
        assert_eq!(shown, expected, "{}", case.display());
    }
}

#[test]
fn nothing_configured_is_no_problem() {
    let loaded = load(Path::new("/nonexistent"));
    assert_eq!(loaded.config, Config::default());
    assert_eq!(loaded.problems, []);
}

/// F14: whatever is wrong in a file, there is a problem (so nothing reboots), and a
/// file that cannot be read keeps updates from being looked for.
#[test]
fn f14_mistakes_fail_closed() {
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join("etc/holdfast/update.d");
    std::fs::create_dir_all(&folder).unwrap();
    // (text, whether updates may still be looked for)
    let cases: [(&[u8], bool); 13] = [
        (b"reboot-strategie: off\n", true),
        (b"reboot-strategy: sometimes\n", true),
        (b"reboot-windows: [{start: '02:00', length: 0m}]\n", true),
        (b"reboot-windows: [{start: '24:00', length: 1h}]\n", true),
        (b"reboot-windows: [{start: '02:00', length: 25h}]\n", true),
        (
            b"reboot-windows: [{start: '02:00', length: 1h, days: []}]\n",
            true,
        ),
        (
            b"reboot-windows: [{start: '02:00', length: 1h, zone: Mars/Olympus}]\n",
            true,
        ),
        (
            b"reboot-windows:\n- {start: '02:00', length: 1h}\n- {start: '02:30', length: 1h}\n",
            true,
        ),
        (b"enabled: maybe\n", false),
        (b"enabled: [\n", false),
        (b"- enabled\n", false),
        (b"channel: a\nchannel: b\n", false),
        (b"\xff\xfe", false),
    ];
    for (text, enabled) in cases {
        std::fs::write(folder.join("10-x.yaml"), text).unwrap();
        let loaded = load(root.path());
        let text = String::from_utf8_lossy(text);
        assert!(!loaded.problems.is_empty(), "{text}");
        assert_eq!(loaded.config.enabled, enabled, "{text}");
    }
}

/// A16: neither a FIFO nor an endless file holds up the daemon.
#[test]
fn a16_strange_files_are_refused() {
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join("run/holdfast/update.d");
    std::fs::create_dir_all(&folder).unwrap();
    let mode = nix::sys::stat::Mode::S_IRUSR;
    nix::unistd::mkfifo(&folder.join("a.yaml"), mode).unwrap();
    std::os::unix::fs::symlink("/dev/zero", folder.join("b.yaml")).unwrap();
    let big = std::fs::File::create(folder.join("c.yaml")).unwrap();
    big.set_len(1 << 40).unwrap();
    let loaded = load(root.path());
    assert_eq!(loaded.problems.len(), 3, "{:?}", loaded.problems);
    assert!(!loaded.config.enabled);
}

fn window(days: &[Weekday], hour: i8, minute: i8, minutes: u32) -> Window {
    Window {
        days: days.to_vec(),
        start: time(hour, minute, 0, 0),
        minutes,
        // Central European time by its rule.
        zone: TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap(),
    }
}

/// Seconds since 1970 of a UTC time.
fn utc(text: &str) -> i64 {
    text.parse::<jiff::Timestamp>().unwrap().as_second()
}

#[test]
fn windows_open_and_close() {
    let friday = [window(&[Weekday::Friday], 22, 0, 180)];
    // 22:00 in winter is 21:00 UTC; the window reaches into Saturday.
    let opens = utc("2026-11-20T21:00:00Z");
    let closes = utc("2026-11-21T00:00:00Z");
    assert_eq!(opening(&friday, opens - 1), Opening::ClosedUntil(opens));
    assert_eq!(opening(&friday, opens), Opening::OpenUntil(closes));
    assert_eq!(opening(&friday, closes - 1), Opening::OpenUntil(closes));
    let next = utc("2026-11-27T21:00:00Z");
    assert_eq!(opening(&friday, closes), Opening::ClosedUntil(next));
    assert_eq!(opening(&[], 0), Opening::Always);
    let whole_week = [window(&[Weekday::Monday], 0, 0, 7 * 24 * 60)];
    assert!(matches!(opening(&whole_week, opens), Opening::OpenUntil(_)));
}

/// F14: the hour that does not exist, and the one that exists twice.
#[test]
fn f14_daylight_saving_time() {
    let sunday = [window(&[Weekday::Sunday], 2, 30, 60)];
    // 2026-03-29: 02:00 CET is followed by 03:00 CEST. 02:30 means 03:30 CEST.
    let gap = utc("2026-03-29T01:30:00Z");
    let before = utc("2026-03-29T00:00:00Z");
    assert_eq!(opening(&sunday, before), Opening::ClosedUntil(gap));
    assert_eq!(opening(&sunday, gap), Opening::OpenUntil(gap + 3600));
    // 2026-10-25: 03:00 CEST is followed by 02:00 CET. 02:30 means the first.
    let twice = utc("2026-10-25T00:30:00Z");
    assert_eq!(opening(&sunday, twice), Opening::OpenUntil(twice + 3600));
    let next = utc("2026-11-01T01:30:00Z");
    assert_eq!(opening(&sunday, twice + 3600), Opening::ClosedUntil(next));
}

#[test]
fn no_time_makes_windows_stumble() {
    let all = [window(&[Weekday::Sunday], 23, 59, 7 * 24 * 60)];
    for now in [i64::MIN, -1, 0, i64::MAX, 253_402_207_200] {
        let _ = opening(&all, now);
    }
}

/// What `oem` makes of `coreos.update` and `coreos.locksmith` is in this language.
#[test]
fn what_oem_writes_is_understood() {
    let cases = Path::new(env!("CARGO_MANIFEST_DIR")).join("../oem/testdata/apply");
    let read = |case: &str| {
        let loaded = load(&cases.join(case).join("expected"));
        assert_eq!(loaded.problems, [], "{case}");
        loaded.config
    };
    let config = read("06-updates");
    assert_eq!(config.servers, ["http://10.0.0.7:8080/shop"]);
    assert_eq!(config.channel, "beta");
    assert_eq!(config.group, "web.front");
    assert_eq!(config.strategy, Strategy::Reboot);
    let [window] = &config.windows[..] else {
        panic!("{:?}", config.windows)
    };
    assert_eq!((window.days.len(), window.minutes), (1, 120));
    let config = read("07-updates-wrong");
    assert_eq!(
        (config.channel.as_str(), config.strategy),
        ("alpha", Strategy::EtcdLock)
    );
    assert_eq!(read("04-bad-items").strategy, Strategy::Off);
}
