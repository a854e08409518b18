//! `image-build keys`: the keys and the root of trust of a repository.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Subcommand;
use serde::Serialize;
use updater::tuf::sign::{self, Keyring, Lock, Policy, Repository};
use updater::tuf::{Role, Time};

use super::secure_boot;
use crate::error::{Error, Result};
use crate::publish::failed;

/// Arguments of `keys`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    image-build keys init keys --repository repo\n  \
    image-build keys show --keys keys --repository repo\n  \
    image-build keys renew timestamp --keys keys --repository repo\n  \
    image-build keys rotate targets --keys keys --repository repo\n  \
    image-build keys command hsm-1 72378e5b..542c --keys keys -- sign-with-hsm --slot 3\n  \
    image-build keys rotate root --with hsm-1 --with hsm-2 --threshold 2 --keys keys --repository repo\n  \
    image-build keys secure-boot firmware --name 'Example Ltd'\n\n\
    A folder of keys has one file a key: NAME.pem (PKCS#8, mode 0600) or NAME.command.\n\
    A key that is not in the folder cannot sign; keep those of root elsewhere, and bring\n\
    them for `rotate` and `renew root` alone.")]
pub struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Make the keys of a new repository and its first documents
    Init(Init),
    /// Replace the keys of a role
    Rotate(Rotate),
    /// Sign a role's document anew, before it expires
    Renew(Renew),
    /// Show roles, keys and expiry
    Show(Show),
    /// Add a key that a program holds (HSM, KMS)
    Command(Command),
    /// Make the keys of Secure Boot, and the files that bring them into firmware
    SecureBoot(secure_boot::Args),
}

/// Where keys and repository are.
#[derive(Debug, clap::Args)]
struct Place {
    /// Folder of keys
    #[arg(long, value_name = "DIR")]
    keys: PathBuf,

    /// Folder that the web server serves
    #[arg(long, value_name = "DIR")]
    repository: PathBuf,

    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Args)]
struct Init {
    /// Folder of keys; made if it does not exist
    keys: PathBuf,

    /// Folder that the web server serves
    #[arg(long, value_name = "DIR")]
    repository: PathBuf,

    /// Keys of root to make
    #[arg(long, value_name = "N", default_value_t = 3)]
    root_keys: u64,

    /// Keys that must sign a root
    #[arg(long, value_name = "N", default_value_t = 2)]
    root_threshold: u64,

    /// Keys of targets to make
    #[arg(long, value_name = "N", default_value_t = 1)]
    targets_keys: u64,

    /// Keys that must sign targets
    #[arg(long, value_name = "N", default_value_t = 1)]
    targets_threshold: u64,

    /// Use this key of the folder for a role instead of making one
    #[arg(long, value_name = "ROLE=NAME", value_parser = assignment)]
    with: Vec<(Role, String)>,

    /// Days for which a root is good
    #[arg(long, value_name = "DAYS", default_value_t = Policy::default().root)]
    root_days: u32,

    /// Days for which targets are good: the longest time between two publications
    #[arg(long, value_name = "DAYS", default_value_t = Policy::default().targets)]
    targets_days: u32,

    /// Days for which a snapshot is good
    #[arg(long, value_name = "DAYS", default_value_t = Policy::default().snapshot)]
    snapshot_days: u32,

    /// Days for which a timestamp is good: the longest time for which a machine can be
    /// kept from noticing an update
    #[arg(long, value_name = "DAYS", default_value_t = Policy::default().timestamp)]
    timestamp_days: u32,

    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Args)]
struct Rotate {
    /// root, timestamp, snapshot or targets
    role: Role,

    /// Use this key of the folder; make new ones if none is named
    #[arg(long, value_name = "NAME")]
    with: Vec<String>,

    /// Keys that must sign [default: as before]
    #[arg(long, value_name = "N")]
    threshold: Option<u64>,

    #[command(flatten)]
    place: Place,
}

#[derive(Debug, clap::Args)]
struct Renew {
    /// root, timestamp, snapshot or targets
    #[arg(default_value = "timestamp")]
    role: Role,

    #[command(flatten)]
    place: Place,
}

#[derive(Debug, clap::Args)]
struct Show {
    #[command(flatten)]
    place: Place,
}

#[derive(Debug, clap::Args)]
struct Command {
    /// The key's name
    name: String,

    /// The public key: 64 hexadecimal digits
    public: String,

    /// Folder of keys
    #[arg(long, value_name = "DIR")]
    keys: PathBuf,

    /// Program and arguments: gets the bytes to sign on standard input, answers with the
    /// 64 bytes of the ed25519 signature
    #[arg(last = true, required = true, value_name = "PROGRAM")]
    command: Vec<String>,
}

pub(super) fn main(args: &Args) -> Result<ExitCode> {
    match &args.verb {
        Verb::Init(args) => {
            let repository = init(args)?;
            report(&repository, args.json)?;
            if !args.json {
                println!(
                    "\nNow keep root-*.pem somewhere else, and give the image {}",
                    metadata(&args.repository).join("1.root.json").display()
                );
            }
        }
        Verb::Rotate(args) => {
            let (_lock, mut repository) = open_alone(&args.place)?;
            rotate(&mut repository, args)?;
            report(&repository, args.place.json)?;
        }
        Verb::Renew(args) => {
            let (_lock, mut repository) = open_alone(&args.place)?;
            repository.renew(args.role).map_err(failed)?;
            report(&repository, args.place.json)?;
        }
        Verb::Show(args) => report(&open(&args.place)?, args.place.json)?,
        Verb::Command(args) => {
            let mut keyring = Keyring::open(&args.keys).map_err(failed)?;
            keyring
                .add_command(&args.name, &args.public, args.command.clone())
                .map_err(failed)?;
        }
        Verb::SecureBoot(args) => secure_boot::main(args)?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Where a repository keeps its documents.
fn metadata(repository: &Path) -> PathBuf {
    repository.join("metadata")
}

fn open(place: &Place) -> Result<Repository> {
    let keyring = Keyring::open(&place.keys).map_err(failed)?;
    Repository::open(&metadata(&place.repository), keyring, Time::now()).map_err(failed)
}

/// For changes.
fn open_alone(place: &Place) -> Result<(Lock, Repository)> {
    let lock = Lock::take(&metadata(&place.repository)).map_err(failed)?;
    Ok((lock, open(place)?))
}

fn init(args: &Init) -> Result<Repository> {
    let metadata = metadata(&args.repository);
    // Before any key is made.
    let first = metadata.join(Role::Root.versioned(1));
    if first.exists() {
        return Err(failed(sign::Error::Exists(first)));
    }
    let mut keyring = Keyring::open(&args.keys).map_err(failed)?;
    let mut roles = BTreeMap::new();
    for role in Role::ALL {
        let (count, threshold) = match role {
            Role::Root => (args.root_keys, args.root_threshold),
            Role::Targets => (args.targets_keys, args.targets_threshold),
            Role::Timestamp | Role::Snapshot => (1, 1),
        };
        let mut names: Vec<String> = args
            .with
            .iter()
            .filter(|(for_role, _)| *for_role == role)
            .map(|(_, name)| name.clone())
            .collect();
        if names.is_empty() {
            if threshold == 0 || threshold > count {
                return Err(Error::usage(format!(
                    "{threshold} of {count} keys cannot sign {role}"
                )));
            }
            for _ in 0..count {
                names.push(keyring.generate(role).map_err(failed)?);
            }
        }
        roles.insert(role, (names, threshold));
    }
    let policy = Policy {
        root: args.root_days,
        targets: args.targets_days,
        snapshot: args.snapshot_days,
        timestamp: args.timestamp_days,
    };
    Repository::create(&metadata, keyring, policy, Time::now(), &roles).map_err(failed)
}

fn rotate(repository: &mut Repository, args: &Rotate) -> Result<()> {
    let before = repository.root().body.roles.get(args.role.name());
    let (count, threshold) = before.map_or((1, 1), |keys| (keys.keyids.len(), keys.threshold));
    let mut names = args.with.clone();
    if names.is_empty() {
        // The keys that must sign the new root are asked for before any is made.
        repository
            .keyring()
            .signers(&repository.root().body, Role::Root)
            .map_err(failed)?;
        for _ in 0..count {
            names.push(repository.generate(args.role).map_err(failed)?);
        }
    }
    repository
        .rotate(args.role, &names, args.threshold.unwrap_or(threshold))
        .map_err(failed)
}

/// One role, as it is printed.
#[derive(Serialize)]
struct Line<'a> {
    role: &'static str,
    version: Option<u64>,
    expires: Option<Time>,
    threshold: u64,
    keys: Vec<KeyLine<'a>>,
}

#[derive(Serialize)]
struct KeyLine<'a> {
    id: &'a str,
    /// Missing where the key is not in the folder.
    name: Option<&'a str>,
}

fn report(repository: &Repository, json: bool) -> Result<()> {
    let root = &repository.root().body;
    let lines: Vec<Line<'_>> = Role::ALL
        .into_iter()
        .filter_map(|role| {
            let entry = root.roles.get(role.name())?;
            let state = repository.state(role);
            Some(Line {
                role: role.name(),
                version: state.map(|(version, _)| version),
                expires: state.map(|(_, expires)| expires),
                threshold: entry.threshold,
                keys: entry
                    .keyids
                    .iter()
                    .map(|id| KeyLine {
                        id,
                        name: repository.keyring().by_id(id).map(|key| key.name.as_str()),
                    })
                    .collect(),
            })
        })
        .collect();
    if json {
        let text = serde_json::to_string_pretty(&lines)
            .map_err(|e| Error::environment("writing JSON").because(e))?;
        println!("{text}");
        return Ok(());
    }
    for line in &lines {
        let version = line.version.map_or("none".to_owned(), |v| v.to_string());
        let expires = line
            .expires
            .map_or("never signed".to_owned(), |e| format!("expires {e}"));
        println!(
            "{:<10} version {version}, {expires}, {} of {} keys sign",
            line.role,
            line.threshold,
            line.keys.len()
        );
        for key in &line.keys {
            println!(
                "  {} {}",
                key.id,
                key.name.unwrap_or("(not in this folder)")
            );
        }
    }
    Ok(())
}

fn assignment(text: &str) -> std::result::Result<(Role, String), String> {
    let (role, name) = text.split_once('=').ok_or("ROLE=NAME is wanted")?;
    Ok((role.parse()?, name.to_owned()))
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

    fn run(words: &[&str]) -> Result<ExitCode> {
        let cli = Cli::try_parse_from([&["keys"][..], words].concat());
        main(&cli.map_err(|e| Error::usage(e.to_string()))?.args)
    }

    #[test]
    fn a_repository_lives_through_its_keys() {
        let dir = tempfile::tempdir().expect("a folder");
        let at = |name: &str| dir.path().join(name).display().to_string();
        let (keys, repository) = (at("keys"), at("repository"));
        let place = ["--keys", &keys, "--repository", &repository, "--json"];
        let with = |words: &[&'static str]| [words, &place[..]].concat();

        run(&["init", &keys, "--repository", &repository]).expect("init");
        let again = run(&["init", &keys, "--repository", &repository]).map_err(|e| e.kind());
        assert_eq!(again.err(), Some(crate::error::Kind::Input));
        run(&with(&["show"])).expect("show");
        run(&with(&["renew"])).expect("renew");
        for role in ["root", "timestamp", "snapshot", "targets"] {
            let words = [&["rotate", role][..], &place[..]].concat();
            run(&words).expect("rotate");
        }
        assert!(dir.path().join("repository/metadata/5.root.json").exists());
        assert!(dir.path().join("keys/retired/root-1.pem").exists());
        assert!(dir.path().join("keys/root-6.pem").exists());

        // Without the root's keys, the online ones still sign.
        for name in ["root-4", "root-5", "root-6"] {
            let pem = dir.path().join(format!("keys/{name}.pem"));
            std::fs::remove_file(pem).expect("removes");
        }
        run(&with(&["renew", "targets"])).expect("renew");
        let refused = run(&with(&["rotate", "timestamp"])).map_err(|e| e.kind());
        assert_eq!(refused.err(), Some(crate::error::Kind::Input));
        assert!(!dir.path().join("keys/timestamp-3.pem").exists());
    }
}
