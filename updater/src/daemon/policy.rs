//! Who may call what.
//!
//! The message bus enforces the same rules with the files in `dist/dbus-1/system.d`;
//! the service looks again, so that a loosened bus policy gives nothing away.

/// The user `core` of every image.
pub const CORE_UID: u32 = 1000;

/// Members that `core` may call besides reading properties. As CoreOS had it.
pub(super) const FOR_CORE: [(&str, &str); 3] = [
    ("com.coreos.update1.Manager", "AttemptUpdate"),
    ("com.coreos.update1.Manager", "ResetStatus"),
    ("com.coreos.update1.Manager", "GetStatus"),
];

/// Whether a user may call a member. Root may call all.
pub fn may(uid: u32, interface: &str, member: &str) -> bool {
    match uid {
        0 => true,
        CORE_UID => FOR_CORE.contains(&(interface, member)),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const UPDATER1: &str = "org.holdfast.Updater1";

    /// A16: who may call.
    #[test]
    fn a16_only_root_controls_and_core_asks() {
        assert!(may(0, UPDATER1, "Rollback"));
        assert!(may(CORE_UID, "com.coreos.update1.Manager", "AttemptUpdate"));
        assert!(!may(CORE_UID, UPDATER1, "Rollback"));
        assert!(!may(CORE_UID, UPDATER1, "Update"));
        for uid in [1, 999, 1001, 65_534] {
            assert!(
                !may(uid, "com.coreos.update1.Manager", "GetStatus"),
                "{uid}"
            );
        }
    }

    /// A16: the bus has the same rules.
    #[test]
    fn a16_the_bus_policy_says_the_same() {
        let files = crate::dist::files();
        let of = |name: &str| {
            let path = format!("/usr/share/dbus-1/system.d/{name}.conf");
            files.iter().find(|(p, _)| *p == path).unwrap().1
        };
        for name in ["com.coreos.update1", UPDATER1] {
            let text = of(name);
            let mut sections = text.split("<policy ").skip(1);
            let (root, core, others) = (
                sections.next().unwrap(),
                sections.next().unwrap(),
                sections.next().unwrap(),
            );
            assert!(root.starts_with("user=\"root\""));
            assert!(root.contains(&format!("<allow own=\"{name}\"/>")));
            assert!(root.contains(&format!("<allow send_destination=\"{name}\"/>")));
            assert!(others.starts_with("context=\"default\""));
            assert!(others.contains(&format!("<deny send_destination=\"{name}\"/>")));
            assert!(!others.contains("<allow"));
            assert!(core.starts_with("user=\"core\""));
            let allowed: Vec<(String, String)> = core
                .split("<allow ")
                .skip(1)
                .filter_map(|rule| {
                    let get = |key: &str| {
                        let rest = rule.split_once(&format!("{key}=\""))?.1;
                        Some(rest.split_once('"')?.0.to_owned())
                    };
                    assert_eq!(get("send_destination").as_deref(), Some(name));
                    Some((get("send_interface")?, get("send_member")?))
                })
                .collect();
            for (interface, member) in &allowed {
                let reads = interface == "org.freedesktop.DBus.Properties"
                    && matches!(member.as_str(), "Get" | "GetAll")
                    && name == UPDATER1;
                assert!(
                    reads || may(CORE_UID, interface, member),
                    "{interface} {member}"
                );
            }
            let wanted = FOR_CORE.iter().filter(|(i, _)| i.starts_with(name));
            for (interface, member) in wanted {
                let rule = ((*interface).to_owned(), (*member).to_owned());
                assert!(allowed.contains(&rule), "{member}");
            }
        }
    }
}
