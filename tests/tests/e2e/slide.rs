//! The user-data file the project starts from: docker.service, and es.service that
//! pulls an image and runs it with published ports.

use std::time::{Duration, Instant};

use image_build::error::{Error, Result};
use tests::debian::program;
use tests::fixture::host;
use tests::guest::{Guest, config, get};
use tests::registry::{Image, Registry};

/// What the container answers.
const ANSWER: &str = "You Know, for Search";

const SLIDE: &str = include_str!("../../../oem/testdata/apply/01-slide/user-data");

fn runs(name: &str, provider: &str) -> Result<()> {
    let mirrors = image_build::build::mirrors(None, None)?;
    let program = program(
        &host()?.cache,
        &mirrors,
        "busybox-static",
        "usr/bin/busybox",
    )?;
    let serve = ["httpd", "-f", "-p", "9200", "-h", "/www"];
    let image = Image::busybox("dockerfile/elasticsearch:latest", program, &serve)
        .with("www/index.html", ANSWER);
    let registry = Registry::start(&[image])?;
    // The slide as it is, and where this test's registry answers for the public one.
    let user_data = format!(
        "{SLIDE}\nwrite_files:\n  - path: /etc/docker/daemon.json\n    content: '{{\"registry-mirrors\": [\"{}\"]}}'\n",
        registry.mirror()
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
    // From the journal: systemd forgets a unit like this one once it has ended.
    let journal = guest
        .sh("sudo journalctl -b -o cat _PID=1 UNIT=docker.service + _PID=1 UNIT=es.service")?;
    let at = |text: &str| journal.lines().position(|l| l.starts_with(text));
    let (docker, es) = (at("Started docker.service"), at("Started es.service"));
    assert!(docker.is_some() && docker < es, "{journal}");
    assert!(at("es.service: Failed").is_none(), "{journal}");

    let port = guest
        .machine
        .host_port(9200)
        .ok_or_else(|| Error::environment("port 9200 is not forwarded"))?;
    let deadline = Instant::now() + Duration::from_secs(60);
    let body = loop {
        match get(port, "/") {
            Ok(body) if !body.is_empty() => break body,
            _ if Instant::now() > deadline => {
                return Err(Error::refused("the container does not answer on its port"));
            }
            _ => std::thread::sleep(Duration::from_millis(500)),
        }
    };
    assert_eq!(body.trim(), ANSWER);
    guest.expect_healthy()
}

#[test]
fn on_ec2() -> Result<()> {
    runs("slide-ec2", "ec2")
}

#[test]
fn on_exoscale() -> Result<()> {
    runs("slide-exoscale", "exoscale")
}

#[test]
fn on_cloudstack() -> Result<()> {
    runs("slide-cloudstack", "cloudstack")
}
