//! Signed metadata: the first byte chooses a role, the rest is its document.
#![no_main]

use libfuzzer_sys::fuzz_target;
use updater::tuf::envelope::Envelope;
use updater::tuf::{Clock, Role, Root, Signed, Snapshot, Targets, Time, Timestamp, TrustedSet};
use updater::tuf::{json, trusted};

fuzz_target!(|data: &[u8]| {
    let Some((role, document)) = data.split_first() else {
        return;
    };
    if let Ok(value) = json::decode(document) {
        let canonical = json::canonical(&value);
        // Its control characters are not escaped, so not all of it is JSON.
        if let Ok(again) = json::decode(&canonical) {
            assert_eq!(json::canonical(&again), canonical);
        }
    }
    let _ = trusted::inspect(document);
    let Ok(envelope) = Envelope::decode(document) else {
        return;
    };
    let signed = envelope.unverified();
    match Role::ALL[usize::from(*role) % Role::ALL.len()] {
        Role::Root => {
            if let Ok(root) = signed.to::<Signed<Root>>() {
                for role in Role::ALL {
                    let _ = envelope.verified(&root.body.signers(role));
                }
            }
            let clock = Clock {
                system: Time(1_800_000_000),
                built: Time(0),
            };
            if let Ok(mut set) = TrustedSet::new(document, clock) {
                let _ = set.update_root(document);
                let _ = set.update_timestamp(document);
            }
        }
        Role::Timestamp => {
            if let Ok(timestamp) = signed.to::<Signed<Timestamp>>() {
                let _ = timestamp.body.snapshot();
            }
        }
        Role::Snapshot => {
            if let Ok(snapshot) = signed.to::<Signed<Snapshot>>() {
                let _ = snapshot.body.targets();
            }
        }
        Role::Targets => {
            if let Ok(targets) = signed.to::<Signed<Targets>>() {
                for (name, target) in &targets.body.targets {
                    let _ = target.consistent_path(name);
                }
            }
        }
    }
});
