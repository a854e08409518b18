//! Files that belong to this program in an image.

/// Units: path below `/usr/lib`, content.
pub fn files() -> &'static [(&'static str, &'static str)] {
    macro_rules! units {
        ($($name:literal),+ $(,)?) => {
            &[$((
                concat!("systemd/system/", $name),
                include_str!(concat!("../dist/systemd/system/", $name)),
            )),+]
        };
    }
    units![
        "oem-local.service",
        "oem-refresh.service",
        "oem-refresh.timer",
        "oem.service",
        "oem.target",
        "system-config.target",
        "user-config.target",
    ]
}

/// Units to enable; where they go is in their `[Install]` sections.
pub fn enabled() -> &'static [&'static str] {
    &["oem-local.service", "oem.service", "oem-refresh.timer"]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn enabled_units_are_shipped_and_say_where() {
        for unit in enabled() {
            let path = format!("systemd/system/{unit}");
            let (_, content) = files().iter().find(|(p, _)| *p == path).unwrap();
            assert!(content.contains("\n[Install]\nWantedBy="), "{unit}");
        }
    }

    #[test]
    fn nothing_that_leads_to_sshd_waits_for_the_network_stage() {
        let (_, unit) = files()
            .iter()
            .find(|(p, _)| p.ends_with("/oem.service"))
            .unwrap();
        let before = unit.lines().filter_map(|l| l.strip_prefix("Before="));
        for name in before.flat_map(str::split_whitespace) {
            assert!(
                matches!(name, "user-config.target" | "oem.target"),
                "{name}"
            );
        }
        assert!(!unit.contains("network-online.target"));
    }
}
