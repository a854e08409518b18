//! The agent against every simulator on the loopback: good, absent, broken and slow.
//! A new simulator is in it by being in the table.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use oem::agent::{Budget, Dialogue, Origin, Outcome, Stage, Surroundings, run};
use oem::http::Detour;
use oem::provider::by_name;
use oem::root::Root;
use oem::status::Report;

use super::http::{Parsed, parse};
use super::{GATEWAY, GUEST, Log, Look, Mode, PROVIDERS, Provider, Scenario, Service};

const KEYS: [&str; 2] = [
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIDrLcTvqjRUA one@example",
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIDrLcTvqjRUB two@example",
];
const USER_DATA: &[u8] =
    b"#cloud-config\nwrite_files:\n  - {path: /etc/x, content: \"\xc3\xa4\"}\n";
const PASSWORD: &str = "correct horse battery";

fn scenario(provider: &'static Provider, mode: Mode) -> Scenario {
    Scenario {
        user_data: Some(USER_DATA.to_vec()),
        ssh_keys: KEYS.map(str::to_owned).to_vec(),
        hostname: "web1.example.test".to_owned(),
        password: Some(PASSWORD.to_owned()),
        mode,
        ..Scenario::new(provider)
    }
}

/// A machine that has what the simulator shows, and the services it asks.
struct Machine {
    root: tempfile::TempDir,
    log: Log,
    surroundings: Surroundings,
}

impl Machine {
    fn new(provider: &'static Provider, mode: Mode, known: Duration) -> Machine {
        let scenario = scenario(provider, mode);
        let mut look = (provider.look)(&scenario);
        // What becomes of the network's service becomes of drives.
        match mode {
            Mode::Absent => look.cdroms.clear(),
            Mode::Truncated => look.cdroms.iter_mut().for_each(|c| c.truncate(c.len() / 2)),
            _ => {}
        }
        let root = tempfile::tempdir().unwrap();
        show(root.path(), &look);
        let log = Log::default();
        let service = Arc::new(Service::new(scenario, log.clone()));
        let mut detour = Detour::default();
        for &(ip, port) in provider.endpoints.iter().filter(|_| mode != Mode::Absent) {
            let called = SocketAddr::new(ip, port);
            detour = detour.with(called.to_string(), listen(called, service.clone()));
        }
        let surroundings = Surroundings {
            budget: Budget {
                drives: Duration::from_millis(50),
                online: Duration::from_millis(50),
                known,
                unknown: known,
                password: Duration::from_secs(10),
                report: Duration::from_secs(10),
            },
            detour: Some(detour),
            addresses: || vec![GUEST.into()],
        };
        Machine {
            root,
            log,
            surroundings,
        }
    }

    fn root(&self) -> Root {
        Root::open(self.root.path()).unwrap()
    }

    fn ask(&self) -> Outcome {
        run(Stage::Network, &self.root(), &self.surroundings).unwrap()
    }
}

/// Writes what the kernel and networkd would show.
fn show(root: &Path, look: &Look) {
    let write = |path: &str, content: &[u8]| {
        let path = root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    };
    for structure in &look.smbios {
        let fields: Vec<(&str, &str)> = structure
            .split(',')
            .filter_map(|f| f.split_once('='))
            .collect();
        let kind = fields[0].1;
        for (name, value) in &fields[1..] {
            let file = match (kind, *name) {
                ("0", "vendor") => "bios_vendor",
                ("0", "version") => "bios_version",
                ("1", "manufacturer") => "sys_vendor",
                ("1", "product") => "product_name",
                ("1", "version") => "product_version",
                ("1", "serial") => "product_serial",
                ("1", "uuid") => "product_uuid",
                ("1", "family") => "product_family",
                ("2", "manufacturer") => "board_vendor",
                ("3", "manufacturer") => "chassis_vendor",
                ("3", "asset") => "chassis_asset_tag",
                _ => continue,
            };
            write(
                &format!("sys/class/dmi/id/{file}"),
                format!("{value}\n").as_bytes(),
            );
        }
    }
    for (number, image) in look.cdroms.iter().enumerate() {
        let sectors = format!("{}\n", image.len() / 512);
        write(&format!("dev/sr{number}"), image);
        write(
            &format!("sys/class/block/sr{number}/size"),
            sectors.as_bytes(),
        );
        write(&format!("sys/class/block/sr{number}/device/type"), b"5\n");
    }
    let mut lease = format!("ADDRESS={GUEST}\nSERVER_ADDRESS={GATEWAY}\nROUTER={GATEWAY}\n");
    for (option, value) in look.dhcp.iter().filter(|(o, _)| *o >= 224) {
        let value: String = value.iter().map(|b| format!("{b:02x}")).collect();
        lease += &format!("OPTION_{option}={value}\n");
    }
    write("run/systemd/netif/leases/2", lease.as_bytes());
    write(
        "etc/passwd",
        b"root:x:0:0::/root:/bin/sh\ncore:x:1000:1000::/home/core:/bin/sh\n",
    );
    write("etc/shadow", b"root:*:1::::::\ncore:!:1::::::\n");
    write("etc/group", b"root:x:0:\ncore:x:1000:\n");
    write(
        "etc/ssh/ssh_host_ed25519_key.pub",
        format!("{}\n", KEYS[0]).as_bytes(),
    );
}

/// Serves what is for `called`; where.
fn listen(called: SocketAddr, service: Arc<Service>) -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let service = service.clone();
            std::thread::spawn(move || drop(serve(stream, called, &service)));
        }
    });
    address
}

fn serve(mut stream: TcpStream, called: SocketAddr, service: &Service) -> std::io::Result<()> {
    let (mut bytes, mut buffer) = (Vec::new(), [0; 4096]);
    loop {
        let n = stream.read(&mut buffer)?;
        if n == 0 {
            return Ok(());
        }
        bytes.extend_from_slice(&buffer[..n]);
        while let Parsed::Whole(mut request, used) = parse(&bytes) {
            bytes.drain(..used);
            request.port = Some(stream.peer_addr()?.port());
            if service.vanishes() {
                continue;
            }
            let answer = service.respond(called, &request);
            std::thread::sleep(answer.delay);
            match answer.pace {
                None => stream.write_all(&answer.bytes)?,
                Some(pace) => answer.bytes.chunks(1).try_for_each(|byte| {
                    std::thread::sleep(pace);
                    stream.write_all(byte)
                })?,
            }
            if answer.closes {
                return Ok(());
            }
        }
    }
}

/// Names are those of the agent's providers; what follows a dash is a variant.
fn provider_of(simulated: &Provider) -> &'static oem::provider::Provider {
    let name = simulated.name.split('-').next().unwrap_or_default();
    let found = by_name(simulated.name).or_else(|| by_name(name));
    found.unwrap_or_else(|| panic!("the agent knows no provider {name}"))
}

fn all() -> impl Iterator<Item = &'static Provider> {
    PROVIDERS.iter().copied().filter(|p| p.name != "none")
}

fn is_complete(name: &str, outcome: &Outcome) {
    let data = outcome
        .data
        .as_ref()
        .unwrap_or_else(|| panic!("{name}: {:?}", outcome.attempts));
    assert_eq!(
        (data.origin, data.whole),
        (Origin::Fresh, true),
        "{name}: {:?}",
        outcome.warnings
    );
    let fetched = &data.fetched;
    assert_eq!(fetched.user_data.as_deref(), Some(USER_DATA), "{name}");
    let metadata = &fetched.metadata;
    assert_eq!(metadata.ssh_keys, KEYS, "{name}");
    let hostname = metadata.hostname.as_deref().unwrap_or_default();
    assert_eq!(hostname.split('.').next(), Some("web1"), "{name}");
    assert!(metadata.instance_id.is_some(), "{name}");
    assert!(
        metadata.private_ipv4.is_some() || metadata.public_ipv4.is_some(),
        "{name}"
    );
}

/// Whether a file below `dir` has this text.
fn holds(dir: &Path, text: &str) -> bool {
    fs::read_dir(dir).unwrap().any(|entry| {
        let path = entry.unwrap().path();
        if path.is_dir() {
            return holds(&path, text);
        }
        fs::read(&path)
            .unwrap()
            .windows(text.len())
            .any(|w| w == text.as_bytes())
    })
}

#[test]
fn good() {
    for simulated in all() {
        let name = simulated.name;
        let provider = provider_of(simulated);
        let machine = Machine::new(simulated, Mode::Good, Duration::from_secs(20));
        let outcome = machine.ask();
        is_complete(name, &outcome);
        assert!(outcome.detection.is_known(), "{name}");
        let fetched = &outcome.data.as_ref().unwrap().fetched;
        assert_eq!(fetched.provider, provider.name, "{name}");
        // A second boot tells the same, and that it is the same machine.
        let again = machine.ask().data.unwrap();
        assert!(!again.new_instance, "{name}");
        assert_eq!(again.fetched.metadata, fetched.metadata, "{name}");

        let root = machine.root();
        let dialogue = Dialogue::with(fetched, &root, &machine.surroundings).unwrap();
        assert_eq!(
            dialogue.is_some(),
            provider.report.is_some() || provider.passwords.is_some(),
            "{name}"
        );
        let Some(dialogue) = dialogue else { continue };
        if provider.report.is_some() {
            for wrong in [Some("unit x.service"), None] {
                let told = dialogue.report(wrong).unwrap();
                assert!(told.is_some(), "{name}: {wrong:?}");
            }
            let wrote = machine
                .log
                .any(|e| e.request.method != "GET" && e.status == 200);
            assert!(wrote, "{name}");
        }
        let is_served = simulated.endpoints.len() > 1 || !name.contains('-');
        if provider.passwords.is_some() && is_served {
            let mut reports = [Report::default(), Report::default()];
            for report in &mut reports {
                assert!(dialogue.hold(report), "{name}: {:?}", report.asked);
            }
            let said = |n: usize| reports[n].asked[0].result.as_str();
            assert_eq!(
                (said(0), said(1)),
                ("set and acknowledged", "nothing to set"),
                "{name}"
            );
            assert!(
                holds(&machine.root.path().join("etc"), "core:$6$"),
                "{name}"
            );
        }
        for dir in ["etc", "run", "var"] {
            assert!(
                !holds(&machine.root.path().join(dir), PASSWORD),
                "{name}: {dir}"
            );
        }
    }
}

/// What is not there, or makes no sense, gives nothing, in time, and a reason.
#[test]
fn absent_and_broken() {
    const BUDGET: Duration = Duration::from_millis(1200);
    let modes = [
        Mode::Absent,
        Mode::Silent,
        Mode::Wrong,
        Mode::Status(404),
        Mode::Status(500),
        Mode::Status(429),
        Mode::Redirecting,
        Mode::Truncated,
        Mode::Trickling,
    ];
    let mut threads = Vec::new();
    for simulated in all() {
        threads.push(std::thread::spawn(move || {
            for mode in modes {
                let has_drive = simulated.endpoints.is_empty();
                if has_drive && !matches!(mode, Mode::Absent | Mode::Truncated) {
                    continue;
                }
                let name = format!("{} {mode:?}", simulated.name);
                let machine = Machine::new(simulated, mode, BUDGET);
                let start = Instant::now();
                let outcome = machine.ask();
                assert!(
                    start.elapsed() < BUDGET * 4,
                    "{name}: {:?}",
                    start.elapsed()
                );
                match &outcome.data {
                    None => assert!(!outcome.attempts.is_empty(), "{name}"),
                    // A drive beside the service, which alone is not all.
                    Some(data) => assert!(!data.whole, "{name}: {data:?}"),
                }
            }
        }));
    }
    for thread in threads {
        thread.join().unwrap();
    }
}

/// What is slow, or fails at first, is waited for.
#[test]
fn slow() {
    for simulated in all().filter(|p| !p.endpoints.is_empty()) {
        for mode in [Mode::Slow(Duration::from_millis(20)), Mode::Failing(3)] {
            let machine = Machine::new(simulated, mode, Duration::from_secs(30));
            is_complete(&format!("{} {mode:?}", simulated.name), &machine.ask());
        }
    }
}
