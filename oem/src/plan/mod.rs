//! What is to be done, in order, and why. [`build`] is pure: it asks the
//! machine only through a [`SystemView`] and changes nothing.
//!
//! Order: hostname and the keys of `core` first, so that whatever fails later
//! leaves a reachable machine; then users, files, hosts, units, one reload,
//! and what is to be started, in the order listed.

pub mod accounts;
mod change;
pub(crate) mod crypt;
mod diff;
mod enable;
mod environment;
mod files;
mod hostname;
pub mod inventory;
mod keys;
mod network;
mod origin;
mod passwords;
mod refresh;
mod sealed;
mod subst;
mod tasks;
mod units;
mod updates;
mod users;
mod withdraw;

pub use accounts::Account;
pub use change::{Change, change, is_private_dir, keys_path, listed_plain};
pub use network::add as add_network;
pub use origin::{Layer, Origin, Sender};
pub use sealed::{Holds, Sealed};
pub use subst::{Values, literal};
pub use tasks::ONCE;
pub use units::{hex, network_dir, unit_dir, unit_of};
pub use withdraw::add as add_withdrawal;

use crate::cloudconfig::{CloudConfig, Group, Need, Verb};
use crate::error::Result;
use crate::metadata::{INSTANCES, Metadata, instance_name};
use crate::provider::vagrant;
use crate::root::{Found, SystemView};
use crate::userdata::{Script, unpack};
use inventory::Left;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// The wishes of one part of what a layer sent.
#[derive(Debug, Clone)]
pub struct Input {
    /// Whose.
    pub sender: Sender,
    /// The cloud-config, if it is one or was translated to one.
    pub config: CloudConfig,
    /// The script, if it is one.
    pub script: Option<Script>,
}

/// One change to the machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Set the host name, now and in /etc/hostname.
    Hostname(String),
    /// Add a user, or update password and groups of one that exists.
    Account(Account),
    /// Add a group, or let users join one that exists.
    Group(Group),
    /// Set the password of a user who exists, once.
    Password {
        /// Login name.
        user: String,
        /// Hash in crypt(5) format.
        hash: String,
        /// It must be changed at the next login.
        expire: bool,
        /// File that remembers that it was set, and what is in it.
        mark: (String, String),
    },
    /// Own `~/.ssh/authorized_keys.d/oem` of a user.
    Keys {
        /// Login name.
        user: String,
        /// Lines.
        keys: Vec<String>,
    },
    /// Write a file.
    File {
        /// Absolute path.
        path: String,
        /// All of it.
        content: Vec<u8>,
        /// Permission bits.
        mode: u32,
        /// `user` or `user:group`; root when absent.
        owner: Option<String>,
    },
    /// Make a directory, or give the one that is there its mode and owner.
    Directory {
        /// Absolute path.
        path: String,
        /// Permission bits.
        mode: u32,
        /// `user` or `user:group`; root when absent.
        owner: Option<String>,
    },
    /// Make a symbolic link.
    Link {
        /// Absolute path.
        path: String,
        /// Target as stored.
        target: String,
    },
    /// Remove a file or link.
    Remove {
        /// Absolute path.
        path: String,
    },
    /// Remove what an earlier run made, if it is still as it was left.
    Withdraw {
        /// Absolute path.
        path: String,
        /// As what it was left.
        left: Left,
    },
    /// Put the image's own file or link in the place of what an earlier run made.
    Restore {
        /// Absolute path.
        path: String,
        /// Where the image's own is.
        own: String,
    },
    /// Rename a network card that udev has named already.
    LinkName {
        /// Its name now.
        from: String,
        /// Its new name.
        to: String,
    },
    /// systemd daemon-reload, when any unit changed.
    Reload,
    /// Let networkd read its units again, when any of them changed.
    NetworkReload,
    /// Let a service that runs see files again, when any of them changed.
    Refresh {
        /// Unit name.
        unit: String,
        /// How it is told.
        verb: Verb,
        /// The files.
        paths: Vec<String>,
    },
    /// Queue that a unit stops, if it runs, and forget what was queued of it.
    Stop {
        /// Unit name.
        unit: String,
    },
    /// Queue a systemd job.
    Job {
        /// Unit name.
        unit: String,
        /// What to do with it.
        verb: Verb,
        /// Hash over the unit's files: a job runs once per boot and content.
        hash: String,
    },
}

impl Action {
    /// The path this action owns, when it owns one.
    pub fn path(&self) -> Option<&str> {
        match self {
            Action::File { path, .. }
            | Action::Link { path, .. }
            | Action::Remove { path }
            | Action::Withdraw { path, .. }
            | Action::Restore { path, .. } => Some(path),
            _ => None,
        }
    }
}

/// What a step comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Work {
    /// Do it.
    Do(Action),
    /// Do it, once its secret is known.
    Sealed(Box<Sealed>),
    /// It cannot be done.
    Skip {
        /// Why.
        why: String,
        /// What to do about it.
        hint: Option<String>,
    },
    /// Nothing: it is no longer asked for, and stays all the same.
    Keep {
        /// Where it is, when it is one thing.
        path: Option<String>,
        /// Why.
        why: String,
        /// What to do about it.
        hint: Option<String>,
    },
}

impl Work {
    /// What is to be done, if anything; without secrets that are not known yet.
    pub fn action(&self) -> Option<&Action> {
        match self {
            Work::Do(action) => Some(action),
            Work::Sealed(sealed) => Some(&sealed.action),
            Work::Skip { .. } | Work::Keep { .. } => None,
        }
    }
}

/// One resource of the plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// Name for people and programs, e.g. `file /etc/motd`.
    pub resource: String,
    /// Who asked for it.
    pub origin: Origin,
    /// What to do.
    pub work: Work,
    /// Something worth knowing, though not wrong.
    pub note: Option<String>,
}

/// Everything to do, in order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    /// The steps.
    pub steps: Vec<Step>,
    /// Why it is not known in full what is asked for, where it is not.
    pub unclear: Option<String>,
    /// What of the inventory is of no more interest.
    pub forget: Vec<String>,
    /// Files that several may have a block in, and who asks for one now.
    pub blocks: BTreeMap<String, BTreeSet<String>>,
}

impl Plan {
    /// Number of the first step after those that let the machine's owner in: host
    /// name, accounts and keys.
    fn after_way_in(&self) -> usize {
        let later = |s: &Step| {
            s.work.action().is_some_and(|a| {
                !matches!(
                    a,
                    Action::Hostname(_)
                        | Action::Account(_)
                        | Action::Group(_)
                        | Action::Password { .. }
                        | Action::Keys { .. }
                )
            })
        };
        let first = self.steps.iter().position(later);
        first.unwrap_or(self.steps.len())
    }
}

/// Builds the plan. `inputs` come in rising order of precedence (OEM, vendor,
/// user). Fails only when the machine cannot be looked at.
pub fn build(inputs: &[Input], metadata: &Metadata, view: &dyn SystemView) -> Result<Plan> {
    let no_vendor = inputs
        .iter()
        .any(|i| i.sender == Layer::UserData && i.config.ignore_vendor_data);
    let inputs: Vec<&Input> = inputs
        .iter()
        .filter(|i| !(no_vendor && i.sender == Layer::VendorData))
        .collect();
    let inputs = inputs.as_slice();
    let mut b = Builder {
        values: Values::new(metadata, view)?,
        instance: Instance::new(metadata, view),
        view,
        steps: Vec::new(),
        unclear: None,
        insecure_keys: vagrant::may_be_insecure(&metadata.provider),
        left: MAX_CONTENT,
        blocks: BTreeMap::new(),
    };
    hostname::add(&mut b, inputs, metadata)?;
    keys::add_core(&mut b, inputs, metadata);
    users::add(&mut b, inputs);
    passwords::add(&mut b, inputs);
    files::add(&mut b, inputs)?;
    hostname::add_hosts(&mut b, inputs)?;
    environment::add(&mut b, metadata)?;
    updates::add(&mut b, inputs);
    let tasks = tasks::add(&mut b, inputs);
    let jobs = units::add(&mut b, inputs)?;
    refresh::add(&mut b, inputs);
    updates::add_refresh(&mut b);
    // What prepares a boot goes before what a user starts, all else after it.
    let (early, late): (Vec<_>, Vec<_>) = tasks.into_iter().partition(|t| t.early);
    let jobs = early
        .into_iter()
        .map(|t| t.job)
        .chain(jobs)
        .chain(late.into_iter().map(|t| t.job));
    for (origin, job) in jobs {
        if let Action::Job { unit, verb, .. } = &job {
            b.push(format!("{} {unit}", verb.as_str()), origin, job);
        }
    }
    Ok(Plan {
        unclear: b.unclear,
        steps: last_wins(b.steps),
        forget: Vec::new(),
        blocks: b.blocks,
    })
}

/// The directory of marks of what was done once on this instance.
pub fn instance_marks(metadata: &Metadata, view: &dyn SystemView) -> String {
    Instance::new(metadata, view).marks
}

/// Where is kept what happened once on this instance.
struct Instance {
    /// Its id, as the provider tells it.
    id: String,
    /// The provider.
    provider: String,
    /// Directory of marks.
    marks: String,
}

impl Instance {
    fn new(metadata: &Metadata, view: &dyn SystemView) -> Instance {
        let id = match &metadata.instance_id {
            Some(id) => id.clone(),
            // The machine stands for it, as in the agent's copies.
            None => {
                // Only root may read it.
                let uuid = view.read("/sys/class/dmi/id/product_uuid");
                let uuid = uuid.ok().flatten().unwrap_or_default();
                let uuid = String::from_utf8_lossy(&uuid).into_owned();
                Some(uuid.trim().to_owned())
                    .filter(|u| !u.is_empty())
                    .unwrap_or_else(|| "none".to_owned())
            }
        };
        let marks = format!("{INSTANCES}/{}/done", instance_name(&id));
        Instance {
            id,
            provider: metadata.provider.clone(),
            marks,
        }
    }
}

struct Builder<'a> {
    values: Values,
    instance: Instance,
    view: &'a dyn SystemView,
    steps: Vec<Step>,
    /// Why it is not known in full what is asked for.
    unclear: Option<String>,
    /// Whether a key whose private half everybody has may be one of this machine's.
    insecure_keys: bool,
    /// Bytes of content that may yet be planned.
    left: usize,
    /// See [`Plan::blocks`].
    blocks: BTreeMap<String, BTreeSet<String>>,
}

/// Most bytes of all contents of a plan: placeholders and compression make much of
/// little.
const MAX_CONTENT: usize = unpack::MAX as usize + (2 << 20);

impl Builder<'_> {
    /// Counts content; what does not fit becomes a skipped step.
    fn fits(&mut self, resource: &str, origin: Origin, bytes: usize) -> bool {
        let fits = bytes <= self.left;
        self.left = self.left.saturating_sub(bytes);
        if !fits {
            let why = format!(
                "all that is to be written is over {} MiB",
                MAX_CONTENT >> 20
            );
            let hint = "fetch large files from a unit instead".to_owned();
            self.puzzle(resource, origin, why, Some(hint));
        }
        fits
    }

    fn push(&mut self, resource: impl Into<String>, origin: impl Into<Origin>, action: Action) {
        self.steps.push(Step {
            resource: resource.into(),
            origin: origin.into(),
            work: Work::Do(action),
            note: None,
        });
    }
    fn skip(
        &mut self,
        resource: impl Into<String>,
        origin: impl Into<Origin>,
        why: impl Into<String>,
        hint: Option<String>,
    ) {
        let work = Work::Skip {
            why: why.into(),
            hint,
        };
        self.steps.push(Step {
            resource: resource.into(),
            origin: origin.into(),
            work,
            note: None,
        });
    }
    /// The same with a secret that is not known yet.
    fn seal(&mut self, resource: impl Into<String>, origin: Origin, sealed: Sealed) {
        self.steps.push(Step {
            resource: resource.into(),
            origin,
            note: Some(format!("from {}", sealed.shown())),
            work: Work::Sealed(Box::new(sealed)),
        });
    }
    /// Skips something of which it is not known what it would be.
    fn puzzle(
        &mut self,
        resource: &str,
        origin: Origin,
        why: impl Into<String>,
        hint: Option<String>,
    ) {
        let why = why.into();
        self.unclear
            .get_or_insert_with(|| format!("{resource} ({origin}): {why}"));
        self.skip(resource, origin, why, hint);
    }
    /// Replaces placeholders; an unknown value becomes a skipped step.
    fn expand(&mut self, resource: &str, origin: Origin, text: &str) -> Option<String> {
        match self.values.expand(text) {
            Ok(done) => Some(done).filter(|t| self.fits(resource, origin, t.len())),
            Err(unset) => {
                self.puzzle(resource, origin, unset.to_string(), Some(unset.hint()));
                None
            }
        }
    }
    /// Whether the image has what something is of no use without.
    fn is_met(&self, need: &Need) -> Result<bool> {
        let there = |path: &str| -> Result<bool> {
            let found = self.look(path)?;
            Ok(!matches!(found, Found::Missing))
        };
        if !there(need.within)? {
            return Ok(true);
        }
        for path in &need.any_of {
            if there(path)? && !matches!(self.look(path)?, Found::Dir { .. }) {
                return Ok(true);
            }
        }
        Ok(false)
    }
    /// What will stand at `path` once the steps so far are done, for a step that takes
    /// its place: an earlier one gives its content up.
    fn take(&mut self, path: &str) -> Result<Found> {
        let found = self.look(path)?;
        for step in &mut self.steps {
            if let Work::Do(Action::File {
                path: p, content, ..
            }) = &mut step.work
                && p == path
            {
                self.left = self.left.saturating_add(content.len());
                *content = Vec::new();
            }
        }
        Ok(found)
    }
    /// What will stand at `path` once the steps so far are done.
    fn look(&self, path: &str) -> Result<Found> {
        for step in self.steps.iter().rev() {
            let Some(action) = step.work.action() else {
                continue;
            };
            match action {
                Action::File {
                    path: p,
                    content,
                    mode,
                    ..
                } if p == path => {
                    return Ok(Found::File {
                        content: content.clone(),
                        mode: *mode,
                        uid: 0,
                        gid: 0,
                    });
                }
                Action::Link { path: p, target } if p == path => {
                    return Ok(Found::Link(target.clone()));
                }
                Action::Remove { path: p } if p == path => return Ok(Found::Missing),
                _ => {}
            }
        }
        self.view.look(path)
    }
}

/// Two steps on one path would undo each other at every run: only the last
/// stays, and says so.
fn last_wins(steps: Vec<Step>) -> Vec<Step> {
    let path_of = |s: &Step| s.work.action().and_then(Action::path).map(str::to_owned);
    let mut last: HashMap<String, usize> = HashMap::new();
    for (i, s) in steps.iter().enumerate() {
        if let Some(p) = path_of(s) {
            last.insert(p, i);
        }
    }
    let mut overridden: HashMap<usize, Vec<Origin>> = HashMap::new();
    for (i, s) in steps.iter().enumerate() {
        if let Some(l) = path_of(s).and_then(|p| last.get(&p).copied())
            && l != i
        {
            overridden.entry(l).or_default().push(s.origin);
        }
    }
    steps
        .into_iter()
        .enumerate()
        .filter(|(i, s)| path_of(s).is_none_or(|p| last.get(&p) == Some(i)))
        .map(|(i, mut s)| {
            if let Some(lost) = overridden.get(&i) {
                let lost: Vec<String> = lost.iter().map(ToString::to_string).collect();
                let note = format!("used instead of {}", lost.join(", "));
                s.note = Some(match s.note {
                    Some(also) => format!("{also}; {note}"),
                    None => note,
                });
            }
            s
        })
        .collect()
}
