//! What a repository offers this machine.

use std::path::PathBuf;

use super::floor::Floor;
use super::offer::{self, Limits, Offer, Refused};
use super::{Answered, Error, Identity};
use crate::fetch::Source;
use crate::release::{Channel, Digest, MAX_DOCUMENT, Release, channel_name, release_name};
use crate::state::Store;
use crate::tuf::{self, Client, Clock, Fresh, Layout, Seen, Time};

/// Folder of trusted metadata, in the state's folder.
const TRUSTED: &str = "tuf";

/// What a check needs to know beside the machine.
#[derive(Debug, Clone)]
pub struct Setup {
    /// The state's folder, [`crate::STATE`].
    pub state: PathBuf,
    /// The root of trust that the image ships, [`super::ROOT`].
    pub root: Vec<u8>,
    /// The channel to follow.
    pub channel: String,
    /// What the system's clock says.
    pub now: Time,
    /// Take a release that was given up, too.
    pub again: bool,
    /// Take a release that is older than what runs, or ran well, too.
    pub downgrade: bool,
    /// The only version to take, whatever the channel offers.
    pub pin: Option<String>,
}

/// What a repository answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Version that the channel offers, or to which the machine is pinned.
    pub version: String,
    /// The release; none if it is the running one.
    pub offer: Option<Offer>,
    /// The metadata.
    pub seen: Seen,
}

/// Asks. Only what is trusted changes the folder of trusted metadata.
pub fn check(machine: &Identity, setup: &Setup, source: &mut dyn Source) -> Result<Found, Error> {
    check_and_tell(machine, setup, source, &mut |_| {})
}

/// The same; `told` hears of the metadata, whatever becomes of the release.
pub fn check_and_tell(
    machine: &Identity,
    setup: &Setup,
    source: &mut dyn Source,
    told: &mut dyn FnMut(&Seen),
) -> Result<Found, Error> {
    let clock = Clock {
        system: setup.now,
        built: machine.built(),
    };
    let client = Client::open(&setup.state.join(TRUSTED), Some(&setup.root), clock)?;
    let fresh = client.refresh(source, Layout::repository())?;
    if let Err(e) = Answered::note(&setup.state, setup.now.max(machine.built())) {
        tracing::warn!(
            hint = e.hint(),
            "when the repository answered is not kept: {e}"
        );
    }
    told(fresh.seen());
    for (suspicion, text) in fresh.seen().suspicions() {
        tracing::warn!(suspicion, "{text}");
    }
    let name = channel_name(&machine.image, &machine.architecture, &setup.channel);
    let channel: Channel = fresh.json(source, &name, MAX_DOCUMENT)?;
    let mut version = offer::channel(&channel, &setup.channel)?;
    let mut downgrade = channel.downgrade;
    if let Some(pin) = setup.pin.as_ref().filter(|pin| **pin != channel.version) {
        // The permit is for what the channel offers.
        (version, downgrade) = (pin.parse().map_err(Refused::from)?, false);
    }
    let mut floor = Floor::read(&setup.state)?;
    let running = Digest(machine.root_hash.0);
    if version.as_str() == machine.version && setup.pin.is_some() {
        // There, whether the repository still has it or not.
        return Ok(Found {
            version: version.to_string(),
            offer: None,
            seen: fresh.seen().clone(),
        });
    }
    let document = match release(&fresh, source, machine, version.as_str()) {
        Err(Error::Tuf(tuf::Error::NoTarget(_))) if setup.pin.is_some() => {
            return Err(Refused::NoPin(version).into());
        }
        result => result?,
    };
    if !floor.knows(running) {
        // Told by the release's own document, if it is still there.
        let own = match document.usr.root_hash == running {
            true => Some(document.sequence),
            false => release(&fresh, source, machine, &machine.version)
                .ok()
                .filter(|own| own.usr.root_hash == running)
                .map(|own| own.sequence),
        };
        if let Some(sequence) = own {
            floor.note(&setup.state, running, sequence, false)?;
        }
    }
    let oldest = match &channel.floor {
        None => None,
        Some(oldest) if *oldest == version.as_str() => Some(document.sequence),
        Some(oldest) => Some(release(&fresh, source, machine, oldest)?.sequence),
    };
    let limits = Limits {
        running: floor.running(machine),
        floor: floor.floor(),
        oldest,
        downgrade: downgrade || setup.downgrade,
    };
    let (_, memory) = Store::open(&setup.state)?;
    let offer = offer::judge(document, &version, &limits, machine, &memory, setup.again)?;
    Ok(Found {
        version: version.to_string(),
        offer,
        seen: fresh.seen().clone(),
    })
}

/// A release's document, for this machine.
fn release(
    fresh: &Fresh<'_>,
    source: &mut dyn Source,
    machine: &Identity,
    version: &str,
) -> Result<Release, Error> {
    let name = release_name(&machine.image, &machine.architecture, version);
    let document: Release = fresh.json(source, &name, MAX_DOCUMENT)?;
    let version = offer::release(&document, version, machine)?;
    offer::is_of_its_time(&document, &version, fresh.seen().expires)?;
    Ok(document)
}
