//! The user-data file the project starts from: docker.service, and es.service that
//! pulls an image and runs it with published ports.

use std::time::{Duration, Instant};

use image_build::error::{Error, Result};
use tests::guest::{Guest, config, get};
use tests::registry::Registry;

const SLIDE: &str = include_str!("../../../oem/testdata/slide.yaml");

fn runs(name: &str, provider: &str) -> Result<()> {
    let registry = Registry::start()?;
    // The slide as it is, and where this test's registry answers for the public one.
    let user_data = format!(
        "{SLIDE}\nwrite_files:\n  - path: /etc/docker/daemon.json\n    content: '{{\"registry-mirrors\": [\"http://10.0.2.2:{}\"]}}'\n",
        registry.port()
    );
    let mut config = config(name, provider)?;
    config.scenario.user_data = Some(user_data.into());
    config.forwards = vec![(0, 9200)];
    let guest = Guest::boot(name, &config)?;
    guest.wait_until(
        "sudo docker ps --format '{{.Image}} {{.State}}'",
        "dockerfile/elasticsearch running",
        Duration::from_secs(180),
    )?;
    // Both units as written, and in the order of the list.
    guest.expect("sudo head -n 1 /etc/systemd/system/es.service", "[Unit]")?;
    guest.expect("systemctl show -P Result es.service", "success")?;
    let stamps = guest.sh("systemctl show -P ActiveEnterTimestampMonotonic docker.service es.service")?;
    let stamps: Vec<u64> = stamps.split_whitespace().filter_map(|s| s.parse().ok()).collect();
    assert!(matches!(stamps[..], [docker, es] if docker < es), "docker, es: {stamps:?}");

    let port = guest.machine.host_port(9200).ok_or_else(|| Error::environment("port 9200 is not forwarded"))?;
    let deadline = Instant::now() + Duration::from_secs(60);
    let body = loop {
        match get(port, "/") {
            Ok(body) if !body.is_empty() => break body,
            _ if Instant::now() > deadline => return Err(Error::refused("the container does not answer on its port")),
            _ => std::thread::sleep(Duration::from_millis(500)),
        }
    };
    assert_eq!(body.trim(), tests::registry::ANSWER);
    guest.expect_healthy()
}

#[test]
fn on_ec2() -> Result<()> {
    runs("slide-ec2", "ec2")
}

#[test]
fn on_cloudstack() -> Result<()> {
    runs("slide-cloudstack", "cloudstack")
}
