//! Documents of channels and releases, up to the decision to take one.
#![no_main]

use init::cmdline::RootHash;
use libfuzzer_sys::fuzz_target;
use updater::delta::plan::choices;
use updater::release::{Channel, Release};
use updater::state::Memory;
use updater::tuf::json::decode_as;
use updater::update::{Identity, offer};
use updater::version::Version;

fuzz_target!(|data: &[u8]| {
    let machine = Identity {
        image: "docker".into(),
        architecture: "amd64".into(),
        version: "1".into(),
        root_hash: RootHash([1; 32]),
        sequence: 100,
    };
    if let Ok(channel) = decode_as::<Channel>(data) {
        let _ = offer::channel(&channel, "stable");
    }
    let Ok(release) = decode_as::<Release>(data) else {
        return;
    };
    let _ = offer::release(&release, "2", &machine);
    assert!(!choices(&release.usr, None).is_empty());
    let _ = release.uki.path();
    let version: Version = "2".parse().expect("a version");
    let memory = Memory::default();
    if let Ok(Some(offer)) = offer::judge(release, &version, None, &machine, &memory, false) {
        assert!(offer.release.usr.size > 0 && offer.release.sequence > machine.sequence);
    }
});
