//! Somebody who may write to a directory swaps it, or what is in it, for a link, after it
//! was looked at and before it is written to.

use super::setup::{applied, planned, user_data};
use super::*;
use crate::status::State;
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

struct Machine {
    temp: tempfile::TempDir,
}

const VICTIM: &str = "root's own";

impl Machine {
    /// With a directory of everybody's, and something of root's outside of it.
    fn new() -> Machine {
        let temp = tempfile::tempdir().unwrap();
        let machine = Machine { temp };
        for dir in ["root/etc/cron.d", "root/srv/app/conf.d", "outside"] {
            fs::create_dir_all(machine.at(dir)).unwrap();
        }
        let open = fs::Permissions::from_mode(0o777);
        fs::set_permissions(machine.at("root/srv/app"), open).unwrap();
        fs::write(machine.at("root/etc/shadow"), VICTIM).unwrap();
        machine
    }
    fn at(&self, path: &str) -> PathBuf {
        self.temp.path().join(path)
    }
    fn root(&self) -> Root {
        Root::open(&self.at("root")).unwrap()
    }
    /// Whether only what was asked for was written, where it was asked for.
    fn is_unharmed(&self) -> bool {
        let is_empty = |path: &str| fs::read_dir(self.at(path)).unwrap().count() == 0;
        is_empty("outside")
            && is_empty("root/etc/cron.d")
            && fs::read_to_string(self.at("root/etc/shadow")).unwrap() == VICTIM
    }
}

const FILES: &str = "#cloud-config\nwrite_files:\n\
    - {path: /srv/app/conf.d/a, content: x, permissions: '0644'}\n\
    - {path: /srv/app/new/deep/b, content: x, append: true}\n";

/// Puts a link in the place of a directory.
fn swap(dir: &Path, target: &str) {
    if dir.symlink_metadata().is_ok() {
        fs::rename(dir, dir.with_extension("away")).unwrap();
    }
    symlink(target, dir).unwrap();
}

#[test]
fn a_directory_swapped_for_a_link_between_plan_and_apply_is_not_followed() {
    for target in ["/etc/cron.d", "../../../outside", "../../etc/cron.d"] {
        for name in ["conf.d", "new"] {
            let machine = Machine::new();
            let root = machine.root();
            let (_, plan) = planned(&root, &user_data(FILES));
            swap(&machine.at("root/srv/app").join(name), target);
            let done = apply(&plan, &root, None).unwrap();
            assert!(machine.is_unharmed(), "{name} -> {target}");
            let failed: Vec<_> = done
                .resources
                .iter()
                .filter(|r| r.state == State::Failed)
                .collect();
            let [failed] = &failed[..] else {
                panic!("{name} -> {target}: {failed:?}")
            };
            let why = failed.detail.as_deref().unwrap_or_default();
            let link = format!("{name} is a link in a directory that others");
            assert!(why.contains(&link), "{why}");
            assert!(failed.hint.is_some());
        }
    }
}

#[test]
fn nothing_leads_elsewhere_whenever_it_is_swapped() {
    for name in ["conf.d", "new"] {
        for changes in 0.. {
            let machine = Machine::new();
            let root = machine.root();
            let (_, plan) = planned(&root, &user_data(FILES));
            let dir = machine.at("root/srv/app").join(name);
            root.before_change(changes, move || {
                if dir.parent().is_some_and(Path::exists) {
                    swap(&dir, "/etc/cron.d");
                }
            });
            apply(&plan, &root, None).unwrap();
            assert!(machine.is_unharmed(), "{name} before change {changes}");
            if !root.has_happened() {
                assert!(changes > 5);
                break;
            }
        }
    }
}

#[test]
fn a_file_swapped_for_a_link_is_replaced_and_not_written_through() {
    for changes in 0.. {
        let machine = Machine::new();
        let root = machine.root();
        let file = machine.at("root/srv/app/conf.d/a");
        let (_, plan) = planned(&root, &user_data(FILES));
        let to = file.clone();
        root.before_change(changes, move || {
            let _ = fs::remove_file(&to);
            symlink("/etc/shadow", &to).unwrap();
        });
        apply(&plan, &root, None).unwrap();
        assert!(machine.is_unharmed(), "before change {changes}");
        if !root.has_happened() {
            assert_eq!(fs::read_to_string(&file).unwrap(), "x");
            break;
        }
    }
}

#[test]
fn links_of_root_are_followed_inside_the_root() {
    let machine = Machine::new();
    fs::create_dir_all(machine.at("root/data/app")).unwrap();
    symlink("../data", machine.at("root/srv/one")).unwrap();
    symlink("/srv/one", machine.at("root/srv/two")).unwrap();
    symlink("../../../../data", machine.at("root/srv/up")).unwrap();
    symlink("round", machine.at("root/srv/round")).unwrap();
    let text = "#cloud-config\nwrite_files:\n- {path: /srv/two/app/a, content: x}\n\
        - {path: /srv/up/b, content: x}\n- {path: /srv/round/c, content: x}\n";
    let report = applied(&machine.root(), &user_data(text));
    assert_eq!(
        fs::read_to_string(machine.at("root/data/app/a")).unwrap(),
        "x"
    );
    assert_eq!(fs::read_to_string(machine.at("root/data/b")).unwrap(), "x");
    assert!(machine.is_unharmed());
    assert_eq!(report.count(State::Failed), 1, "{}", report.render());
}

#[test]
fn what_is_too_large_to_compare_stays() {
    let machine = Machine::new();
    let large = fs::File::create(machine.at("root/etc/large")).unwrap();
    large.set_len(1 << 30).unwrap();
    let text = "#cloud-config\nwrite_files: [{path: /etc/large, content: x}, {path: /etc/a, content: x}]\n";
    let report = applied(&machine.root(), &user_data(text));
    assert!(machine.at("root/etc/a").exists());
    assert_eq!(large.metadata().unwrap().len(), 1 << 30);
    let failed = report.resources.iter().find(|r| r.state == State::Failed);
    let failed = failed.unwrap();
    assert!(
        failed
            .detail
            .as_deref()
            .unwrap()
            .contains("larger than 16 MiB")
    );
    assert!(failed.hint.is_some());
}
