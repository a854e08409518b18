//! Hostile and broken user-data: the machine is reachable, and says what is wrong.

use std::time::{Duration, Instant};

use image_build::error::{Error, Result};
use tests::guest::{COMMAND, Guest, config};

/// Boots with `user_data`; the report must contain `complaint`.
fn survives(name: &str, user_data: &[u8], complaint: &str) -> Result<()> {
    let mut config = config(name, "ec2")?;
    config.scenario.user_data = Some(user_data.to_vec());
    let guest = Guest::boot(name, &config)?;
    guest.expect("hostname", "web1.example.test")?;
    reports(&guest, &[complaint])
}

/// Waits until the agent's report and journal have all of `complaints`.
fn reports(guest: &Guest, complaints: &[&str]) -> Result<()> {
    let deadline = Instant::now() + COMMAND;
    loop {
        let report = guest.sh("sudo oem status; sudo journalctl -b -u 'oem*' --no-pager -o cat")?;
        match complaints.iter().find(|c| !report.contains(**c)) {
            None => return Ok(()),
            Some(missing) if Instant::now() > deadline => {
                return Err(Error::refused(format!("no {missing:?} in\n{report}")));
            }
            Some(_) => std::thread::sleep(Duration::from_secs(1)),
        }
    }
}

#[test]
fn alias_bomb() -> Result<()> {
    let mut text = String::from("#cloud-config\na0: &a0 [x,x,x,x,x,x,x,x,x]\n");
    for level in 1..12 {
        let refs = vec![format!("*a{}", level - 1); 9].join(",");
        text.push_str(&format!("a{level}: &a{level} [{refs}]\n"));
    }
    survives("hostile-alias-bomb", text.as_bytes(), "error")
}

#[test]
fn binary_garbage() -> Result<()> {
    let bytes: Vec<u8> = (0u32..4000)
        .map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8)
        .collect();
    survives("hostile-binary", &bytes, "user-data")
}

/// Valid YAML that asks for harm: files in /usr, outside paths, units with bad
/// names, a start that never ends. The good part is applied all the same.
#[test]
fn harmful_requests() -> Result<()> {
    let text = "#cloud-config
hostnam: typo
write_files:
  - path: /usr/bin/sudo
    content: gone
  - path: ../../etc/shadow
    content: gone
  - path: /etc/fine
    content: fine
coreos:
  units:
    - name: ../evil.service
      command: start
      content: '[Service]'
    - name: forever.service
      command: start
      content: |
        [Service]
        Type=oneshot
        ExecStart=/usr/bin/sleep infinity
    - name: after.service
      command: start
      content: |
        [Service]
        Type=oneshot
        RemainAfterExit=yes
        ExecStart=/usr/bin/touch /run/after
";
    let mut config = config("hostile-requests", "ec2")?;
    config.scenario.user_data = Some(text.into());
    let guest = Guest::boot("hostile-requests", &config)?;
    // The key came first: the rest may still be on its way.
    guest.wait_until("cat /etc/fine", "fine", COMMAND)?;
    guest.wait_until("ls /run/after", "/run/after", COMMAND)?;
    guest.expect(
        "ls /etc/systemd/evil.service /etc/evil.service 2>/dev/null | wc -l",
        "0",
    )?;
    reports(
        &guest,
        &[
            "hostnam",
            "/usr/bin/sudo",
            "../../etc/shadow",
            "evil.service",
        ],
    )
}
