//! Keeps the inventory in step with a run: before the first change all that the plan
//! will put somewhere, after the last what is there.

use crate::cloudconfig::Verb;
use crate::error::{Context as _, Result};
use crate::plan::accounts::FILES;
use crate::plan::inventory::{
    AskedBy, Inventory, Item, Left, PATH, Places, Role, Stood, images_own, is_mark,
};
use crate::plan::{Action, Origin, Plan, Step, Work, unit_of};
use crate::root::{Found, Owner, Root, SystemView as _};
use std::collections::{BTreeMap, BTreeSet};

pub(super) struct Ledger<'a> {
    root: &'a Root,
    now: Inventory,
    /// What is on the disk.
    written: Inventory,
    /// For each step, what it will leave, and where.
    expected: Vec<Option<(String, Item)>>,
    /// Files and links that the plan withdraws.
    leaving: BTreeSet<String>,
    /// Directories that take their places.
    instead: BTreeMap<String, Item>,
    /// Readable by this program: else it is left alone.
    usable: bool,
}

impl<'a> Ledger<'a> {
    /// Reads the inventory, and cleans up after a run that was cut short. A damaged
    /// one is left alone; the plan says so.
    pub fn open(root: &'a Root) -> Result<Ledger<'a>> {
        let (mut now, usable) = match Inventory::read(root) {
            Ok(inventory) => (inventory, true),
            Err(_) => (Inventory::default(), false),
        };
        // Of its own first write nothing else tells.
        let _ = root.sweep(PATH);
        if now.unfinished {
            let others = FILES.into_iter().chain(["/etc/hostname"]);
            for path in others.chain(now.items.keys().map(String::as_str)) {
                // What is in the way of cleaning up is in the way of the step, too.
                let _ = root.sweep(path);
            }
        }
        let written = now.clone();
        if now.unfinished {
            for (path, item) in &mut now.items {
                let found = root.look(path).unwrap_or(Found::Special);
                let done = item.left.difference(&found, root.owners()).is_none();
                item.before.take_if(|_| done);
            }
        }
        Ok(Ledger {
            root,
            written,
            now,
            expected: Vec::new(),
            leaving: BTreeSet::new(),
            instead: BTreeMap::new(),
            usable,
        })
    }

    /// Writes down what `plan` will leave, if any of that is new.
    pub fn expect(&mut self, plan: &Plan) -> Result<()> {
        let places = Places::new(plan, self.root)?;
        let services: Vec<&Action> = plan
            .steps
            .iter()
            .filter_map(|s| match &s.work {
                Work::Do(a @ Action::Refresh { .. }) => Some(a),
                _ => None,
            })
            .collect();
        let restarts = restarts(plan);
        let leaving = plan.steps.iter().filter_map(|s| match &s.work {
            Work::Do(Action::Withdraw { path, left }) => {
                (!matches!(left, Left::Directory { .. })).then(|| path.clone())
            }
            _ => None,
        });
        self.leaving = leaving.collect();
        for step in &plan.steps {
            let entry = match &step.work {
                Work::Do(action) => self
                    .entry(&places, step, action)?
                    .filter(|(path, _)| !plan.forget.contains(path))
                    .map(|(path, mut item)| {
                        if item.role == Role::Asked {
                            item.refresh = refreshes(&services, &path);
                            let unit = unit_of(&path).and_then(|u| restarts.get_key_value(u));
                            let told = unit.map(|(u, verb)| ((*u).to_owned(), (*verb).to_owned()));
                            item.refresh.extend(told);
                        }
                        (path, item)
                    }),
                Work::Sealed(_) | Work::Skip { .. } | Work::Keep { .. } => None,
            };
            self.expected.push(entry);
        }
        let expected = self.expected.iter().flatten();
        for (path, item) in expected {
            self.now.items.insert(path.clone(), item.clone());
        }
        if self.now == self.written {
            return Ok(());
        }
        self.now.unfinished = true;
        self.write()
    }

    /// What a step will leave. Also notes users, mounts and directories on the way.
    fn entry(
        &mut self,
        places: &Places,
        step: &Step,
        action: &Action,
    ) -> Result<Option<(String, Item)>> {
        let by = |made: bool| AskedBy {
            origin: step.origin.to_string(),
            layer: step.origin.sender.layer,
            made,
        };
        match action {
            Action::Account(_) | Action::Group(_) => {
                let known = self.now.accounts.get(&step.resource);
                let made = known.map_or_else(|| !places.has_account(&step.resource), |a| a.made);
                if step.resource.starts_with("user ") || step.resource.starts_with("group ") {
                    self.now.accounts.insert(step.resource.clone(), by(made));
                }
            }
            Action::Job { unit, .. } if unit.ends_with(".mount") || unit.ends_with(".swap") => {
                self.now.mounts.insert(unit.clone(), by(true));
            }
            _ => {}
        }
        let Some(path) = places.of(action).filter(|p| !is_mark(p)) else {
            return Ok(None);
        };
        let (left, role) = match action {
            Action::Restore { own, .. } => (Left::of(&self.root.look(own)?), Role::Restored),
            _ => (Left::by(action), Role::Asked),
        };
        let Some(left) = left else { return Ok(None) };
        let old = self.now.items.get(&path);
        let mut item = Item {
            resource: step.resource.clone(),
            origin: step.origin.to_string(),
            layer: step.origin.sender.layer,
            left,
            before: None,
            stood: Stood::Nothing,
            role,
            refresh: Vec::new(),
        };
        if role == Role::Restored
            && let Some(old) = old
        {
            item.origin.clone_from(&old.origin);
            item.layer = old.layer;
            item.refresh.clone_from(&old.refresh);
        }
        match old {
            Some(old) if old.left.is_alike(&item.left) => {
                item.left = old.left.clone();
                item.before.clone_from(&old.before);
                item.stood = old.stood;
                if !self.leaving.is_empty() {
                    self.on_the_way(places, step, &path);
                }
            }
            _ => {
                let below = |file: &String| path.strip_prefix(file.as_str());
                let mut leaving = self.leaving.iter().filter_map(below);
                // What is in the way is the step's to tell, unless it leaves.
                let found = match self.root.look(&path) {
                    Ok(found) => found,
                    Err(_) if leaving.any(|p| p.starts_with('/')) => Found::Missing,
                    Err(_) => Found::Special,
                };
                let owners = self.root.owners();
                item.stood = match old.filter(|o| o.left != Left::Absent) {
                    _ if found == Found::Missing => Stood::Nothing,
                    Some(old) if old.stood == Stood::Nothing => Stood::Nothing,
                    Some(_) => Stood::Other,
                    None if item.left.difference(&found, owners).is_none() => Stood::Same,
                    None => Stood::Other,
                };
                item.before = match old {
                    Some(old) => Some(match &old.before {
                        // That change was cut short, too.
                        Some(b) if b.difference(&found, owners).is_none() => b.clone(),
                        _ => old.left.clone(),
                    }),
                    None => Left::of(&found).filter(|_| item.stood == Stood::Other),
                };
                self.on_the_way(places, step, &path);
            }
        }
        Ok(Some((path, item)))
    }

    /// Notes the directories that will be made for `path`.
    fn on_the_way(&mut self, places: &Places, step: &Step, path: &str) {
        let mut at = path;
        while let Some((parent, _)) = at.rsplit_once('/') {
            at = parent;
            let leaves = self.leaving.contains(at);
            let known = self.now.items.get(at);
            // Below a file that leaves nothing can be looked at.
            let there = || !matches!(self.root.look(at), Ok(Found::Missing) | Err(_));
            if places.stays(at) || is_mark(at) || (!leaves && (known.is_some() || there())) {
                return;
            }
            let before = known.and_then(|k| match &k.left {
                Left::Directory { .. } => k.before.clone(),
                left => Some(left.clone()),
            });
            let mut item = Item {
                resource: format!("directory {at}"),
                origin: step.origin.to_string(),
                layer: step.origin.sender.layer,
                left: Left::Directory {
                    mode: 0o755,
                    owner: None,
                },
                before: None,
                stood: Stood::Nothing,
                role: Role::Implied,
                refresh: Vec::new(),
            };
            if leaves {
                self.instead.insert(at.to_owned(), item.clone());
            }
            item.before = before;
            self.now.items.insert(at.to_owned(), item);
        }
    }

    /// Step number `n` was done, or was not needed. `owner` is what it sets.
    pub fn done(&mut self, n: usize, step: &Step, owner: impl FnOnce() -> Option<Owner>) {
        match &step.work {
            Work::Do(Action::Withdraw { path, .. }) => match self.instead.remove(path) {
                Some(item) => drop(self.now.items.insert(path.clone(), item)),
                None => drop(self.now.items.remove(path)),
            },
            // The image's own comes back when nobody wants it away any more.
            Work::Do(Action::Remove { path }) => {
                let own = images_own(path).map(|own| self.root.look(&own));
                if matches!(own, Some(Ok(Found::File { .. } | Found::Link(_)))) {
                    self.now.items.insert(path.clone(), absent(step));
                } else {
                    self.now.items.remove(path);
                }
            }
            _ => {}
        }
        if let Some((path, mut item)) = self.expected.get_mut(n).and_then(Option::take) {
            item.before = None;
            if let Left::File { owner: o, .. } | Left::Directory { owner: o, .. } = &mut item.left
                && o.is_none()
                && self.root.owners()
            {
                *o = owner();
            }
            self.now.items.insert(path, item);
        }
    }

    /// What is left in place though nobody asks for it.
    pub fn kept(&mut self, path: &str) {
        if let Some(item) = self.now.items.get_mut(path) {
            item.role = Role::Kept;
        }
    }

    /// Writes what is there now, if that is not on the disk.
    pub fn close(mut self, plan: &Plan) -> Result<()> {
        for name in &plan.forget {
            self.now.items.remove(name);
            self.now.accounts.remove(name);
            self.now.mounts.remove(name);
        }
        self.now.unfinished = false;
        if self.now == self.written {
            return Ok(());
        }
        self.write()
    }

    fn write(&mut self) -> Result<()> {
        if !self.usable {
            return Ok(());
        }
        let json = serde_json::to_vec(&self.now)
            .environment(|| "cannot write down what this run makes".to_owned())?;
        self.root.write(PATH, &json, 0o600, Some((0, 0)))?;
        self.written = self.now.clone();
        Ok(())
    }
}

fn absent(step: &Step) -> Item {
    let origin: Origin = step.origin;
    Item {
        resource: step.resource.clone(),
        origin: origin.to_string(),
        layer: origin.sender.layer,
        left: Left::Absent,
        before: None,
        stood: Stood::Other,
        role: Role::Asked,
        refresh: Vec::new(),
    }
}

/// Units that are told when what makes them changes, and how: those that are only
/// started are not, as long as they run.
fn restarts(plan: &Plan) -> BTreeMap<&str, &'static str> {
    let mut out = BTreeMap::new();
    for step in &plan.steps {
        if let Work::Do(Action::Job { unit, verb, .. }) = &step.work
            && !matches!(verb, Verb::Start | Verb::Stop)
        {
            out.insert(unit.as_str(), verb.as_str());
        }
    }
    out
}

/// Those of the plan's services that are told of `path`.
fn refreshes(services: &[&Action], path: &str) -> Vec<(String, String)> {
    let of = |action: &&Action| match action {
        Action::Refresh { unit, verb, paths } if paths.iter().any(|p| p == path) => {
            Some((unit.clone(), verb.as_str().to_owned()))
        }
        _ => None,
    };
    services.iter().filter_map(of).collect()
}
