//! `make bench`: ratios of Holdfast against its peer. See `--help`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use tests::bench::{Figure, Options, Side, run, update};

/// Measures Holdfast and its peers on the same work, and prints the ratios.
#[derive(Debug, Parser)]
#[command(
    name = "bench",
    after_help = "The peer needs root, a Debian host with apt, the network, and about 6 GB in the \
                  cache directory: the first run makes a tools tree of mkosi with mmdebstrap \
                  (installed with apt-get when it is missing). Everything is kept in `bench-peers` of \
                  Holdfast's cache ($HOLDFAST_CACHE, else holdfast in $XDG_CACHE_HOME); delete it when \
                  done. Holdfast's side needs none of that: --side holdfast. `update` needs the network alone: its peers \
                  are Debian's packages, unpacked in the cache, and rauc runs in a machine of its own.\n\n\
                  Environment: HOLDFAST_IMAGE_BUILD and HOLDFAST_GUEST_BIN name other binaries than \
                  those of this checkout; HOLDFAST_MIRROR names the Debian mirror [default: this \
                  host's apt configuration]."
)]
struct Args {
    /// What to measure
    #[arg(value_enum, default_value = "all")]
    figures: Vec<Figure>,

    /// How often each timed thing is done; the median counts
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=99))]
    runs: u32,

    /// Whom to measure
    #[arg(long, value_enum, default_value = "both")]
    side: Side,

    /// Built-in recipe to build
    #[arg(long, default_value = "docker")]
    recipe: String,

    /// File with the peer's package names, one a line [default: those of the recipe's lock]
    #[arg(long, value_name = "FILE")]
    packages: Option<PathBuf>,

    /// Folders of two builds with raw disks to update from and to, in place of trixie as
    /// released and trixie with updates and security fixes
    #[arg(long, num_args = 2, value_names = ["OLD", "NEW"])]
    pair: Vec<PathBuf>,

    /// Print JSON
    #[arg(long)]
    json: bool,
}

fn main() -> ExitCode {
    if let Some(code) = update::child::main() {
        return code;
    }
    let args = Args::parse();
    let options = Options {
        figures: args.figures,
        runs: args.runs,
        side: args.side,
        recipe: args.recipe,
        packages: args.packages,
        pair: match <[PathBuf; 2]>::try_from(args.pair) {
            Ok([old, new]) => Some((old, new)),
            Err(_) => None,
        },
    };
    let printed = run(&options).and_then(|table| {
        if args.json {
            Ok(table.json()? + "\n")
        } else {
            Ok(table.text())
        }
    });
    match printed {
        Ok(text) => {
            print!("{text}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(3)
        }
    }
}
