//! One user-data file with most keys: everything in it is so, a second time nothing is
//! written, and power cuts while it is applied leave nothing half done.
//!
//! `HOLDFAST_CUTS` says how many cuts (`make soak` says more), and `HOLDFAST_SEED`
//! repeats a run's moments.

use std::time::{Duration, Instant};

use image_build::error::{Context, Error, Result};
use image_build::run::{MachineConfig, Storage};
use tests::guest::{BOOT, Guest, config};
use tests::random::{Random, number};

const EVERYTHING: &str = include_str!("testdata/everything.yaml");

/// Cuts, if the environment does not say.
const CUTS: u64 = 1;
/// From the last document that the provider sends to the end of what it leads to, on a
/// slow host.
const SPAN: Duration = Duration::from_secs(8);

/// What a machine with that file answers. A `~` in an answer stands for anything.
const ANSWERS: &[(&str, &str)] = &[
    ("hostname", "many"),
    ("getent hosts many.example.test | wc -l", "1"),
    (
        "id -u alice; id -gn alice; id -Gn alice | tr ' ' '\\n' | grep -cx 'admins\\|docker\\|ops'",
        "1500\nalice\n3",
    ),
    ("sudo -u alice sudo -n id -un", "root"),
    (
        "sudo getent shadow alice | cut -d: -f2 | cut -c1-8",
        "$6$many$",
    ),
    (
        "getent passwd svc | cut -d: -f7; sudo getent shadow svc | cut -d: -f8",
        "/usr/sbin/nologin\n47117",
    ),
    (
        "sudo cat /home/alice/.ssh/authorized_keys.d/oem | wc -l",
        "1",
    ),
    (
        "sudo cat /home/alice/late; sudo stat -c '%U:%G %a' /home/alice/late",
        "latealice:admins 640",
    ),
    ("cat /etc/motd", "private 10.~, public ~, not $private_ipv4"),
    (
        "cat /etc/sysctl.d/90-many.conf",
        "vm.swappiness=7\nvm.dirty_ratio=33",
    ),
    ("/opt/bin/tool; cat /etc/from-uri", "tool\nhello"),
    (
        "readlink /etc/localtime; date -d @0 +%Z",
        "~Europe/Berlin\nCET",
    ),
    (
        "cat /etc/locale.conf; grep KEYMAP /etc/vconsole.conf || grep XKBLAYOUT /etc/vconsole.conf",
        "LANG=C.UTF-8\n~de~",
    ),
    (
        "timedatectl show-timesync -p SystemNTPServers --value",
        "ntp.example.test",
    ),
    (
        "grep -c MIIBmzCCAUGgAwIBAgIUclY3OMBD /etc/ssl/certs/ca-certificates.crt",
        "1",
    ),
    (
        "resolvectl dns | head -n 1; resolvectl domain | head -n 1",
        "Global: 192.0.2.53\nGlobal: example.test",
    ),
    (
        "ip -br address show wg0 | awk '{print $1, $3}'",
        "wg0 10.9.0.2/24",
    ),
    ("findmnt -rno FSTYPE,SIZE /mnt/fast", "tmpfs 16M"),
    (
        "awk 'NR > 1 {print $1, $2, $3}' /proc/swaps",
        "/swap.img file 65532",
    ),
    (
        "sudo ls /var/log/once /var/log/early /var/log/each \"/var/log/it's done\" | wc -l",
        "4",
    ),
    (
        "sudo cat /var/log/once; sudo grep -cx list /var/log/early | sed s,[12],some,",
        "once\nsome",
    ),
    ("grep ^ID= /etc/oem-release", "ID=test"),
    (
        "systemctl is-active many@two.service short.service docker.service",
        "active\nactive\nactive",
    ),
    (
        "systemctl is-enabled many@two.service; systemctl is-enabled masked.service || true",
        "enabled\nmasked",
    ),
    ("systemctl show -P Environment docker.service", "~BIND=10.~"),
];

fn machine(name: &str) -> Result<(tempfile::TempDir, MachineConfig)> {
    let dir = tempfile::tempdir().environment(|| "making a folder".into())?;
    let mut config = config(name, "ec2")?;
    config.storage = Storage::Persistent(dir.path().join("disk.qcow2"));
    config.scenario.user_data = Some(EVERYTHING.into());
    Ok((dir, config))
}

/// Everything that the file asks for is so.
fn answers(guest: &Guest) -> Result<()> {
    guest.expect_healthy()?;
    let mut wrong = Vec::new();
    for (command, want) in ANSWERS {
        let got = guest.sh(command).unwrap_or_else(|e| e.chain());
        if !fits(&got, want) {
            wrong.push(format!("`{command}`: {got:?}, not {want:?}"));
        }
    }
    if wrong.is_empty() {
        return Ok(());
    }
    let status = guest.sh("sudo oem status")?;
    Err(Error::refused(format!("{}\n{status}", wrong.join("\n"))))
}

/// Whether `text` is `pattern`, with anything in the place of each `~`.
fn fits(text: &str, pattern: &str) -> bool {
    let mut parts = pattern.split('~');
    let Some(mut rest) = parts.next().and_then(|first| text.strip_prefix(first)) else {
        return false;
    };
    let parts: Vec<&str> = parts.collect();
    let Some((last, middle)) = parts.split_last() else {
        return rest.is_empty();
    };
    for part in middle {
        match rest.split_once(part) {
            Some((_, after)) => rest = after,
            None => return false,
        }
    }
    rest.ends_with(last)
}

/// Resources that are in another state than `unchanged`.
fn changed(report: &serde_json::Value) -> Vec<String> {
    let all = report["resources"].as_array().cloned().unwrap_or_default();
    assert!(all.len() > 40, "{report:#}");
    all.iter()
        .filter(|resource| resource["state"] != "unchanged")
        .map(|resource| format!("{} {}", resource["resource"], resource["state"]))
        .collect()
}

#[test]
fn most_keys_at_once_and_again() -> Result<()> {
    let name = "everything";
    let (_dir, config) = machine(name)?;
    let guest = Guest::boot(name, &config)?;
    answers(&guest)?;
    let report = guest.oem_status()?;
    let failed = |state: &str| -> Vec<String> {
        let wanted = format!("\"{state}\"");
        changed(&report)
            .into_iter()
            .filter(|line| line.ends_with(&wanted))
            .collect()
    };
    assert_eq!(failed("failed"), [""; 0], "{report:#}");
    assert_eq!(failed("skipped"), [""; 0], "{report:#}");

    // Again, on the running machine: nothing is written.
    let text = guest.sh("sudo oem apply --json")?;
    let report = serde_json::from_str(&text).refused(|| format!("oem apply printed {text:?}"))?;
    assert_eq!(changed(&report), [""; 0], "{report:#}");
    guest.shut_down()?;

    // In the next boot what is below /run is made again, and nothing else.
    let guest = Guest::boot(name, &config)?;
    answers(&guest)?;
    guest.expect(
        "sudo grep -c early /var/log/early; sudo cat /var/log/each | wc -l",
        "2\n2",
    )?;
    goes(&guest)?;
    guest.shut_down()
}

/// What the file asked for goes from a running machine when it is asked for no longer:
/// units are stopped, files are away, and who could log in still can.
fn goes(guest: &Guest) -> Result<()> {
    guest.sh(
        "printf '#cloud-config\\nhostname: many\\n' > less.yaml; sudo oem fetch --json > all.json; \
         sudo oem apply --user-data less.yaml --metadata all.json; rm less.yaml all.json",
    )?;
    guest.expect(
        "systemctl is-active many@two.service short.service; systemctl is-enabled masked.service || true",
        "inactive\ninactive\nnot-found",
    )?;
    guest.expect(
        "systemctl show -P Environment docker.service | grep -c BIND; systemctl is-active docker.service",
        "0\nactive",
    )?;
    guest.expect(
        "ls -d /etc/sysctl.d/90-many.conf /opt/bin/tool /etc/systemd/system/many@.service \
         /etc/systemd/system/masked.service /etc/systemd/system/docker.service.d/10-many.conf 2>/dev/null | wc -l",
        "0",
    )?;
    guest.expect("hostname", "many")?;
    guest.expect_healthy()
}

/// Powers it on and, at a random moment of applying, off.
fn cut(name: &str, config: &MachineConfig, random: &mut Random) -> Result<()> {
    let guest = Guest::start(name, config)?;
    let started = Instant::now();
    let asked = || {
        let all = guest.machine.requests();
        all.iter()
            .any(|exchange| exchange.request.path.ends_with("/user-data"))
    };
    while !asked() {
        if started.elapsed() > BOOT {
            let tail = guest.machine.console().tail(40);
            let what = format!("{name}: user-data was not asked for\n{tail}");
            return Err(Error::refused(what));
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    let moment = SPAN.mul_f64(random.next());
    std::thread::sleep(moment);
    guest.machine.power_cut();
    println!("{name}: cut {moment:?} after user-data was asked for");
    Ok(())
}

/// The power goes while the file is being applied: once on every new machine, twice on
/// some.
#[test]
fn cuts_while_it_is_applied_leave_nothing_half_done() -> Result<()> {
    let name = "configure-cuts";
    let cuts = number("HOLDFAST_CUTS")?.unwrap_or(CUTS);
    let mut random = Random::of_run(name)?;
    let mut done = 0;
    while done < cuts {
        let (_dir, config) = machine(name)?;
        cut(name, &config, &mut random)?;
        done += 1;
        if done < cuts && random.next() < 0.5 {
            cut(name, &config, &mut random)?;
            done += 1;
        }
        let guest = Guest::boot(name, &config)?;
        answers(&guest)?;
    }
    Ok(())
}
