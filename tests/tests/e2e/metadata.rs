//! A metadata service that is missing or silent costs no more than its budget.

use std::time::Duration;

use image_build::error::Result;
use image_build::simulate::Mode;
use tests::guest::{BOOT, Guest, config};

/// Seconds from power-on to sshd's banner.
fn banner(name: &str, provider: &str, mode: Mode) -> Result<Duration> {
    let mut config = config(name, provider)?;
    config.scenario.mode = mode;
    let guest = Guest::start(name, &config)?;
    guest.wait_for_banner(BOOT)
}

/// One machine after the other, so that they do not take each other's time.
#[test]
fn sshd_comes_within_budget() -> Result<()> {
    let good = banner("metadata-good", "ec2", Mode::Good)?;
    // Room for noise: the budgets are 15 s and 5 s.
    for (name, provider, mode, budget) in [
        ("metadata-silent", "ec2", Mode::Silent, 15),
        ("metadata-absent", "ec2", Mode::Absent, 15),
        ("metadata-none", "none", Mode::Good, 5),
    ] {
        let time = banner(name, provider, mode)?;
        let limit = good + Duration::from_secs(budget + 20) + good / 2;
        assert!(
            time <= limit,
            "{name}: sshd after {time:?}; with a good service {good:?}"
        );
    }
    Ok(())
}

/// What was learned before serves when the service is silent later.
#[test]
fn a_silent_service_on_a_later_boot_changes_nothing() -> Result<()> {
    let name = "metadata-later";
    let mut config = config(name, "ec2")?;
    let dir = tempfile::tempdir()
        .map_err(|e| image_build::error::Error::environment("making a folder").because(e))?;
    config.storage = image_build::run::Storage::Persistent(dir.path().join("disk.qcow2"));
    let guest = Guest::boot(name, &config)?;
    guest.expect_healthy()?;
    guest.shut_down()?;
    config.scenario.mode = Mode::Silent;
    let guest = Guest::boot(name, &config)?;
    guest.expect("hostname", "web1.example.test")
}
