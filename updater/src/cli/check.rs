//! `updater check`.

use std::path::Path;

use serde::Serialize;

use super::Failure;
use super::output::{print, print_json};
use super::place::{PlaceArgs, failure};
use super::service::Service;
use crate::config::size_in_words;
use crate::tuf::Seen;
use crate::update::{Identity, check};

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  updater check\n  updater check --from /run/media/stick/repository --json\n\n\
    Exit status: 0 whether there is a newer release or not, 3 the repository cannot be reached,\n\
    4 what it offers is refused.\n\n\
    The service looks where it runs, unless --from or --channel is given."
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

/// The same, of the service.
#[derive(Serialize)]
struct ServiceAnswer<'a> {
    running: Running<'a>,
    channel: &'a str,
    offer: Option<ServiceOffered<'a>>,
    /// Installed, and the next boot starts it.
    staged: Option<&'a str>,
    why: &'a [String],
}

#[derive(Serialize)]
struct Running<'a> {
    version: &'a str,
}

#[derive(Serialize)]
struct ServiceOffered<'a> {
    version: &'a str,
    download: u64,
}

pub(super) fn run(args: &Args) -> Result<u8, Failure> {
    let named = args.place.from()?.is_some() || args.place.channel().is_some();
    match Service::find().filter(|_| !named) {
        Some(service) => ask(&service, args.json),
        None => look(args),
    }
}

/// The service looks.
fn ask(service: &Service, json: bool) -> Result<u8, Failure> {
    service.call("Check", &())?;
    let view = service.settle(&mut |_| {})?.worked()?;
    let some = |text: &'_ str| !text.is_empty();
    if json {
        print_json(&ServiceAnswer {
            running: Running {
                version: &view.version,
            },
            channel: &view.channel,
            offer: some(&view.offered).then_some(ServiceOffered {
                version: &view.offered,
                download: view.offered_size,
            }),
            staged: some(&view.staged).then_some(&view.staged),
            why: &view.why,
        })?;
        return Ok(0);
    }
    let channel = &view.channel;
    print(&if some(&view.offered) {
        format!(
            "channel {channel} offers {}; {} runs; {} to fetch at most\n{}\n",
            view.offered,
            view.version,
            size_in_words(view.offered_size),
            view.headline()
        )
    } else if some(&view.staged) {
        format!("{}\n", view.headline())
    } else {
        format!(
            "up to date: channel {channel} offers nothing newer than {}\n",
            view.version
        )
    })?;
    Ok(0)
}

fn look(args: &Args) -> Result<u8, Failure> {
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
            size_in_words(offer.download),
            if offer.urgent {
                "\nwhat runs is older than the channel allows: update now"
            } else {
                ""
            }
        ),
    })?;
    Ok(0)
}
