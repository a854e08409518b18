//! `updater check`.

use std::path::Path;

use serde::Serialize;

use super::Failure;
use super::output::{print, print_json};
use super::place::{PlaceArgs, failure, megabytes};
use crate::tuf::Seen;
use crate::update::{Identity, check};

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  updater check\n  updater check --from /run/media/stick/repository --json\n\n\
    Exit status: 0 whether there is a newer release or not, 3 the repository cannot be reached,\n\
    4 what it offers is refused."
)]
pub(super) struct Args {
    #[command(flatten)]
    place: PlaceArgs,

    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// What is printed as JSON.
#[derive(Serialize)]
struct Answer<'a> {
    running: &'a Identity,
    channel: &'a str,
    /// None: the running release is what the channel offers.
    offer: Option<Offered<'a>>,
    metadata: &'a Seen,
}

#[derive(Serialize)]
struct Offered<'a> {
    version: &'a str,
    sequence: u64,
    /// Bytes of /usr to fetch at most, and those of the kernel image.
    download: u64,
    urgent: bool,
}

pub(super) fn run(args: &Args) -> Result<u8, Failure> {
    let mut place = args.place.open(Path::new("/"))?;
    let found = check(&place.machine, &place.setup, &mut *place.source).map_err(failure)?;
    let offered = found.offer.as_ref().map(|offer| Offered {
        version: offer.version.as_str(),
        sequence: offer.release.sequence,
        download: offer.download(&place.machine),
        urgent: offer.urgent,
    });
    if args.json {
        print_json(&Answer {
            running: &place.machine,
            channel: &place.setup.channel,
            offer: offered,
            metadata: &found.seen,
        })?;
        return Ok(0);
    }
    let channel = &place.setup.channel;
    print(&match offered {
        None => format!(
            "up to date: {} is what channel {channel} offers\n",
            found.version
        ),
        Some(offer) => format!(
            "channel {channel} offers {}; {} runs; {} to fetch at most{}\n",
            offer.version,
            place.machine.version,
            megabytes(offer.download),
            if offer.urgent {
                "\nwhat runs is older than the channel allows: update now"
            } else {
                ""
            }
        ),
    })?;
    Ok(0)
}
