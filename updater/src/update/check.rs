//! What a repository offers this machine.

use std::path::PathBuf;

use super::offer::{self, Offer};
use super::{Error, Identity};
use crate::fetch::Source;
use crate::release::{Channel, MAX_DOCUMENT, Release, channel_name, release_name};
use crate::state::Store;
use crate::tuf::{Client, Clock, Fresh, Layout, Seen, Time};

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
}

/// What a repository answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Version that the channel offers.
    pub version: String,
    /// The release; none if it is the running one.
    pub offer: Option<Offer>,
    /// The metadata.
    pub seen: Seen,
}

/// Asks. Only what is trusted changes the folder of trusted metadata.
pub fn check(machine: &Identity, setup: &Setup, source: &mut dyn Source) -> Result<Found, Error> {
    let clock = Clock {
        system: setup.now,
        built: machine.built(),
    };
    let client = Client::open(&setup.state.join(TRUSTED), Some(&setup.root), clock)?;
    let fresh = client.refresh(source, Layout::repository())?;
    let name = channel_name(&machine.image, &machine.architecture, &setup.channel);
    let channel: Channel = fresh.json(source, &name, MAX_DOCUMENT)?;
    let version = offer::channel(&channel, &setup.channel)?;
    let document = release(&fresh, source, machine, &channel.version)?;
    let floor = match &channel.floor {
        None => None,
        Some(floor) if *floor == channel.version => Some(document.sequence),
        Some(floor) => Some(release(&fresh, source, machine, floor)?.sequence),
    };
    let (_, memory) = Store::open(&setup.state)?;
    let offer = offer::judge(document, &version, floor, machine, &memory, setup.again)?;
    Ok(Found {
        version: channel.version,
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
