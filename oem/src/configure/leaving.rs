//! What goes with whoever asked for it: lines of a file that several share, drop-ins of
//! units that run; and what is known of programs that the power cut short.

use super::tests::Recorder;
use super::*;
use crate::status::{Resource, State};
use crate::userdata::Offline;
use std::fs;

struct Machine {
    temp: tempfile::TempDir,
    systemd: Recorder,
}

impl Machine {
    fn new(running: &[&str]) -> Machine {
        let running = running.iter().map(|u| (*u).to_owned()).collect();
        Machine {
            temp: tempfile::tempdir().unwrap(),
            systemd: Recorder::running(running),
        }
    }
    fn apply(&self, oem: Option<&str>, user_data: &str) -> Report {
        let root = Root::open(self.temp.path()).unwrap();
        let fetched = Fetched {
            metadata: Metadata {
                instance_id: Some("i-1".to_owned()),
                ..Metadata::default()
            },
            ..setup::user_data(user_data)
        };
        let oem = oem.map(str::as_bytes);
        let intake = Intake::of(oem, &fetched, &mut Offline);
        let obtained = intake.obtained(Heard::Whole, oem, &fetched, &[]);
        let plan = intake.plan(&fetched.metadata, &root, &obtained).unwrap();
        apply(&plan, &root, Some(&self.systemd)).unwrap()
    }
    fn read(&self, path: &str) -> String {
        fs::read_to_string(self.temp.path().join(path)).unwrap_or_default()
    }
    fn put(&self, path: &str, text: &str) {
        let path = self.temp.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
}

const HOST: &str = "#cloud-config\nhostname: a\n";

#[test]
fn units_of_a_template_stop_with_it() {
    let units = |image: &str| {
        format!(
            "#cloud-config\ncoreos:\n  units:\n    - name: web@.service\n      content: |\n        [Service]\n        \
             ExecStart=/bin/web %i\n        [Install]\n        WantedBy=multi-user.target\n    - name: web@1.service\n      \
             enable: true\n      command: start\n    - name: {image}\n      enable: true\n"
        )
    };
    let machine = Machine::new(&["web@1.service", "own@2.service"]);
    machine.put(
        "usr/lib/systemd/system/own@.service",
        "[Install]\nWantedBy=multi-user.target\n",
    );
    machine.apply(None, &units("own@2.service"));
    machine.apply(None, HOST);
    assert!(machine.systemd.called("stop web@1.service"));
    // The image's own is no longer enabled, which is all.
    assert!(!machine.systemd.called("stop own@2.service"));
}

#[test]
fn mounts_of_a_layer_that_is_gone_leave_fstab() {
    let oem = "#cloud-config\nmounts: [[/dev/vdb, /srv/oem]]\n";
    let user = "#cloud-config\nmounts: [[/dev/vdc, /srv/user]]\n";
    let machine = Machine::new(&["srv-user.mount", "srv-oem.mount"]);
    machine.put("etc/fstab", "# by hand\n");
    let has = |word: &str| machine.read("etc/fstab").contains(word);
    machine.apply(Some(oem), user);
    assert!(has("/srv/oem") && has("/srv/user") && has("# by hand"));
    // Not as long as it is not known what the user wants.
    machine.apply(Some(oem), "#cloud-config\nhostname: [a\n");
    assert!(has("/srv/user"));
    machine.apply(Some(oem), HOST);
    assert!(has("/srv/oem") && !has("/srv/user") && !has("user-data") && has("# by hand"));
    assert!(machine.systemd.called("stop srv-user.mount"));
    machine.apply(Some(HOST), user);
    assert!(!has("/srv/oem") && has("/srv/user"));
    let again = machine.apply(Some(HOST), user);
    assert_eq!(again.count(State::Done), 0, "{}", again.render());
    machine.apply(Some(HOST), HOST);
    assert_eq!(machine.read("etc/fstab"), "# by hand\n");
}

#[test]
fn a_unit_is_told_of_a_drop_in_that_goes_as_of_one_that_changes() {
    let with = |command: &str, text: &str| {
        format!(
            "#cloud-config\ncoreos: {{units: [{{name: docker.service, {command} drop-ins: [{{name: 10-x.conf, content: \"[Service]\\nNice={text}\\n\"}}]}}]}}\n"
        )
    };
    let path = "etc/systemd/system/docker.service.d/10-x.conf";
    for (command, told) in [
        ("command: restart,", Some("restart docker.service")),
        (
            "command: reload-or-restart,",
            Some("reload-or-restart docker.service"),
        ),
        // A change is not told either.
        ("command: start,", None),
        ("", None),
    ] {
        let machine = Machine::new(&["docker.service"]);
        machine.apply(None, &with(command, "1"));
        machine.apply(None, &with(command, "2"));
        let calls = |m: &Machine| {
            m.systemd
                .calls()
                .iter()
                .filter(|c| Some(c.as_str()) == told)
                .count()
        };
        assert_eq!(
            calls(&machine),
            if told.is_some() { 2 } else { 0 },
            "{command}"
        );
        machine.apply(None, HOST);
        assert_eq!(machine.read(path), "");
        assert_eq!(
            calls(&machine),
            if told.is_some() { 3 } else { 0 },
            "{command}"
        );
        assert!(
            told.is_some()
                || !machine
                    .systemd
                    .calls()
                    .iter()
                    .any(|c| c.contains("restart"))
        );
        machine.apply(None, HOST);
        assert_eq!(
            calls(&machine),
            if told.is_some() { 3 } else { 0 },
            "{command}"
        );

        // Once, where the unit is still asked for.
        let machine = Machine::new(&["docker.service"]);
        machine.apply(None, &with(command, "1"));
        let without =
            format!("#cloud-config\ncoreos: {{units: [{{name: docker.service, {command}}}]}}\n");
        machine.apply(None, &without);
        assert_eq!(
            calls(&machine),
            if told.is_some() { 2 } else { 0 },
            "{command}"
        );
    }
}

#[test]
fn a_program_that_the_power_cut_short_is_repeated_or_told() {
    let text = "#cloud-config\nruncmd: [echo]\nphone_home: {url: 'http://example.com/'}\n";
    let machine = Machine::new(&[]);
    machine.put("proc/sys/kernel/random/boot_id", "two\n");
    let marks = "var/lib/oem/instances/i-1/done";
    let told = |report: &Report| -> Vec<Resource> {
        let about = |r: &&Resource| r.resource.contains("of task");
        report.resources.iter().filter(about).cloned().collect()
    };
    assert_eq!(told(&machine.apply(None, text)), []);
    let unit = machine.read("run/systemd/system/oem-runcmd-user-data.service");
    let mark = format!("/{marks}/runcmd-user-data");
    for line in [
        format!("ConditionPathExists=!{mark}\n"),
        format!("ExecStartPost=/usr/bin/touch {mark}.ended\n"),
        format!("ExecStopPost=/usr/bin/touch {mark}.ended\n"),
    ] {
        assert!(unit.contains(&line), "{unit}");
    }
    // They run, in this boot; then the power fails.
    for name in ["runcmd-user-data", "phone-home-user-data"] {
        machine.put(&format!("{marks}/{name}"), "two\n");
    }
    assert_eq!(told(&machine.apply(None, text)), []);
    machine.put("proc/sys/kernel/random/boot_id", "three\n");
    let report = machine.apply(None, text);
    let all = told(&report);
    assert_eq!(all.len(), 2, "{}", report.render());
    let of = |name: &str| all.iter().find(|r| r.resource.ends_with(name)).unwrap();
    assert_eq!(of("phone-home-user-data").state, State::Done);
    assert!(
        !machine
            .temp
            .path()
            .join(marks)
            .join("phone-home-user-data")
            .exists()
    );
    let runcmd = of("runcmd-user-data");
    assert_eq!(runcmd.state, State::Skipped);
    assert!(runcmd.detail.as_deref().unwrap().contains("cut short"));
    assert!(
        runcmd
            .hint
            .as_deref()
            .unwrap()
            .contains(&format!("rm {mark}"))
    );
    // Until it ended, or somebody says so.
    machine.put(&format!("{marks}/runcmd-user-data.ended"), "");
    assert_eq!(told(&machine.apply(None, text)), []);
    // Marks of before are of programs that ended.
    fs::remove_file(
        machine
            .temp
            .path()
            .join(format!("{marks}/runcmd-user-data.ended")),
    )
    .unwrap();
    machine.put(&format!("{marks}/runcmd-user-data"), "");
    assert_eq!(told(&machine.apply(None, text)), []);
}
