//! The verbs' side of the bus, against the real service with a machine that is not
//! there.

use std::os::unix::net::UnixStream;
use std::sync::mpsc;

use zbus::Guid;

use super::*;
use crate::daemon::serve;
use crate::daemon::testing::{Plan, Pretender, configure, engine, known};
use crate::state::{Facts, Offer, Trouble, TroubleKind, Wish};

/// Offers release 2, which installs; fails when the folder `/bad` is asked.
fn plan() -> Plan {
    Plan {
        facts: Facts {
            booted: known("1", 10),
            fallback: true,
            ..Facts::default()
        },
        found: Some(Offer {
            release: known("2", 20),
            download: 1000,
            wish: Wish::default(),
            downgrade: false,
        }),
        trouble: Some(Trouble {
            kind: TroubleKind::Verification,
            text: "the signature is wrong".to_owned(),
            hint: Some("use another mirror".to_owned()),
            ..Trouble::default()
        }),
        trouble_at: Some("/bad"),
        other: known("0", 5),
        // Long enough to be looked at on a busy machine.
        pause: 10 * LOOK,
        ..Plan::default()
    }
}

/// Runs the service in a thread of its own, for as long as the process lives.
fn service(root: &std::path::Path, config: &str) -> Service {
    configure(root, config);
    let root = root.to_owned();
    let (ours, theirs) = UnixStream::pair().unwrap();
    let (ready, started) = mpsc::channel();
    std::thread::spawn(move || {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let (engine, handle, _) = engine(&root, Pretender(plan()));
            let builder = connection::Builder::unix_stream(theirs)
                .server(Guid::generate())
                .p2p();
            ready.send(()).unwrap();
            let _connection = serve(builder, &handle).build().await.unwrap();
            engine.run().await;
        });
    });
    started.recv().unwrap();
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let client = connection::Builder::unix_stream(ours).p2p();
    let connection = runtime.block_on(client.build()).unwrap();
    let service = Service::direct(runtime, connection);
    while service.settle(&mut |_| {}).unwrap().phase != "idle" {}
    service
}

const CONFIG: &str = "servers: [\"file:///nowhere\"]\nreboot-strategy: off\n";

#[test]
fn a_check_and_an_update_are_followed_to_their_end() {
    let root = tempfile::tempdir().unwrap();
    let service = service(root.path(), CONFIG);
    service.call("Check", &()).unwrap();
    let view = service.settle(&mut |_| {}).unwrap().worked().unwrap();
    assert_eq!((view.version.as_str(), view.offered.as_str()), ("1", "2"));
    assert_eq!((view.offered_size, view.channel.as_str()), (1000, "stable"));
    assert!(view.headline().contains("`updater update` installs it"));

    service.call("Update", &("",)).unwrap();
    let mut told = Vec::new();
    let view = service
        .settle(&mut |view| told.push((view.phase.clone(), view.progress)))
        .unwrap();
    assert!(
        told.contains(&("downloading".to_owned(), (500, 1000))),
        "{told:?}"
    );
    let view = view.worked().unwrap();
    assert_eq!((view.phase.as_str(), view.staged.as_str()), ("staged", "2"));
    assert!(view.headline().contains("waits for an operator"));
    service.call("Reboot", &()).unwrap();
    assert_eq!(service.view().unwrap().phase, "rebooting");
}

#[test]
fn what_fails_tells_why_and_what_to_do() {
    let root = tempfile::tempdir().unwrap();
    let service = service(root.path(), CONFIG);
    service.call("Update", &("/bad",)).unwrap();
    let failure = service.settle(&mut |_| {}).unwrap().worked().unwrap_err();
    assert_eq!(failure.to_string(), "the signature is wrong");
    assert_eq!(failure.exit_code(), 4);
    assert_eq!(failure.hint(), Some("use another mirror"));

    service.call("Hold", &("audit",)).unwrap();
    let held = service.call("Update", &("",)).unwrap_err();
    assert_eq!(held.to_string(), "updates are held: audit");
    assert_eq!(held.exit_code(), 4);
    assert_eq!(service.view().unwrap().hold_reason, "audit");
    service.call("Release", &()).unwrap();
    assert!(service.call("Release", &()).is_err());
    assert_eq!(
        service.call("Allow", &("9",)).unwrap_err().to_string(),
        "9 is not refused"
    );
    // What is gone cannot be asked, and says so.
    let strange = service.call("NoSuchThing", &()).unwrap_err();
    assert_eq!(strange.exit_code(), 3);
}

#[test]
fn a_rollback_is_followed() {
    let root = tempfile::tempdir().unwrap();
    let service = service(root.path(), CONFIG);
    service.call("Rollback", &()).unwrap();
    let view = service.settle(&mut |_| {}).unwrap().worked().unwrap();
    assert_eq!(view.staged, "0");
    assert_eq!(view.refused, ["1"]);
}

/// Why an image without `update:` stays as it is.
#[test]
fn a_machine_without_a_source_explains_itself() {
    let root = tempfile::tempdir().unwrap();
    let service = service(root.path(), "");
    let why = service.view().unwrap().why.join("\n");
    assert!(why.contains("This image trusts no repository"), "{why}");
    let path = root.path().join(crate::update::ROOT);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, "{}").unwrap();
    service.call("Reload", &()).unwrap();
    std::thread::sleep(LOOK);
    let why = service.view().unwrap().why.join("\n");
    assert!(why.contains("No update source is configured"), "{why}");
}
