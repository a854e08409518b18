//! Makes the machine look like the plan. One failing step never stops the
//! rest; a second run changes nothing.

mod accounts;
mod credential;
mod jobs;
mod keys;
mod ledger;
mod lock;
mod rename;
mod secrets;
pub mod systemd;

pub use systemd::{Bus, Systemd};

use crate::cloudconfig::Verb;
use crate::error::{Context as _, Error, Result};
use crate::plan::accounts::Db;
use crate::plan::inventory::Left;
use crate::plan::{
    Action, Change, Layer, Origin, Plan, Step, Work, change, hex, network_dir, unit_dir,
};
use crate::root::{Found, Owner, Root, SystemView as _};
use crate::status::{Report, Resource, State};
use jobs::Jobs;
use ledger::Ledger;
use sha2::{Digest as _, Sha256};
use std::collections::BTreeSet;
use std::time::{SystemTime, UNIX_EPOCH};

/// What a step came to.
struct Outcome {
    state: State,
    detail: Option<String>,
}

impl Outcome {
    fn new(state: State) -> Self {
        Outcome {
            state,
            detail: None,
        }
    }
    fn with(state: State, detail: impl Into<String>) -> Self {
        Outcome {
            state,
            detail: Some(detail.into()),
        }
    }
}

/// Seconds since 1970.
pub fn now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |d| d.as_secs())
}

/// Applies a plan. Without `systemd` (another root, or none running) what
/// needs it is deferred to the next boot. Never waits for a job to end.
pub fn apply(plan: &Plan, root: &Root, systemd: Option<&dyn Systemd>) -> Result<Report> {
    let start = std::time::Instant::now();
    let _lock = lock::hold(root, "/run/oem/lock")?;
    let mut run = Run {
        root,
        systemd,
        jobs: Jobs::read(root)?,
        units: BTreeSet::new(),
        network: false,
        changed: BTreeSet::new(),
    };
    let mut resources = Vec::with_capacity(plan.steps.len());
    let mut ledger = Ledger::open(root)?;
    let asked = plan;
    let opened = secrets::opened(plan, root);
    let plan = opened.as_ref();
    // Hostname and keys are worth having even where nothing can be remembered.
    let before = ledger.expect(plan);
    for (n, step) in plan.steps.iter().enumerate() {
        let mut resource = run.step(step);
        // Not even that of a secret: a short one could be found by trying.
        if matches!(asked.steps[n].work, Work::Sealed(_)) {
            resource.sha256 = None;
        }
        if matches!(resource.state, State::Done | State::Unchanged) {
            ledger.done(n, step, || run.owner_of(step));
        }
        if let Work::Keep { path: Some(p), .. } = &step.work {
            ledger.kept(p);
        }
        resources.push(resource);
    }
    let after = ledger.close(plan);
    if let Err(e) = before.and(after) {
        resources.push(not_remembered(&e));
    }
    run.jobs.write(root)?;
    Ok(Report {
        finished: now(),
        milliseconds: u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX),
        resources,
        ..Report::default()
    })
}

fn not_remembered(e: &Error) -> Resource {
    let hint = "what this run made will stay when it is no longer asked for";
    Resource {
        resource: "inventory".to_owned(),
        origin: Origin::from(Layer::Earlier).to_string(),
        state: State::Failed,
        detail: Some(e.chain()),
        hint: Some(e.hint_text().unwrap_or(hint).to_owned()),
        sha256: None,
    }
}

struct Run<'a> {
    root: &'a Root,
    systemd: Option<&'a dyn Systemd>,
    jobs: Jobs,
    /// Paths of unit files that changed since the last reload.
    units: BTreeSet<String>,
    /// A network unit changed.
    network: bool,
    /// Paths that changed.
    changed: BTreeSet<String>,
}

impl Run<'_> {
    fn step(&mut self, step: &Step) -> Resource {
        let mut out = Resource {
            resource: step.resource.clone(),
            origin: step.origin.to_string(),
            state: State::Skipped,
            detail: step.note.clone(),
            hint: None,
            sha256: None,
        };
        match &step.work {
            Work::Skip { why, hint } => {
                out.detail = Some(why.clone());
                out.hint = hint.clone();
            }
            Work::Keep { why, hint, .. } => {
                out.state = State::Kept;
                out.detail = Some(why.clone());
                out.hint = hint.clone();
            }
            // Those were opened.
            Work::Sealed(_) => {}
            Work::Do(action) => {
                if let Action::File { content, .. } = action {
                    out.sha256 = Some(hex(&Sha256::digest(content)));
                }
                match self.act(action) {
                    Ok(o) => {
                        out.state = o.state;
                        out.detail = o.detail.or(out.detail);
                        if matches!(action, Action::Withdraw { .. }) && out.state == State::Done {
                            out.detail = out.detail.map(|d| format!("removed: {d}"));
                        }
                    }
                    Err(e) => {
                        out.state = State::Failed;
                        out.detail = Some(e.chain());
                        out.hint = e.hint_text().map(str::to_owned);
                    }
                }
                if out.state == State::Done
                    && let Some(path) = action.path()
                {
                    if unit_dir(path) {
                        self.units.insert(path.to_owned());
                    }
                    self.network |= network_dir(path);
                    self.changed.insert(path.to_owned());
                }
            }
        }
        out
    }

    fn act(&mut self, action: &Action) -> Result<Outcome> {
        let seen = change(action, self.root)?;
        match action {
            Action::Hostname(name) => self.hostname(name, &seen),
            _ if seen.is_unchanged() => Ok(Outcome::new(State::Unchanged)),
            Action::File {
                path,
                content,
                mode,
                owner,
            } => {
                let owner = self.owner(owner.as_deref())?;
                self.root.write(path, content, *mode, Some(owner))?;
                Ok(Outcome::new(State::Done))
            }
            Action::Directory { path, mode, owner } => {
                let owner = self.owner(owner.as_deref())?;
                self.root.make_dir(path, *mode, Some(owner))?;
                Ok(Outcome::new(State::Done))
            }
            Action::Link { path, target } => {
                self.root.link(path, target)?;
                Ok(Outcome::new(State::Done))
            }
            Action::Remove { path } => {
                self.root.remove(path)?;
                Ok(Outcome::new(State::Done))
            }
            Action::Withdraw { path, left, .. } => {
                if !matches!(left, Left::Directory { .. }) {
                    self.root.remove(path)?;
                } else if !self.root.remove_dir(path)? {
                    let why = "others put something into it: it stays";
                    return Ok(Outcome::with(State::Kept, why));
                }
                Ok(Outcome::new(State::Done))
            }
            Action::Restore { path, own } => self.restore(path, own),
            Action::Account(want) => accounts::apply(self.root, want),
            Action::Group(want) => accounts::group(self.root, want),
            Action::Password {
                user,
                hash,
                expire,
                mark,
            } => accounts::password(self.root, user, hash, *expire, mark),
            Action::Keys { user, keys } => keys::apply(self.root, user, keys),
            Action::LinkName { from, to } => self.link_name(from, to),
            Action::Reload => self.reload(),
            Action::NetworkReload => self.network_reload(),
            Action::Refresh { unit, verb, paths } => self.refresh(unit, *verb, paths),
            Action::Stop { unit } => self.jobs.stop(self.systemd, unit),
            Action::Job { unit, verb, hash } => self.jobs.queue(self.systemd, unit, *verb, hash),
        }
    }

    fn owner(&self, owner: Option<&str>) -> Result<Owner> {
        let Some(text) = owner else {
            return Ok((0, 0));
        };
        Db::read(self.root)?.owner(text).ok_or_else(|| {
            Error::input(format!("there is no user or group {text:?}"))
                .hint("add it under `users`, or correct `owner`")
        })
    }

    /// Whom a step gives what it writes to.
    fn owner_of(&self, step: &Step) -> Option<Owner> {
        match &step.work {
            Work::Do(Action::File { owner, .. } | Action::Directory { owner, .. }) => {
                self.owner(owner.as_deref()).ok()
            }
            Work::Do(Action::Keys { user, .. }) => {
                let user = Db::read(self.root).ok()?.user(user)?;
                Some((user.uid, user.gid))
            }
            Work::Do(Action::Hostname(_)) => Some((0, 0)),
            _ => None,
        }
    }

    fn restore(&self, path: &str, own: &str) -> Result<Outcome> {
        match self.root.look(own)? {
            Found::File {
                content,
                mode,
                uid,
                gid,
            } => self.root.write(path, &content, mode, Some((uid, gid)))?,
            Found::Link(target) => self.root.link(path, &target)?,
            _ => return Err(Error::environment(format!("{own} is gone"))),
        }
        Ok(Outcome::new(State::Done))
    }

    fn hostname(&self, name: &str, seen: &Change) -> Result<Outcome> {
        let mut state = State::Unchanged;
        if !seen.is_unchanged() {
            self.root.write(
                "/etc/hostname",
                format!("{name}\n").as_bytes(),
                0o644,
                Some((0, 0)),
            )?;
            state = State::Done;
        }
        if self.root.is_live() {
            let now = nix::unistd::gethostname()
                .environment(|| "cannot read the host name".to_owned())?;
            if now != *name {
                nix::unistd::sethostname(name)
                    .environment(|| format!("cannot set the host name to {name}"))?;
                state = State::Done;
            }
        }
        Ok(Outcome::with(state, name))
    }

    fn link_name(&self, from: &str, to: &str) -> Result<Outcome> {
        if !self.root.is_live() {
            let detail = "udev does it when that machine starts";
            return Ok(Outcome::with(State::Unchanged, detail));
        }
        rename::rename(from, to)?;
        Ok(Outcome::new(State::Done))
    }

    fn reload(&mut self) -> Result<Outcome> {
        if self.units.is_empty() && !self.jobs.reload_owed {
            return Ok(Outcome::new(State::Unchanged));
        }
        let Some(systemd) = self.systemd else {
            return Ok(deferred());
        };
        if !self.jobs.reload_owed && !self.units.iter().any(|path| is_loaded(systemd, path)) {
            self.units.clear();
            return Ok(Outcome::with(
                State::Unchanged,
                "all units are new to systemd",
            ));
        }
        // Remembered, so that a failure here is made good by the next run.
        self.jobs.reload_owed = true;
        systemd.reload()?;
        self.jobs.reload_owed = false;
        Ok(Outcome::new(State::Done))
    }

    fn network_reload(&mut self) -> Result<Outcome> {
        if !self.network {
            return Ok(Outcome::new(State::Unchanged));
        }
        let Some(systemd) = self.systemd else {
            return Ok(deferred());
        };
        // Only if it runs: one that starts later reads the new files anyway.
        systemd.job("systemd-networkd.service", Verb::ReloadOrTryRestart)?;
        self.network = false;
        Ok(Outcome::new(State::Done))
    }

    fn refresh(&mut self, unit: &str, verb: Verb, paths: &[String]) -> Result<Outcome> {
        if !paths.iter().any(|p| self.changed.contains(p)) {
            return Ok(Outcome::new(State::Unchanged));
        }
        let Some(systemd) = self.systemd else {
            return Ok(deferred());
        };
        // One that starts later reads the new files anyway; an image may have none.
        let runs = ["active", "activating", "reloading"];
        match systemd.active_state(unit)? {
            Some(state) if runs.contains(&state.as_str()) => {
                systemd.job(unit, verb)?;
                Ok(Outcome::new(State::Done))
            }
            _ => Ok(Outcome::with(State::Unchanged, "it does not run")),
        }
    }
}

/// Whether systemd may hold an older version of what is in this file. It reads units it does not know when they are first
/// asked for, and a reload stops it for long: seconds on a slow machine that is booting.
fn is_loaded(systemd: &dyn Systemd, path: &str) -> bool {
    let Some((_, inside)) = path.split_once("/systemd/system/") else {
        return true;
    };
    let name = match inside.split_once('/') {
        None => inside,
        Some((directory, _)) => match directory.strip_suffix(".d") {
            Some(name) => name,
            // `wants` and the like: for the next boot.
            None => return false,
        },
    };
    // Drop-ins for many units at once, and templates, may concern any.
    let many = name.contains("@.") || name.contains("-.") || !name.contains('.');
    many || !matches!(systemd.active_state(name), Ok(None))
}

fn deferred() -> Outcome {
    Outcome::with(State::Deferred, "no running systemd here")
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Knows(&'static str);

    impl Systemd for Knows {
        fn reload(&self) -> Result<()> {
            Ok(())
        }
        fn job(&self, _: &str, _: Verb) -> Result<String> {
            Ok(String::new())
        }
        fn active_state(&self, unit: &str) -> Result<Option<String>> {
            Ok((unit == self.0).then(|| "inactive".into()))
        }
    }

    #[test]
    fn only_what_systemd_has_read_needs_a_reload() {
        let systemd = Knows("docker.service");
        let loaded = |path: &str| is_loaded(&systemd, path);
        assert!(loaded("/etc/systemd/system/docker.service"));
        assert!(loaded("/etc/systemd/system/docker.service.d/10-x.conf"));
        assert!(loaded("/run/systemd/system/service.d/10-x.conf"));
        assert!(loaded("/etc/systemd/system/web@.service"));
        assert!(loaded("/etc/systemd/system/foo-.service.d/10-x.conf"));
        assert!(!loaded("/etc/systemd/system/es.service"));
        assert!(!loaded("/etc/systemd/system/es.service.d/10-x.conf"));
        assert!(!loaded(
            "/etc/systemd/system/multi-user.target.wants/es.service"
        ));
    }
}
