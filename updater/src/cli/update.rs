//! `updater update`.

use std::io::{IsTerminal as _, Write as _};
use std::path::Path;

use serde::Serialize;

use super::mark_good::no_machine;
use super::output::{print, print_json};
use super::place::{PlaceArgs, failure, megabytes};
use super::service::{Service, View};
use super::{Exit, Failure};
use crate::boot::Machine;
use crate::install::Step;
use crate::update::{Done, Event, Work, check};

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  updater update && updater reboot\n  \
    updater update --from /run/media/stick/repository\n  updater update --channel beta --json\n\n\
    The service installs where it runs, and reboots as it is configured to; it goes on when this\n\
    program is stopped. Where none runs, or with --channel, this program installs; it may be\n\
    stopped at any time, and the next call goes on where this one was. Exit status: 0 a newer\n\
    release is installed, or there is none; 3 network or disk failed; 4 what is offered is refused.")]
pub(super) struct Args {
    #[command(flatten)]
    place: PlaceArgs,

    /// Take a release that this machine rolled back from, too
    #[arg(long)]
    again: bool,

    /// Take a release that is older than what runs, or ran well here, too
    #[arg(long)]
    allow_downgrade: bool,

    /// Print events as JSON, one in a line
    #[arg(long)]
    json: bool,
}

/// Lines with `--json` beside [`Event`]'s: the last one, and those of the service.
#[derive(Serialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
enum End<'a> {
    Progress {
        phase: &'a str,
        done: u64,
        total: u64,
    },
    UpToDate {
        version: &'a str,
    },
    Done {
        done: Done,
        version: &'a str,
    },
}

pub(super) fn run(args: &Args) -> Result<u8, Failure> {
    // The service has no word for a downgrade.
    match args.place.service().filter(|_| !args.allow_downgrade) {
        Some(service) => ask(&service, args),
        None => install(args),
    }
}

/// The service installs.
fn ask(service: &Service, args: &Args) -> Result<u8, Failure> {
    let before = service.view()?.staged;
    if args.again {
        service.call("Check", &())?;
        let view = service.settle(&mut |_| {})?.worked()?;
        if view.refused.contains(&view.offered) {
            service.call("Allow", &(view.offered.as_str(),))?;
        }
    }
    let from = args.place.from()?.unwrap_or_default();
    service.call("Update", &(from.as_str(),))?;
    let mut lines = Lines::new(args.json);
    let view = service.settle(&mut |view| lines.follow(view));
    lines.end();
    let view = view?.worked()?;
    if !view.offered.is_empty() {
        return Err(Failure::new(Exit::Refused, view.headline()));
    }
    if view.staged.is_empty() {
        let version = view.version.as_str();
        if args.json {
            print_json(&End::UpToDate { version })?;
        } else {
            let channel = &view.channel;
            print(&format!(
                "up to date: channel {channel} offers nothing newer than {version}\n"
            ))?;
        }
        return Ok(0);
    }
    let version = view.staged.as_str();
    if args.json {
        let done = match view.staged == before {
            true => Done::Staged,
            false => Done::Installed,
        };
        print_json(&End::Done { done, version })?;
    } else {
        print(&format!("{}\n", view.headline()))?;
    }
    Ok(0)
}

fn install(args: &Args) -> Result<u8, Failure> {
    let root = Path::new("/");
    let mut place = args.place.open(root)?;
    place.setup.again = args.again;
    place.setup.downgrade = args.allow_downgrade;
    let found = check(&place.machine, &place.setup, &mut *place.source).map_err(failure)?;
    let version = found.version.as_str();
    let Some(offer) = &found.offer else {
        if args.json {
            print_json(&End::UpToDate { version })?;
        } else {
            let channel = &place.setup.channel;
            print(&format!(
                "up to date: {version} is what channel {channel} offers\n"
            ))?;
        }
        return Ok(0);
    };
    let mut machine = Machine::open(root).map_err(no_machine)?;
    let (disk, boot) = machine.parts();
    let slot = disk.inactive().id;
    let mut lines = Lines::new(args.json);
    let done = Work {
        state: &place.setup.state,
        disk,
        boot: &boot,
        source: &mut *place.source,
        // Whoever wants it stopped ends the process: that is safe at any time.
        stop: &|| false,
        tell: &mut |event| lines.tell(event),
    }
    .install(offer);
    lines.end();
    let done = done.map_err(failure)?;
    if args.json {
        print_json(&End::Done { done, version })?;
    } else {
        let how = match done {
            Done::Installed => "installed",
            Done::Staged => "already installed",
        };
        print(&format!(
            "{version} is {how} in slot {slot}; reboot to start it\n"
        ))?;
    }
    Ok(0)
}

/// Progress: a line that changes on a terminal, one line a step elsewhere, JSON on
/// standard output.
struct Lines {
    json: bool,
    terminal: bool,
    step: &'static str,
    percent: Option<u64>,
    /// The step has just begun.
    begun: bool,
}

impl Lines {
    fn new(json: bool) -> Self {
        Lines {
            json,
            terminal: std::io::stderr().is_terminal(),
            step: "",
            percent: None,
            begun: false,
        }
    }

    fn tell(&mut self, event: &Event<'_>) {
        let (name, done, total) = match event {
            Event::Kernel { done, total } => ("fetching the kernel image", *done, *total),
            Event::Step { step, done, total } => (named(*step), *done, *total),
            Event::Way { way, bytes } => {
                let text = format!("/usr by way of `{way}`: at most {}", megabytes(*bytes));
                return self.line(event, &text);
            }
            Event::Otherwise { reason } => {
                let text = format!("warning: {reason}; trying another way");
                return self.line(event, &text);
            }
        };
        if self.is_news(name, done, total) {
            if self.json {
                self.event(event);
            } else {
                self.show(name);
            }
        }
    }

    /// Whether that was not told yet. Takes note of it.
    fn is_news(&mut self, step: &'static str, done: u64, total: u64) -> bool {
        let percent = (u128::from(done) * 100).checked_div(total.into());
        let percent = percent.and_then(|percent| u64::try_from(percent).ok());
        let news = (step, percent) != (self.step, self.percent);
        self.begun = step != self.step;
        (self.step, self.percent) = (step, percent);
        news
    }

    fn show(&self, step: &str) {
        if self.terminal {
            let percent = self.percent;
            let percent = percent.map_or(String::new(), |percent| format!(" {percent} %"));
            eprint!("\r\x1b[K{step}{percent}");
            let _ = std::io::stderr().flush();
        } else if self.begun {
            eprintln!("{step}");
        }
    }

    /// What the service does.
    fn follow(&mut self, view: &View) {
        let (step, (done, total)) = match view.phase.as_str() {
            "checking" => ("asking for a release", (0, 0)),
            "downloading" => ("fetching and writing", view.progress),
            "verifying" => ("reading back", (0, 0)),
            "finalizing" => ("making it bootable", (0, 0)),
            _ => return,
        };
        if self.is_news(step, done, total) {
            let phase = &view.phase;
            if self.json {
                let _ = print_json(&End::Progress { phase, done, total });
            } else {
                self.show(step);
            }
        }
    }

    fn line(&mut self, event: &Event<'_>, text: &str) {
        if self.json {
            return self.event(event);
        }
        self.end();
        eprintln!("{text}");
    }

    /// A reader that went away must not stop an update.
    fn event(&self, event: &Event<'_>) {
        let _ = print_json(event);
    }

    fn end(&mut self) {
        if self.terminal && !self.json && !self.step.is_empty() {
            eprintln!();
        }
        self.step = "";
    }
}

fn named(step: Step) -> &'static str {
    match step {
        Step::Check => "checking slot and loader",
        Step::Prepare => "clearing the other slot",
        Step::Write => "fetching and writing /usr",
        Step::Tree => "writing the hash tree",
        Step::ReadBack => "reading back",
        Step::Name => "naming the slot",
        Step::Boot => "making it bootable",
    }
}
