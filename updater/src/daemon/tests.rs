//! The service with a worker and a machine that only pretend, over real D-Bus
//! connections and a real socket.

use std::os::unix::net::UnixStream;
use std::time::Duration;

use futures_util::StreamExt as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use zbus::connection::Builder;
use zbus::{Connection, Guid, MessageStream};

use super::testing::{Plan, Pretender, Recorder, configure, engine, known};
use super::*;
use crate::state::{Facts, Offer, Reboot, Request, Trouble, Wish};
use crate::tuf::{Seen, Time};

struct Service {
    root: tempfile::TempDir,
    handle: Handle,
    host: Arc<Recorder>,
    client: Connection,
    // Ends when dropped.
    _server: Connection,
}

const STRATEGY_OFF: &str = "reboot-strategy: off\nservers: [\"file:///nowhere\"]\n";

fn facts() -> Facts {
    Facts {
        booted: known("2", 20),
        boot_id: "boot".to_owned(),
        fallback: true,
        ..Facts::default()
    }
}

fn offers_3() -> Plan {
    Plan {
        facts: facts(),
        found: Some(Offer {
            release: known("3", 30),
            download: 1000,
            wish: Wish::default(),
            downgrade: false,
        }),
        other: known("1", 10),
        ..Plan::default()
    }
}

impl Service {
    async fn start(plan: Plan, config: &str) -> Self {
        Self::start_in(tempfile::tempdir().unwrap(), plan, config).await
    }

    async fn start_in(root: tempfile::TempDir, plan: Plan, config: &str) -> Self {
        configure(root.path(), config);
        let (engine, handle, host) = engine(root.path(), Pretender(plan));
        tokio::spawn(engine.run());
        let (ours, theirs) = UnixStream::pair().unwrap();
        let server = Builder::unix_stream(ours).server(Guid::generate()).p2p();
        let server = bus::serve(server, &handle);
        let client = Builder::unix_stream(theirs).p2p();
        let (server, client) = tokio::join!(server.build(), client.build());
        let server = server.unwrap();
        let (connection, announcer) = (server.clone(), handle.clone());
        tokio::spawn(async move { bus::announce(&connection, announcer).await });
        Service {
            root,
            handle,
            host,
            client: client.unwrap(),
            _server: server,
        }
    }

    async fn until(&mut self, phase: &str) -> Snapshot {
        self.handle.until(phase).await
    }

    async fn call(&self, path: &str, member: &str) -> zbus::Result<zbus::Message> {
        let interface = match path {
            MANAGER_PATH => "com.coreos.update1.Manager",
            _ => "org.holdfast.Updater1",
        };
        let none: Option<&str> = None;
        self.client
            .call_method(none, path, Some(interface), member, &())
            .await
    }

    async fn xml(&self, path: &str) -> String {
        let none: Option<&str> = None;
        let interface = Some("org.freedesktop.DBus.Introspectable");
        let reply = self
            .client
            .call_method(none, path, interface, "Introspect", &());
        reply.await.unwrap().body().deserialize().unwrap()
    }
}

/// An interface out of introspection data: lines without indentation and comments.
fn interface(xml: &str, name: &str) -> Vec<String> {
    let from = xml.find(&format!("<interface name=\"{name}\"")).unwrap();
    let xml = &xml[from..];
    let end = xml.find("</interface>").unwrap() + "</interface>".len();
    let mut text = xml[..end].to_owned();
    while let Some(start) = text.find("<!--") {
        let end = text.find("-->").unwrap() + 3;
        text.replace_range(start..end, "");
    }
    let lines = text.lines().map(|l| l.trim().to_owned());
    lines.filter(|l| !l.is_empty()).collect()
}

/// The interface is what CoreOS's clients were written for, to the last argument.
#[tokio::test]
async fn the_manager_is_bit_compatible() {
    let service = Service::start(offers_3(), STRATEGY_OFF).await;
    let expected = include_str!("../../testdata/daemon/manager.xml");
    let name = "com.coreos.update1.Manager";
    let xml = service.xml(MANAGER_PATH).await;
    assert_eq!(interface(&xml, name), interface(expected, name));
    let reply = service.call(MANAGER_PATH, "GetStatus").await.unwrap();
    assert_eq!(reply.body().signature().to_string_no_parens(), "xdssx");
}

#[tokio::test]
async fn our_interface_is_stable() {
    let service = Service::start(offers_3(), STRATEGY_OFF).await;
    let xml = service.xml(UPDATER_PATH).await;
    let shown = interface(&xml, "org.holdfast.Updater1").join("\n") + "\n";
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/daemon/updater1.xml");
    if std::env::var_os("UPDATE_TESTDATA").is_some() {
        std::fs::write(path, &shown).unwrap();
    }
    assert_eq!(shown, std::fs::read_to_string(path).unwrap());
}

#[tokio::test]
async fn a_coreos_client_updates_the_machine() {
    let mut service = Service::start(offers_3(), STRATEGY_OFF).await;
    service.until("idle").await;
    let mut signals = MessageStream::from(&service.client);
    service.call(MANAGER_PATH, "AttemptUpdate").await.unwrap();
    let (mut operations, mut downloading) = (Vec::new(), 0);
    while operations.last().map(String::as_str) != Some("UPDATE_STATUS_UPDATED_NEED_REBOOT") {
        let next = tokio::time::timeout(Duration::from_secs(20), signals.next());
        let message = next.await.unwrap().unwrap().unwrap();
        let header = message.header();
        if header.member().map(|m| m.as_str()) != Some("StatusUpdate") {
            continue;
        }
        let body = message.body();
        let status: (i64, f64, String, String, i64) = body.deserialize().unwrap();
        assert!((0.0..=1.0).contains(&status.1));
        if status.2.ends_with("DOWNLOADING") {
            assert_eq!((status.3.as_str(), status.4), ("3", 1000));
            downloading += 1;
        }
        if operations.last() != Some(&status.2) {
            operations.push(status.2);
        }
    }
    assert!(downloading <= 102, "{downloading} signals");
    assert_eq!(
        service.until("staged").await.state.staged.unwrap().release,
        known("3", 30)
    );
    // Nothing reboots: the strategy is `off`.
    assert!(service.host.0.lock().unwrap().is_empty());
    service.call(MANAGER_PATH, "ResetStatus").await.unwrap();
    assert_eq!(service.until("idle").await.state.staged, None);
}

#[tokio::test]
async fn a_staged_release_is_booted_when_nothing_stands_against_it() {
    let config = "servers: [\"file:///nowhere\"]\n";
    let mut service = Service::start(offers_3(), config).await;
    service.until("idle").await;
    service
        .handle
        .ask(Request::Update(Wish::default()))
        .await
        .unwrap();
    service.until("rebooting").await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(*service.host.0.lock().unwrap(), [Reboot::Update]);
}

/// F14: the service with a broken configuration installs and does not reboot.
#[tokio::test]
async fn f14_a_broken_configuration_is_visible_and_stops_reboots() {
    let config = "servers: [\"file:///nowhere\"]\nreboot-stratgy: off\n";
    let mut service = Service::start(offers_3(), config).await;
    service.until("idle").await;
    service
        .handle
        .ask(Request::Update(Wish::default()))
        .await
        .unwrap();
    let snapshot = service.until("staged").await;
    assert!(snapshot.problems[0].contains("did you mean `reboot-strategy`?"));
    assert!(metrics::render(&snapshot).contains("\nholdfast_updater_problems 1\n"));
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(service.host.0.lock().unwrap().is_empty());
    // Mended, it reboots.
    let path = "etc/holdfast/update.d/10-test.yaml";
    std::fs::write(service.root.path().join(path), "group: a\n").unwrap();
    service.handle.reload();
    service.until("rebooting").await;
}

/// F7: an unhealthy trial is rebooted by the service itself, and told why for later.
#[tokio::test]
async fn f7_an_unhealthy_trial_is_rebooted() {
    let root = tempfile::tempdir().unwrap();
    let checks = root.path().join("etc/holdfast/health.d/required.d");
    std::fs::create_dir_all(&checks).unwrap();
    std::os::unix::fs::symlink("/bin/false", checks.join("docker")).unwrap();
    let plan = Plan {
        facts: Facts {
            trial: true,
            ..facts()
        },
        ..Plan::default()
    };
    let mut service = Service::start_in(root, plan, STRATEGY_OFF).await;
    service.until("rebooting").await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(*service.host.0.lock().unwrap(), [Reboot::Fallback]);
    let state = service.root.path().join(crate::STATE);
    let reports = crate::health::reports(&state);
    assert_eq!(reports[0].summary(), "docker ended with status 1");
    let hold = std::fs::read_to_string(state.join("hold.json")).unwrap();
    assert!(hold.contains("\"unhealthy\":true"));
}

#[tokio::test]
async fn a_healthy_trial_is_blessed() {
    let plan = Plan {
        facts: Facts {
            trial: true,
            ..facts()
        },
        ..Plan::default()
    };
    let mut service = Service::start(plan, STRATEGY_OFF).await;
    assert!(!service.until("idle").await.state.trial);
}

/// F10: a service that was killed while installing goes on where it was.
#[tokio::test]
async fn f10_cancel_and_restart() {
    let plan = Plan {
        hang: true,
        ..offers_3()
    };
    let mut service = Service::start(plan, STRATEGY_OFF).await;
    service.until("idle").await;
    service
        .handle
        .ask(Request::Update(Wish::default()))
        .await
        .unwrap();
    service.until("downloading").await;
    let busy = service.handle.ask(Request::Rollback).await.unwrap_err();
    assert!(busy.contains("something is going on"));
    service
        .handle
        .ask(Request::Hold {
            why: "audit".to_owned(),
            until: None,
        })
        .await
        .unwrap();
    service.until("idle").await;
    // Held, also by the next process.
    let root = service.root;
    let mut service = Service::start_in(root, offers_3(), STRATEGY_OFF).await;
    service.until("idle").await;
    let held = service
        .handle
        .ask(Request::Update(Wish::default()))
        .await
        .unwrap_err();
    assert_eq!(held, "updates are held: audit");
    service.handle.ask(Request::Release).await.unwrap();
    service
        .handle
        .ask(Request::Update(Wish::default()))
        .await
        .unwrap();
    service.until("staged").await;
}

/// F11: a message bus that is not there, comes, goes and comes again: the service goes on
/// without it, and is there again with it.
#[tokio::test]
async fn f11_a_bus_that_restarts_is_found_again() {
    let mut service = Service::start(offers_3(), STRATEGY_OFF).await;
    let (send, mut buses) = tokio::sync::mpsc::unbounded_channel();
    let mut there = [false, true, true].into_iter();
    let connect = move |handle: Handle| {
        let (send, there) = (send.clone(), there.next());
        async move {
            if there != Some(true) {
                return Err(zbus::Error::Failure("no bus".to_owned()));
            }
            let (ours, theirs) = UnixStream::pair().unwrap();
            let _ = send.send(theirs);
            let server = Builder::unix_stream(ours).server(Guid::generate()).p2p();
            bus::serve(server, &handle).build().await
        }
    };
    let soon = Duration::from_millis(20);
    tokio::spawn(bus::keep_up(service.handle.clone(), soon, connect));
    service.until("idle").await;
    let timeout = Duration::from_secs(20);
    for expected in ["", "3"] {
        let theirs = tokio::time::timeout(timeout, buses.recv()).await.unwrap();
        let client = Builder::unix_stream(theirs.unwrap()).p2p();
        let client = client.build().await.unwrap();
        let mut signals = MessageStream::from(&client);
        let none: Option<&str> = None;
        let properties = Some("org.freedesktop.DBus.Properties");
        let get = ("org.holdfast.Updater1", "Staged");
        let staged = client.call_method(none, UPDATER_PATH, properties, "Get", &get);
        let reply = staged.await.unwrap();
        let body = reply.body();
        let value: zbus::Variant<'_> = body.deserialize().unwrap();
        assert_eq!(value, expected.into());
        // What happens is announced on this bus, too, from some moment on.
        let announced = async {
            for number in 0.. {
                let why = format!("audit {number}");
                let hold = Request::Hold { why, until: None };
                service.handle.ask(hold).await.unwrap();
                let next = tokio::time::timeout(10 * soon, signals.next()).await;
                let Ok(message) = next else { continue };
                let message = message.unwrap().unwrap();
                let header = message.header();
                if header
                    .member()
                    .is_some_and(|m| m.as_str() == "PropertiesChanged")
                {
                    break;
                }
            }
        };
        tokio::time::timeout(timeout, announced).await.unwrap();
        service.handle.ask(Request::Release).await.unwrap();
        client.close().await.unwrap();
        // Without a bus an update comes to its end all the same.
        if expected.is_empty() {
            let update = Request::Update(Wish::default());
            service.handle.ask(update).await.unwrap();
            service.until("staged").await;
        }
    }
}

/// A4, A19: what a repository should not do is seen on the machine, and what it said can
/// be compared over a fleet.
#[tokio::test]
async fn a19_a_suspicious_repository_shows() {
    let seen = Seen {
        root: 1,
        timestamp: 9,
        snapshot: 5,
        targets: 5,
        snapshot_sha256: "ab".repeat(32),
        signed: None,
        expires: Time(4_000_000_000),
        equivocation: true,
        jump: true,
        clock_is_behind: false,
    };
    let plan = Plan {
        seen: Some(seen),
        found: None,
        ..offers_3()
    };
    let mut service = Service::start(plan, STRATEGY_OFF).await;
    let before = metrics::render(&service.until("idle").await);
    assert!(!before.contains("suspicious") && !before.contains("snapshot"));
    service.handle.ask(Request::Check).await.unwrap();
    while service.handle.snapshot().state.checked.is_none() {
        assert!(service.handle.changed().await);
    }
    let snapshot = service.handle.snapshot();
    let why = snapshot.state.why(0).join(" ");
    assert!(why.contains("two contents for one version"), "{why}");
    assert!(why.contains("number of versions") && !why.contains("clock is behind"));
    let text = metrics::render(&snapshot);
    for line in [
        "suspicious{kind=\"equivocation\"} 1\n",
        "suspicious{kind=\"jump\"} 1\n",
        "suspicious{kind=\"clock-behind\"} 0\n",
        "snapshot_version{sha256=\"abababab",
        "metadata_expires_timestamp_seconds 4000000000\n",
    ] {
        assert!(text.contains(line), "{line} in {text}");
    }
}

#[tokio::test]
async fn an_update_by_options() {
    let mut service = Service::start(offers_3(), STRATEGY_OFF).await;
    service.until("idle").await;
    let none: Option<&str> = None;
    let interface = Some("org.holdfast.Updater1");
    let update = async |options: &[(&str, zbus::Variant<'static>)]| {
        let options: std::collections::HashMap<_, _> = options.iter().cloned().collect();
        let body = (options,);
        let call = service
            .client
            .call_method(none, UPDATER_PATH, interface, "UpdateWith", &body);
        call.await.map(drop)
    };
    for wrong in [
        ("chanel", zbus::Variant::from("beta")),
        ("channel", "../beta".into()),
        ("channel", true.into()),
        ("downgrade", "yes".into()),
    ] {
        let error = update(&[wrong]).await.unwrap_err().to_string();
        assert!(error.contains("InvalidArgs"), "{error}");
    }
    update(&[("channel", "beta".into()), ("again", true.into())])
        .await
        .unwrap();
    service.until("staged").await;
}

/// F15: stored state that cannot be read is left alone, and nothing is done.
#[tokio::test]
async fn f15_unreadable_state_holds_updates() {
    let root = tempfile::tempdir().unwrap();
    let state = root.path().join(crate::STATE);
    std::fs::create_dir_all(&state).unwrap();
    let text = r#"{"format":9,"readable_from":9}"#;
    std::fs::write(state.join("refused.json"), text).unwrap();
    let mut service = Service::start_in(root, offers_3(), STRATEGY_OFF).await;
    let snapshot = service.until("idle").await;
    assert!(snapshot.problems[0].contains("boot the newer release again"));
    let denied = service.handle.ask(Request::Update(Wish::default())).await;
    assert!(denied.is_err());
    let kept = std::fs::read_to_string(state.join("refused.json")).unwrap();
    assert_eq!(kept, text);
}

#[tokio::test]
async fn trouble_is_told() {
    let plan = Plan {
        facts: facts(),
        trouble: Some(Trouble {
            text: "no route to updates.example.org".to_owned(),
            ..Trouble::default()
        }),
        ..Plan::default()
    };
    let mut service = Service::start(plan, STRATEGY_OFF).await;
    service.until("idle").await;
    service.call(UPDATER_PATH, "Check").await.unwrap();
    let snapshot = service.until("backoff").await;
    let why = snapshot.state.why(0).join(" ");
    assert!(why.contains("no route"), "{why}");
    let text = metrics::render(&snapshot);
    assert!(text.contains("holdfast_updater_check_failures_total{kind=\"network\"} 1\n"));
    let none: Option<&str> = None;
    let interface = Some("org.freedesktop.DBus.Properties");
    let get = ("org.holdfast.Updater1", "LastError");
    let reply = service
        .client
        .call_method(none, UPDATER_PATH, interface, "Get", &get);
    let reply = reply.await.unwrap();
    let body = reply.body();
    let value: zbus::Variant<'_> = body.deserialize().unwrap();
    assert_eq!(value, "no route to updates.example.org".into());
}

#[tokio::test]
async fn metrics_over_the_socket() {
    let service = Service::start(offers_3(), STRATEGY_OFF).await;
    let path = service.root.path().join("run/metrics.sock");
    tokio::spawn(metrics::serve(path.clone(), service.handle.clone()));
    let connect = async || loop {
        match tokio::net::UnixStream::connect(&path).await {
            Ok(stream) => break stream,
            Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
        }
    };
    let mut text = String::new();
    connect().await.read_to_string(&mut text).await.unwrap();
    assert!(text.starts_with("# HELP holdfast_updater_info"), "{text}");
    let mut stream = connect().await;
    stream
        .write_all(b"GET /metrics HTTP/1.1\r\n\r\n")
        .await
        .unwrap();
    let mut http = String::new();
    stream.read_to_string(&mut http).await.unwrap();
    assert!(http.starts_with("HTTP/1.1 200 OK\r\n"));
    // Every line is a comment or `name{labels} number`.
    for line in text.lines().filter(|l| !l.starts_with('#')) {
        let (name, value) = line.rsplit_once(' ').unwrap();
        assert!(name.starts_with("holdfast_updater_"), "{line}");
        assert!(value.parse::<f64>().is_ok(), "{line}");
    }
}
