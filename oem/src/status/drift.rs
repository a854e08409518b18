//! Whether the machine still looks like the last apply: from the inventory alone, so
//! without user-data, and without showing what is in files.

use crate::error::{Error, Result};
use crate::plan::Plan;
use crate::plan::inventory::{Inventory, Left, PATH, Places, Role};
use crate::root::{Found, SystemView};
use serde::Serialize;
use std::fmt::Write as _;

/// How something compares with the last apply.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Compared {
    /// As it was left.
    Unchanged,
    /// Somebody changed it.
    Changed,
    /// It is not there.
    Missing,
}

/// One resource.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Line {
    /// Its name, e.g. `file /etc/motd`.
    pub resource: String,
    /// Who asked for it, e.g. `user-data:12`.
    pub origin: String,
    /// Where it is, if at a path.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// How it compares.
    pub state: Compared,
    /// In what it differs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

/// Everything the last apply left.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Drift {
    /// The last run was cut short: apply again.
    pub unfinished: bool,
    /// By path, then users and groups.
    pub resources: Vec<Line>,
}

impl Drift {
    /// Compares.
    ///
    /// # Errors
    /// Nothing was applied yet, or the inventory is damaged or not readable.
    pub fn see(view: &dyn SystemView) -> Result<Drift> {
        let may_read = |e: Error| match e.hint_text() {
            Some(_) => e,
            None => e.hint("what was applied is only told to root"),
        };
        if view.look(PATH).map_err(may_read)? == Found::Missing {
            let what = "nothing was applied on this machine yet";
            return Err(Error::environment(what)
                .hint("run `oem apply`, or read `journalctl -u oem -u oem-local`"));
        }
        let inventory = Inventory::read(view).map_err(may_read)?;
        let mut resources = Vec::new();
        for (path, item) in &inventory.items {
            if item.role != Role::Asked {
                continue;
            }
            let (state, detail) = match view.look(path) {
                Ok(Found::Missing) if item.left != Left::Absent => (Compared::Missing, None),
                Ok(found) => match item.difference(&found, view.owners()) {
                    None => (Compared::Unchanged, None),
                    why => (Compared::Changed, why),
                },
                Err(e) => (Compared::Changed, Some(e.chain())),
            };
            resources.push(Line {
                resource: item.resource.clone(),
                origin: item.origin.clone(),
                path: Some(path.clone()),
                state,
                detail,
            });
        }
        let places = Places::new(&Plan::default(), view)?;
        for (resource, account) in &inventory.accounts {
            let state = match places.has_account(resource) {
                true => Compared::Unchanged,
                false => Compared::Missing,
            };
            resources.push(Line {
                resource: resource.clone(),
                origin: account.origin.clone(),
                path: None,
                state,
                detail: None,
            });
        }
        Ok(Drift {
            unfinished: inventory.unfinished,
            resources,
        })
    }

    /// Whether everything is as it was left.
    pub fn is_none(&self) -> bool {
        !self.unfinished && self.count(Compared::Unchanged) == self.resources.len()
    }

    fn count(&self, state: Compared) -> usize {
        self.resources.iter().filter(|r| r.state == state).count()
    }

    /// For people.
    pub fn render(&self) -> String {
        let mut out = format!(
            "{}: {} unchanged, {} changed, {} missing\n",
            if self.is_none() {
                "as applied"
            } else {
                "drift"
            },
            self.count(Compared::Unchanged),
            self.count(Compared::Changed),
            self.count(Compared::Missing)
        );
        if self.unfinished {
            out += "warning    the last run was cut short\n           hint: `oem apply`\n";
        }
        for r in &self.resources {
            let state = match r.state {
                Compared::Unchanged => "unchanged",
                Compared::Changed => "changed",
                Compared::Missing => "missing",
            };
            let detail = r.detail.as_ref().map(|d| format!(" ({d})"));
            let detail = detail.unwrap_or_default();
            let _ = writeln!(out, "{state:<10} {:<14} {}{detail}", r.origin, r.resource);
        }
        if self.count(Compared::Changed) + self.count(Compared::Missing) > 0 {
            out += "hint: `oem plan` shows what `oem apply` would set right\n";
        }
        out
    }
}
