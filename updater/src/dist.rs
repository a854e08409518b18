//! Files that belong to this program in an image.
//!
//! - `updater.service`, enabled by what [`enabled`] says. It starts when the boot is
//!   through, and so costs it no time;
//! - `updater-trial.service`, which waits for nothing: it ends trial boots that hang,
//!   see [`crate::health::deadline`];
//! - a boot is complete when `multi-user.target` is reached, and what else says that it
//!   comes before `boot-complete.target`;
//! - the message bus's policy: who may call (see [`crate::daemon`]), and how it starts
//!   the service;
//! - systemd's hardware watchdog: systemd pings the device for as long as it works
//!   itself; a machine that hangs is reset after a minute, which costs a trial boot one
//!   of its tries, and so leads back to the release that was good. A reboot that does
//!   not come to its end is reset after ten minutes;
//! - systemd's own blessing of boots is turned off, so that only health checks decide.

/// Files that go into images: path below `/usr/lib`, or from `/`; content.
pub fn files() -> &'static [(&'static str, &'static str)] {
    macro_rules! files {
        ($($path:literal from $source:literal),+ $(,)?) => {
            &[$(($path, include_str!(concat!("../dist/", $source)))),+]
        };
    }
    files![
        "systemd/system/updater.service" from "systemd/system/updater.service",
        "systemd/system/updater-trial.service" from "systemd/system/updater-trial.service",
        "systemd/system/boot-complete.target.d/10-holdfast.conf"
            from "systemd/system/boot-complete.target.d/10-holdfast.conf",
        "systemd/system/systemd-bless-boot.service.d/10-holdfast.conf"
            from "systemd/system/systemd-bless-boot.service.d/10-holdfast.conf",
        "systemd/system.conf.d/10-holdfast-watchdog.conf"
            from "systemd/system.conf.d/10-holdfast-watchdog.conf",
        "/usr/share/dbus-1/system.d/com.coreos.update1.conf"
            from "dbus-1/system.d/com.coreos.update1.conf",
        "/usr/share/dbus-1/system.d/org.holdfast.Updater1.conf"
            from "dbus-1/system.d/org.holdfast.Updater1.conf",
        "/usr/share/dbus-1/system-services/com.coreos.update1.service"
            from "dbus-1/system-services/com.coreos.update1.service",
        "/usr/share/dbus-1/system-services/org.holdfast.Updater1.service"
            from "dbus-1/system-services/org.holdfast.Updater1.service",
    ]
}

/// Units to enable; where they go is in their `[Install]` sections.
pub fn enabled() -> &'static [&'static str] {
    &["updater.service", "updater-trial.service"]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_service_does_not_wait_for_what_it_judges() {
        let (_, unit) = files()[0];
        assert!(unit.contains("\nWants=boot-complete.target\n"));
        let waits = unit.lines().filter(|l| l.starts_with("After="));
        assert!(
            waits
                .flat_map(str::split_whitespace)
                .all(|u| !u.contains("boot-complete"))
        );
        assert!(unit.contains("\n[Install]\nWantedBy="));
    }

    #[test]
    fn enabled_units_are_shipped() {
        for unit in enabled() {
            let path = format!("systemd/system/{unit}");
            assert!(files().iter().any(|(p, _)| *p == path), "{unit}");
        }
    }
}
