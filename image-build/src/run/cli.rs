//! `image-build run`.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::str::FromStr;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};

use serde_json::json;

use super::console::compile;
use super::terminal::{Keys, Raw, Typed, read_keys};
use super::{Accel, Bus, Exit, Firmware, KeyPair, Machine, MachineConfig, Nic, Storage};
use crate::cache::Cache;
use crate::error::{Context, Error, Result};
use crate::progress::Progress;
use crate::simulate::{Mode, Provider, Scenario, Tokens};
use crate::tools::Tools;

/// Limit for `--until` without `--timeout`.
const UNTIL_TIMEOUT: Duration = Duration::from_secs(600);
/// Time for a clean shutdown when the disk is kept.
const SHUTDOWN: Duration = Duration::from_secs(60);

/// Boot an image in QEMU, with a simulated provider.
///
/// The console is on the terminal; Ctrl-A X stops the machine. Exit status: 0
/// when `--until` matched or the machine switched itself off, 1 when it did so
/// before `--until` matched, 3 when the time was over or QEMU failed.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Disk image (raw, qcow2, vmdk, vhd, vhdx, vdi); it is not written to
    pub image: Option<PathBuf>,
    /// Firmware: bios, uefi
    #[arg(long, default_value = "uefi", value_parser = parsed::<Firmware>)]
    pub firmware: Firmware,
    /// UEFI with Secure Boot on hold until keys are enrolled: a fresh machine has none and
    /// takes those that the image brings (recipe: `secure_boot.enroll`)
    #[arg(long)]
    pub secure_boot: bool,
    /// Simulated provider; `list` shows them
    #[arg(long, default_value = "nocloud")]
    pub provider: String,
    /// File with user-data for the machine
    #[arg(long, value_name = "FILE")]
    pub user_data: Option<PathBuf>,
    /// File with further public SSH keys (one is made and given by default)
    #[arg(long, value_name = "FILE")]
    pub ssh_key: Vec<PathBuf>,
    /// Host name the provider gives
    #[arg(long, default_value = "holdfast")]
    pub hostname: String,
    /// Instance id the provider gives
    #[arg(long, value_name = "ID")]
    pub instance_id: Option<String>,
    /// Password the provider gives (CloudStack, OpenStack)
    #[arg(long)]
    pub password: Option<String>,
    /// How the metadata service behaves: good, absent, silent, wrong, redirecting, truncated, trickling, late=SECONDS, slow=SECONDS, failing=COUNT, status=CODE
    #[arg(long, value_name = "HOW", default_value = "good", value_parser = parsed::<Mode>)]
    pub metadata: Mode,
    /// EC2 without session tokens (version 1 of the service only)
    #[arg(long)]
    pub imds_v1: bool,
    /// Stop with success when the console shows this regular expression
    #[arg(long, value_name = "REGEX")]
    pub until: Option<String>,
    /// Stop after so many seconds (default 600 with --until, else none)
    #[arg(long, value_name = "SECONDS")]
    pub timeout: Option<u64>,
    /// Memory in MiB
    #[arg(long, default_value_t = 2048, value_name = "MIB", value_parser = clap::value_parser!(u32).range(64..))]
    pub memory: u32,
    /// Processors
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..))]
    pub cpus: u32,
    /// Disk bus: virtio-blk, virtio-scsi, nvme, ahci, ide, mptsas, sym53c8xx, megasas, pvscsi
    #[arg(long, default_value = "virtio-blk", value_name = "BUS", value_parser = parsed::<Bus>)]
    pub disk: Bus,
    /// Network card: virtio-net, e1000, e1000e, vmxnet3
    #[arg(long, default_value = "virtio-net", value_parser = parsed::<Nic>)]
    pub nic: Nic,
    /// Size of the disk in GiB
    #[arg(long, default_value_t = 10, value_name = "GIB", value_parser = clap::value_parser!(u64).range(1..65536))]
    pub disk_size: u64,
    /// Keep the disk's changes in this file (qcow2), and start from them next time
    #[arg(long, value_name = "FILE")]
    pub persist: Option<PathBuf>,
    /// Make a port of the machine reachable on 127.0.0.1
    #[arg(long, value_name = "HOST:MACHINE", value_parser = port_pair)]
    pub port: Vec<(u16, u16)>,
    /// No network beyond this host
    #[arg(long)]
    pub offline: bool,
    /// How instructions are run: auto, kvm, tcg
    #[arg(long, default_value = "auto", value_parser = ["auto", "kvm", "tcg"])]
    pub accel: String,
    /// Print the result as JSON on standard output, and the console on standard error
    #[arg(long)]
    pub json: bool,
    /// Further arguments for QEMU
    #[arg(last = true, value_name = "QEMU ARGS")]
    pub extra: Vec<String>,
}

/// Reads a value; the message carries the hint, as clap shows only one text.
fn parsed<T: FromStr<Err = Error>>(text: &str) -> std::result::Result<T, String> {
    text.parse().map_err(|e: Error| match e.hint_text() {
        Some(hint) => format!("{} ({hint})", e.chain()),
        None => e.chain(),
    })
}

fn port_pair(text: &str) -> std::result::Result<(u16, u16), String> {
    let pair = text
        .split_once(':')
        .and_then(|(host, machine)| Some((host.parse().ok()?, machine.parse().ok()?)));
    pair.filter(|p: &(u16, u16)| p.1 != 0).ok_or_else(|| {
        "two port numbers are wanted, as 8080:80 (host port 0 takes a free one)".to_owned()
    })
}

fn scenario(args: &Args, key: &KeyPair) -> Result<Scenario> {
    let read = |path: &Path| std::fs::read(path).input(|| format!("reading {}", path.display()));
    let mut ssh_keys = vec![key.public.clone()];
    for path in &args.ssh_key {
        let bytes = read(path)?;
        let text =
            String::from_utf8(bytes).input(|| format!("reading keys from {}", path.display()))?;
        if text.contains("PRIVATE KEY") {
            return Err(Error::usage(format!("{} is a private key", path.display()))
                .hint("give the file that ends in .pub"));
        }
        ssh_keys.extend(
            text.lines()
                .map(str::trim)
                .filter(|l| !l.is_empty() && !l.starts_with('#'))
                .map(str::to_owned),
        );
    }
    Ok(Scenario {
        user_data: args.user_data.as_deref().map(read).transpose()?,
        ssh_keys,
        hostname: args.hostname.clone(),
        instance_id: args.instance_id.clone(),
        password: args.password.clone(),
        tokens: if args.imds_v1 {
            Tokens::Unknown
        } else {
            Tokens::Required
        },
        mode: args.metadata,
        ..Scenario::new(Provider::named(&args.provider)?)
    })
}

/// Prints the simulated providers.
pub fn list_providers() {
    for provider in crate::simulate::PROVIDERS {
        println!("{:24} {}", provider.name, provider.about);
    }
}

/// Something that ends the run.
enum Event {
    Matched(String),
    Off,
    Quit,
    Signal,
}

/// Boots `image` as the arguments say, and waits for the end.
pub fn main(
    args: &Args,
    image: &Path,
    tools: &Tools,
    cache: &Cache,
    progress: &Progress,
) -> Result<ExitCode> {
    let until = args.until.as_deref().map(compile).transpose()?;
    let key = KeyPair::in_cache(tools, cache)?;
    let (accel, why) = match args.accel.as_str() {
        "kvm" => (Accel::Kvm, ""),
        "tcg" => (Accel::Tcg, "as asked"),
        _ => Accel::probe(tools, cache)?,
    };
    if accel == Accel::Tcg {
        progress.note(&format!("emulating the processor, which is slow: {why}"));
    }
    let config = MachineConfig {
        firmware: args.firmware,
        secure_boot: args.secure_boot,
        storage: args
            .persist
            .clone()
            .map_or(Storage::Temporary, Storage::Persistent),
        disk_size: Some(args.disk_size << 30),
        disk: args.disk,
        nic: args.nic,
        memory: args.memory,
        cpus: args.cpus,
        scenario: scenario(args, &key)?,
        forwards: args.port.clone(),
        internet: !args.offline,
        ssh_key: Some(key.private.clone()),
        extra: args.extra.clone(),
        ..MachineConfig::new(image, accel)
    };
    let started = Instant::now();
    let machine = Machine::boot(&config, tools)?;
    if let Some(line) = machine.ssh_command_line() {
        progress.note(&format!("to log in: {line}"));
    }
    for (_, port) in &args.port {
        if let Some(host) = machine.host_port(*port) {
            progress.note(&format!("port {port} is at 127.0.0.1:{host}"));
        }
    }
    let raw = Raw::enter();
    if raw.is_some() {
        progress.note("Ctrl-A X stops the machine");
    }
    if args.json {
        machine.console().copy_to(std::io::stderr());
    } else {
        machine.console().copy_to(std::io::stdout());
    }

    let timeout = args
        .timeout
        .map(Duration::from_secs)
        .or(until.as_ref().map(|_| UNTIL_TIMEOUT));
    let event = wait(&machine, until, timeout, raw.is_some())?;
    drop(raw);
    // What does not end in a line of its own would hide ours.
    eprintln!();
    if args.persist.is_some() && !matches!(event, Some(Event::Off)) {
        progress.note("shutting the machine down");
        machine.power_button()?;
        if machine.wait_off(SHUTDOWN).is_none() {
            progress.note("it did not shut down; its power is cut");
        }
    }
    let outcome = judge(args, &machine, event, timeout);
    if args.json {
        print_json(&machine, accel, started.elapsed(), &outcome)?;
    }
    outcome.map(|(code, text)| {
        progress.note(&format!(
            "{text} after {:.1} s",
            started.elapsed().as_secs_f64()
        ));
        code
    })
}

/// Waits for the first thing that ends the run; `None` when the time is over.
fn wait(
    machine: &Machine,
    until: Option<regex::bytes::Regex>,
    timeout: Option<Duration>,
    keys: bool,
) -> Result<Option<Event>> {
    let (send, events) = mpsc::channel();
    let forever = Instant::now() + Duration::from_secs(10 * 365 * 86400);
    let (console, to) = (machine.console().clone(), send.clone());
    let pattern = until.clone();
    std::thread::spawn(move || {
        if let Some(found) = pattern.and_then(|p| console.find(&p, 0, forever)) {
            let _ = to.send(Event::Matched(found.text));
        }
        if console.wait_closed(forever) {
            let _ = to.send(Event::Off);
        }
    });
    signals(send.clone())?;
    let (typed, for_machine) = mpsc::channel::<Vec<u8>>();
    if keys {
        let mut escape = Keys::default();
        read_keys(move |bytes| match escape.feed(bytes) {
            Typed::Bytes(bytes) => typed.send(bytes).is_ok(),
            Typed::Quit => {
                let _ = send.send(Event::Quit);
                false
            }
        });
    }
    let deadline = timeout.map(|t| Instant::now() + t);
    std::thread::scope(|scope| {
        // Ends when the reader of keys does, or with the program.
        let (stop, stopped) = mpsc::channel::<()>();
        if keys {
            scope.spawn(move || {
                while !matches!(stopped.try_recv(), Err(mpsc::TryRecvError::Disconnected)) {
                    match for_machine.recv_timeout(Duration::from_millis(100)) {
                        Ok(bytes) if machine.type_bytes(&bytes).is_err() => break,
                        Ok(_) | Err(RecvTimeoutError::Timeout) => {}
                        Err(RecvTimeoutError::Disconnected) => break,
                    }
                }
            });
        }
        let left = deadline
            .unwrap_or(forever)
            .saturating_duration_since(Instant::now());
        let event = events.recv_timeout(left).ok();
        drop(stop);
        Ok(event)
    })
}

/// Turns the signals that end a program into an event, so that the terminal and
/// temporary files are put right.
fn signals(to: Sender<Event>) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .environment(|| "preparing to catch signals".to_owned())?;
    std::thread::spawn(move || {
        runtime.block_on(async move {
            use tokio::signal::unix::{SignalKind, signal};
            let kinds = [
                SignalKind::interrupt(),
                SignalKind::terminate(),
                SignalKind::hangup(),
            ];
            let [Ok(mut a), Ok(mut b), Ok(mut c)] = kinds.map(signal) else {
                return;
            };
            tokio::select! {
                _ = a.recv() => {}
                _ = b.recv() => {}
                _ = c.recv() => {}
            }
            let _ = to.send(Event::Signal);
        });
    });
    Ok(())
}

/// The exit status, and a few words on why.
fn judge(
    args: &Args,
    machine: &Machine,
    event: Option<Event>,
    timeout: Option<Duration>,
) -> Result<(ExitCode, String)> {
    let unmatched = args
        .until
        .as_ref()
        .map(|p| format!(" before the console showed `{p}`"));
    match event {
        Some(Event::Matched(text)) => Ok((
            ExitCode::SUCCESS,
            format!("the console showed `{}`", text.trim()),
        )),
        Some(Event::Off) => match (machine.wait_off(Duration::from_secs(15)), unmatched) {
            (Some(Exit::PoweredOff), None) => Ok((
                ExitCode::SUCCESS,
                "the machine switched itself off".to_owned(),
            )),
            (Some(Exit::PoweredOff), Some(when)) => Err(Error::input(format!(
                "the machine switched itself off{when}"
            ))),
            (Some(Exit::Failed(why)), _) => Err(Error::environment(format!("QEMU failed: {why}"))),
            (_, when) => Err(Error::environment(format!(
                "QEMU was stopped{}",
                when.unwrap_or_default()
            ))),
        },
        Some(Event::Quit) => match unmatched {
            None => Ok((ExitCode::SUCCESS, "stopped".to_owned())),
            Some(when) => Err(Error::input(format!("stopped{when}"))),
        },
        // As shells report an interrupt.
        Some(Event::Signal) => Ok((ExitCode::from(130), "interrupted".to_owned())),
        None => {
            let seconds = timeout.unwrap_or_default().as_secs();
            Err(Error::environment(format!(
                "{seconds} s passed{}",
                unmatched.unwrap_or_default()
            ))
            .hint("--timeout allows more; emulation without KVM is some ten times slower"))
        }
    }
}

fn print_json(
    machine: &Machine,
    accel: Accel,
    time: Duration,
    outcome: &Result<(ExitCode, String)>,
) -> Result<()> {
    let requests: Vec<_> = machine
        .requests()
        .iter()
        .map(|e| {
            json!({
                "seconds": e.at.as_secs_f64(),
                "called": e.called.to_string(),
                "method": e.request.method,
                "path": e.request.path,
                "status": e.status,
            })
        })
        .collect();
    let value = json!({
        "ok": outcome.is_ok(),
        "outcome": match outcome { Ok((_, text)) => text.clone(), Err(e) => e.chain() },
        "seconds": time.as_secs_f64(),
        "accel": match accel { Accel::Kvm => "kvm", Accel::Tcg => "tcg" },
        "ssh_port": machine.host_port(22),
        "resets": machine.resets(),
        "requests": requests,
    });
    writeln!(std::io::stdout(), "{value}").environment(|| "printing the result".to_owned())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        args: Args,
    }

    #[test]
    fn arguments_parse() {
        let cli = Cli::try_parse_from([
            "run",
            "a.raw",
            "--firmware",
            "bios",
            "--provider",
            "ec2",
            "--metadata",
            "late=5",
            "--port",
            "0:80",
            "--until",
            "login:",
            "--",
            "-s",
        ])
        .unwrap();
        assert_eq!(
            (cli.args.firmware, cli.args.metadata),
            (Firmware::Bios, Mode::Late(Duration::from_secs(5)))
        );
        assert_eq!(
            (cli.args.port.as_slice(), cli.args.extra.as_slice()),
            (&[(0, 80)][..], &["-s".to_owned()][..])
        );
        let error = Cli::try_parse_from(["run", "--disk", "floppy"])
            .err()
            .unwrap()
            .to_string();
        assert!(error.contains("virtio-scsi"), "{error}");
        assert!(Cli::try_parse_from(["run", "--port", "80"]).is_err());
    }
}
