//! What earlier runs made and this one does not ask for goes. Pure: computed from the
//! inventory, from what is wanted, and from what stands there.
//!
//! - What is exactly as we left it, where nothing stood before, is removed; a
//!   directory only when nothing else is in it.
//! - Where the image has a file of its own (/etc is an overlay over the image's), that
//!   one is put back: to remove the upper one alone would hide it. It then follows the
//!   image at later runs, as long as nobody changes it.
//! - What somebody changed meanwhile stays, and so does what replaced a file that was
//!   neither ours nor the image's: both are told, at each run, until they are removed or
//!   asked for again.
//! - Users, groups and passwords are never removed; the keys and sudo rules of a user who
//!   is no longer asked for are. Host name, ssh host keys and the addresses in
//!   /etc/environment stay.
//! - A unit of ours is stopped first, and of mounts and swap those that were started.
//! - Nothing goes unless those who asked for it were heard ([`Obtained`]) and every
//!   placeholder had a value.

use super::files::{without_blocks, without_blocks_of};
use super::inventory::{Inventory, Item, Left, Obtained, Places, Role, Stood, images_own, is_mark};
use super::units::{network_dir, template_of, unit_dir, unit_of};
use super::{Action, Layer, Origin, Plan, Step, Work};
use crate::cloudconfig::Verb;
use crate::error::Result;
use crate::root::{Found, SystemView, temp_name};
use std::collections::{BTreeMap, BTreeSet};

/// Where systemd looks for units of ours.
const UNITS: [&str; 2] = ["/etc/systemd/system/", "/run/systemd/system/"];
/// And for the image's.
const IMAGE_UNITS: &str = "/usr/lib/systemd/system/";

/// Adds to `plan` that what is no longer asked for goes.
pub fn add(plan: &mut Plan, obtained: &Obtained, view: &dyn SystemView) -> Result<()> {
    let inventory = match Inventory::read(view) {
        Ok(inventory) => inventory,
        Err(e) => {
            let hint = e.hint_text().map(str::to_owned);
            let why = format!("{}: nothing of earlier runs is removed", e.chain());
            plan.steps.push(keep("inventory", why, hint));
            return Ok(());
        }
    };
    if plan.unclear.is_none() {
        leave_blocks(plan, obtained);
    }
    let places = Places::new(plan, view)?;
    let wanted: BTreeMap<String, bool> = plan
        .steps
        .iter()
        .filter_map(|s| {
            let action = s.work.action()?;
            Some((
                places.of(action)?,
                matches!(action, Action::Directory { .. }),
            ))
        })
        .collect();
    let mut w = Withdrawal {
        plan,
        view,
        places,
        wanted,
        gone: BTreeSet::new(),
        steps: Vec::new(),
        stops: Vec::new(),
        refreshes: BTreeMap::new(),
        held: 0,
    };
    let unclear = w.plan.unclear.clone();
    // Backwards, so that what is in a directory comes before it.
    for (path, item) in inventory.items.iter().rev() {
        if w.is_wanted(path, item) || is_lasting(path) || is_mark(path) {
            continue;
        }
        let network = item.layer == Layer::Network;
        if (unclear.is_some() && !network) || !obtained.covers(item.layer, &item.resource) {
            // What is not there needs no mention.
            let there = !matches!(view.look(path), Ok(Found::Missing));
            w.held += usize::from(there && item.role == Role::Asked);
            continue;
        }
        w.one(path, item)?;
    }
    for (unit, by) in &inventory.mounts {
        let asked = w
            .plan
            .steps
            .iter()
            .any(|s| matches!(&s.work, Work::Do(Action::Job { unit: u, .. }) if u == unit));
        if !asked && unclear.is_none() && obtained.covers(by.layer, unit) {
            w.stop(unit, &by.origin);
            w.plan.forget.push(unit.clone());
        }
    }
    let mut told = Vec::new();
    for (resource, account) in &inventory.accounts {
        let asked = w.plan.steps.iter().any(|s| s.resource == *resource);
        if asked || unclear.is_some() || !obtained.covers(account.layer, resource) {
            continue;
        }
        if account.made && w.places.has_account(resource) {
            told.push(resource.clone());
        } else {
            w.plan.forget.push(resource.clone());
        }
    }
    if !told.is_empty() {
        let why = "no longer asked for, and kept: users and groups are never removed";
        let hint = "to remove one, with all it owns: `userdel -r NAME`";
        w.steps.push(keep(
            &told.join(", "),
            why.to_owned(),
            Some(hint.to_owned()),
        ));
    }
    let why = unclear.or_else(|| obtained.held.clone());
    if let Some(why) = why.filter(|_| w.held > 0) {
        let what = match w.held {
            1 => "1 thing that was asked for earlier stays".to_owned(),
            n => format!("{n} things that were asked for earlier stay"),
        };
        w.steps
            .push(keep("removal", format!("{what}: {why}"), None));
    }
    w.finish();
    Ok(())
}

/// Takes the blocks of those out who ask for none any more, from files that others still
/// have one in.
fn leave_blocks(plan: &mut Plan, obtained: &Obtained) {
    let Plan { steps, blocks, .. } = plan;
    for step in steps {
        let Work::Do(Action::File { path, content, .. }) = &mut step.work else {
            continue;
        };
        let Some(asked) = blocks.get(path) else {
            continue;
        };
        let leaves = |sender: &str| {
            let layer = sender.split('/').next().and_then(Layer::named);
            !asked.contains(sender) && layer.is_some_and(|l| obtained.covers(l, &step.resource))
        };
        if let Some(rest) = without_blocks_of(content, leaves) {
            *content = rest;
        }
    }
}

/// What others know the machine by, and what it knows of itself.
fn is_lasting(path: &str) -> bool {
    ["/etc/hostname", "/etc/environment"].contains(&path) || path.starts_with("/etc/ssh/ssh_host_")
}

struct Withdrawal<'a> {
    plan: &'a mut Plan,
    view: &'a dyn SystemView,
    places: Places,
    /// Paths that are asked for, and whether as a directory.
    wanted: BTreeMap<String, bool>,
    /// Paths that will not be there any more.
    gone: BTreeSet<String>,
    steps: Vec<Step>,
    /// Units to stop first.
    stops: Vec<Step>,
    /// Services to tell, each with the paths it is told of.
    refreshes: BTreeMap<(String, String), Vec<String>>,
    /// Things that would be looked at if all were known.
    held: usize,
}

impl Withdrawal<'_> {
    fn is_wanted(&self, path: &str, item: &Item) -> bool {
        match self.wanted.get(path) {
            Some(true) => true,
            // A directory of ours where a file is to be: it goes first.
            Some(false) => {
                let ours = item.was_directory() && item.stood == Stood::Nothing;
                !ours || !matches!(self.view.look(path), Ok(Found::Dir { .. }))
            }
            None => {
                let inside = format!("{path}/");
                let next = self.wanted.range(inside.clone()..).next();
                // A file of ours where a directory is to be goes first, too.
                item.was_directory()
                    && next.is_some_and(|(p, _)| p.starts_with(&inside))
                    && !matches!(
                        self.view.look(path),
                        Ok(Found::File { .. } | Found::Link(_))
                    )
            }
        }
    }

    /// What is at `path`: nothing, where a file has taken the place of its directory.
    fn look(&self, path: &str) -> Result<Found> {
        let failure = match self.view.look(path) {
            Ok(found) => return Ok(found),
            Err(e) => e,
        };
        let mut at = path;
        while let Some((parent, _)) = at.rsplit_once('/').filter(|(p, _)| !p.is_empty()) {
            match self.view.look(parent) {
                Ok(Found::Dir { .. }) => break,
                Ok(_) => return Ok(Found::Missing),
                Err(_) => at = parent,
            }
        }
        Err(failure)
    }

    fn one(&mut self, path: &str, item: &Item) -> Result<()> {
        let found = match self.look(path) {
            Ok(found) => found,
            // Such as a link where a directory was: not ours.
            Err(e) => {
                self.keep(path, item, e.chain(), e.hint_text());
                return Ok(());
            }
        };
        let own = match images_own(path) {
            Some(own) => Some(own.clone()).zip(Left::of(&self.view.look(&own)?)),
            None => None,
        };
        let own = own.filter(|(_, left)| matches!(left, Left::File { .. } | Left::Link { .. }));
        if item.role == Role::Restored || item.left == Left::Absent {
            return self.follow(path, item, &found, own);
        }
        if found == Found::Missing {
            // What a reboot takes needs no mention.
            if item.role == Role::Asked && !path.starts_with("/run/") {
                self.remove(path, item, item.left.clone());
            } else {
                self.plan.forget.push(path.to_owned());
            }
            return Ok(());
        }
        if let Found::Dir { mode, .. } = &found
            && item.was_directory()
        {
            return self.directory(path, item, *mode, &found);
        }
        if let Found::File {
            content,
            mode,
            uid,
            gid,
        } = &found
            && let Some(rest) = without_blocks(content)
        {
            let ours = rest.is_empty() && item.stood == Stood::Nothing;
            if !ours {
                let action = Action::File {
                    path: path.to_owned(),
                    content: rest,
                    mode: *mode,
                    owner: Some(format!("{uid}:{gid}")),
                };
                self.plan.forget.push(path.to_owned());
                self.push(
                    item,
                    action,
                    "what was asked for earlier is taken out of it",
                );
                self.changed(path, item);
                return Ok(());
            }
        }
        let owners = self.view.owners();
        let as_left = match (item.left.difference(&found, owners), &item.before) {
            (None, _) => &item.left,
            (Some(_), Some(before)) if before.difference(&found, owners).is_none() => before,
            (Some(why), _) => {
                let why = format!("no longer asked for, but somebody changed it ({why}): it stays");
                self.keep(path, item, why, None);
                return Ok(());
            }
        };
        match (own, item.stood) {
            (_, Stood::Same) => self.plan.forget.push(path.to_owned()),
            (Some((_, left)), _) if left.difference(&found, owners).is_none() => {
                self.plan.forget.push(path.to_owned());
            }
            (Some((own, _)), _) => self.restore(path, item, own),
            (None, Stood::Nothing) => self.withdraw(path, item, as_left.clone()),
            // The power failed before it was replaced.
            (None, Stood::Other) if *as_left != item.left => {
                self.plan.forget.push(path.to_owned());
            }
            (None, Stood::Other) => {
                let why = "no longer asked for, but another file stood there before, which is \
                           not known any more: it stays";
                self.keep(path, item, why.to_owned(), None);
            }
        }
        Ok(())
    }

    /// What the image has comes back, and follows the image.
    fn follow(
        &mut self,
        path: &str,
        item: &Item,
        found: &Found,
        own: Option<(String, Left)>,
    ) -> Result<()> {
        let is = |left: &Left| left.difference(found, self.view.owners()).is_none();
        let as_left = is(&item.left);
        match own {
            // The power failed before it was.
            Some((own, _)) if !as_left && item.before.as_ref().is_some_and(is) => {
                self.restore(path, item, own);
            }
            Some((own, left)) if as_left => {
                if !item.left.is_alike(&left) {
                    self.restore(path, item, own);
                }
            }
            // A newer image has none any more.
            None if as_left && item.role == Role::Restored => {
                self.withdraw(path, item, item.left.clone());
            }
            // It is somebody else's now.
            _ => self.plan.forget.push(path.to_owned()),
        }
        Ok(())
    }

    fn directory(&mut self, path: &str, item: &Item, mode: u32, found: &Found) -> Result<()> {
        let asked = item.role != Role::Implied;
        if item.stood != Stood::Nothing {
            self.plan.forget.push(path.to_owned());
            return Ok(());
        }
        if asked && let Some(why) = item.difference(found, self.view.owners()) {
            let why = format!("no longer asked for, but somebody changed it ({why}): it stays");
            self.keep(path, item, why, None);
            return Ok(());
        }
        let names = self.view.list(path)?;
        let leaves = |name: &String| {
            let inside = format!("{path}/{name}");
            let temporary = |p: &String| {
                p.rsplit_once('/')
                    .is_some_and(|(dir, n)| dir == path && temp_name(n) == *name)
            };
            self.gone.contains(&inside) || self.gone.iter().any(temporary)
        };
        if names.iter().all(leaves) {
            let left = Left::Directory { mode, owner: None };
            self.remove(path, item, left);
        } else if asked {
            let why =
                format!("no longer asked for, but it is not empty (mode {mode:04o}): it stays");
            self.keep(path, item, why, None);
        }
        Ok(())
    }

    fn withdraw(&mut self, path: &str, item: &Item, as_left: Left) {
        let name = UNITS.iter().find_map(|dir| path.strip_prefix(dir));
        let unit = match item.left {
            Left::File { .. } => name.filter(|n| !n.contains('/') && !n.contains("@.")),
            // One of a template is known by what enables it.
            Left::Link { .. } => name
                .and_then(|n| Some(n.split_once('/')?.1))
                .filter(|n| template_of(n).is_some()),
            _ => None,
        };
        if let Some(unit) = unit {
            self.stop(unit, &item.origin);
        }
        self.remove(path, item, as_left);
    }

    fn remove(&mut self, path: &str, item: &Item, left: Left) {
        let action = Action::Withdraw {
            path: path.to_owned(),
            left,
        };
        self.push(item, action, "no longer asked for");
        self.gone.insert(path.to_owned());
        self.changed(path, item);
    }

    /// Unless another file of that name makes it a unit all the same.
    fn stop(&mut self, unit: &str, by: &str) {
        let files: Vec<String> = [unit.to_owned()]
            .into_iter()
            .chain(template_of(unit))
            .collect();
        let elsewhere = UNITS.iter().any(|dir| {
            let mut files = files.iter();
            files.any(|file| self.wanted.contains_key(&format!("{dir}{file}")))
        });
        let image = files.iter().any(|file| {
            let found = self.view.look(&format!("{IMAGE_UNITS}{file}"));
            !matches!(found, Ok(Found::Missing))
        });
        let resource = format!("stop {unit}");
        let planned = self.stops.iter().any(|s| s.resource == resource);
        if planned || elsewhere || image {
            return;
        }
        let step = Step {
            resource,
            origin: Layer::Earlier.into(),
            work: Work::Do(Action::Stop {
                unit: unit.to_owned(),
            }),
            note: Some(format!("no longer asked for (was {by})")),
        };
        self.stops.push(step);
    }

    fn restore(&mut self, path: &str, item: &Item, own: String) {
        let action = Action::Restore {
            path: path.to_owned(),
            own,
        };
        self.push(item, action, "no longer asked for, the image's own is back");
        self.changed(path, item);
    }

    fn keep(&mut self, path: &str, item: &Item, why: String, hint: Option<&str>) {
        let hint = hint.map_or_else(
            || format!("`rm {path}` if it is of no use, or ask for it again"),
            str::to_owned,
        );
        let mut step = keep(&item.resource, why, Some(hint));
        if let Work::Keep { path: p, .. } = &mut step.work {
            *p = Some(path.to_owned());
        }
        self.steps.push(step);
    }

    fn push(&mut self, item: &Item, action: Action, why: &str) {
        self.steps.push(Step {
            resource: item.resource.clone(),
            origin: Layer::Earlier.into(),
            work: Work::Do(action),
            note: Some(format!("{why} (was {})", item.origin)),
        });
    }

    /// Remembers who must know that `path` is another.
    fn changed(&mut self, path: &str, item: &Item) {
        let has_job = |unit: &str| {
            let is =
                |s: &Step| matches!(&s.work, Work::Do(Action::Job { unit: u, .. }) if u == unit);
            self.plan.steps.iter().any(is)
        };
        for service in &item.refresh {
            // It is told by what is still asked for it.
            if unit_of(path) == Some(&service.0) && has_job(&service.0) {
                continue;
            }
            let paths = self.refreshes.entry(service.clone()).or_default();
            paths.push(path.to_owned());
        }
    }

    /// Puts the steps in their place: after what lets the owner in, before all that
    /// is written, and what systemd must know where it is told anyway.
    fn finish(self) {
        let Withdrawal {
            plan,
            stops,
            steps,
            refreshes,
            ..
        } = self;
        let touches = |of: fn(&str) -> bool| {
            steps
                .iter()
                .any(|s| matches!(&s.work, Work::Do(a) if a.path().is_some_and(of)))
        };
        let has = |plan: &Plan, wanted: &Action| {
            plan.steps
                .iter()
                .any(|s| matches!(&s.work, Work::Do(a) if a == wanted))
        };
        let mut told = Vec::new();
        if touches(unit_dir) && !has(plan, &Action::Reload) {
            told.push(step("systemd reload", Action::Reload));
        }
        if touches(network_dir) && !has(plan, &Action::NetworkReload) {
            told.push(step("network reload", Action::NetworkReload));
        }
        for ((service, how), gone) in refreshes {
            let planned = plan.steps.iter_mut().find_map(|s| match &mut s.work {
                Work::Do(Action::Refresh { unit, paths, .. }) if *unit == service => Some(paths),
                _ => None,
            });
            if let Some(paths) = planned {
                paths.extend(gone);
            } else if let Some((_, verb)) = Verb::ALL.iter().find(|(name, _)| *name == how) {
                let refresh = Action::Refresh {
                    unit: service.clone(),
                    verb: *verb,
                    paths: gone,
                };
                told.push(step(&format!("refresh {service}"), refresh));
            }
        }
        // Before what is started: it may need what was told.
        let jobs = plan
            .steps
            .iter()
            .position(|s| matches!(s.work, Work::Do(Action::Job { .. })))
            .unwrap_or(plan.steps.len());
        plan.steps.splice(jobs..jobs, told);
        let at = plan.after_way_in();
        plan.steps.splice(at..at, stops.into_iter().chain(steps));
    }
}

fn step(resource: &str, action: Action) -> Step {
    Step {
        resource: resource.to_owned(),
        origin: Origin::from(Layer::Earlier),
        work: Work::Do(action),
        note: None,
    }
}

fn keep(resource: &str, why: String, hint: Option<String>) -> Step {
    Step {
        resource: resource.to_owned(),
        origin: Origin::from(Layer::Earlier),
        work: Work::Keep {
            path: None,
            why,
            hint,
        },
        note: None,
    }
}
