//! Why requests cannot be met, in plain words: the shortest list of requests that
//! do not go together, and for them either what is missing or what conflicts.

use std::collections::{HashMap, VecDeque};

use super::universe::{Need, Universe};
use crate::error::Error;

/// Something the user asked for and the packages that would do.
#[derive(Debug, Clone)]
pub(super) struct Wanted<'a> {
    pub text: &'a str,
    pub packages: Vec<u32>,
}

/// The error for requests of which no set without one is unsatisfiable.
pub(super) fn explain(universe: &Universe<'_>, wanted: &[Wanted<'_>]) -> Error {
    let names: Vec<String> = wanted.iter().map(|w| format!("`{}`", w.text)).collect();
    let what = match names.as_slice() {
        [one] => format!("{one} cannot be installed"),
        _ => format!("{} cannot be installed together", names.join(" and ")),
    };
    let reason = Reason::new(universe, wanted);
    let lines = reason
        .missing(wanted)
        .or_else(|| reason.conflict(wanted))
        .unwrap_or_default();
    let what = match lines.is_empty() {
        true => what,
        false => format!("{what}:\n  {}", lines.join("\n  ")),
    };
    Error::input(what)
        .hint("remove one of the packages above, or ask for another version (NAME=VERSION)")
}

/// A dependency: its text and the packages that satisfy it, best first.
type Clause = (String, Vec<u32>);

struct Reason<'u, 'a> {
    universe: &'u Universe<'a>,
    clauses: HashMap<u32, Vec<Clause>>,
    /// Packages that can never be installed, and in which round that was found: each
    /// has a clause that only packages of earlier rounds satisfy, if any.
    hopeless: HashMap<u32, usize>,
}

impl<'u, 'a> Reason<'u, 'a> {
    fn new(universe: &'u Universe<'a>, wanted: &[Wanted<'_>]) -> Self {
        let mut clauses: HashMap<u32, Vec<Clause>> = HashMap::new();
        let mut todo: Vec<u32> = wanted
            .iter()
            .flat_map(|w| w.packages.iter().copied())
            .collect();
        while let Some(index) = todo.pop() {
            if clauses.contains_key(&index) {
                continue;
            }
            let own = needs(universe, index);
            todo.extend(own.iter().flat_map(|(_, packages)| packages));
            clauses.insert(index, own);
        }
        let mut hopeless: HashMap<u32, usize> = HashMap::new();
        for round in 1.. {
            let broken = |own: &Vec<Clause>| {
                own.iter()
                    .any(|(_, packages)| packages.iter().all(|p| hopeless.contains_key(p)))
            };
            let found: Vec<u32> = clauses
                .iter()
                .filter(|(i, own)| !hopeless.contains_key(i) && broken(own))
                .map(|(i, _)| *i)
                .collect();
            if found.is_empty() {
                break;
            }
            hopeless.extend(found.into_iter().map(|i| (i, round)));
        }
        Reason {
            universe,
            clauses,
            hopeless,
        }
    }

    fn name(&self, index: u32) -> String {
        self.universe
            .package(index)
            .map(|p| format!("{} {}", p.name, p.version))
            .unwrap_or_default()
    }

    /// The chain from a request to what the archive does not have.
    fn missing(&self, wanted: &[Wanted<'_>]) -> Option<Vec<String>> {
        let lost = |packages: &[u32]| packages.iter().all(|p| self.hopeless.contains_key(p));
        let first = wanted.iter().find(|w| lost(&w.packages))?;
        let mut lines = Vec::new();
        let mut current = self.earliest(&first.packages)?;
        loop {
            let own = self.clauses.get(&current)?;
            let broken = own.iter().filter(|(_, packages)| lost(packages));
            // The clause that was the first to be hopeless, so that the chain gets shorter.
            let (text, packages) = broken.min_by_key(|(_, p)| {
                p.iter()
                    .filter_map(|i| self.hopeless.get(i))
                    .max()
                    .copied()
                    .unwrap_or(0)
            })?;
            match self.earliest(packages) {
                Some(next) => {
                    lines.push(format!("{} needs {text}", self.name(current)));
                    current = next;
                }
                None => {
                    let name = text.split([' ', ':', '(', '|']).next().unwrap_or("");
                    let have: Vec<String> = self
                        .universe
                        .of_name(name)
                        .iter()
                        .map(|i| self.name(*i))
                        .collect();
                    let have = match have.is_empty() {
                        true => "which the archive does not have".to_string(),
                        false => format!("but the archive has only {}", have.join(", ")),
                    };
                    lines.push(format!("{} needs {text}, {have}", self.name(current)));
                    return Some(lines);
                }
            }
        }
    }

    fn earliest(&self, packages: &[u32]) -> Option<u32> {
        packages
            .iter()
            .copied()
            .min_by_key(|i| self.hopeless.get(i))
    }

    /// Follows the preferred choices until two of them clash.
    fn conflict(&self, wanted: &[Wanted<'_>]) -> Option<Vec<String>> {
        let mut chosen: HashMap<&str, u32> = HashMap::new();
        let mut why: HashMap<u32, (Option<u32>, String)> = HashMap::new();
        let mut todo: VecDeque<(Option<u32>, String, Vec<u32>)> = wanted
            .iter()
            .map(|w| {
                let mut packages = w.packages.clone();
                self.universe.newest_first(&mut packages);
                (None, w.text.to_string(), packages)
            })
            .collect();
        while let Some((parent, text, packages)) = todo.pop_front() {
            if packages.iter().any(|p| why.contains_key(p)) {
                continue;
            }
            let Some(next) = packages
                .into_iter()
                .find(|p| !self.hopeless.contains_key(p))
            else {
                continue;
            };
            let package = self.universe.package(next)?;
            why.insert(next, (parent, text));
            if let Some(other) = chosen.insert(package.name, next) {
                let mut lines = self.chain(&why, other);
                lines.extend(self.chain(&why, next));
                lines.push("only one version of a package can be installed".into());
                return Some(lines);
            }
            let mut others: Vec<u32> = why.keys().copied().filter(|o| *o != next).collect();
            others.sort_unstable();
            for (a, b) in others.into_iter().flat_map(|o| [(o, next), (next, o)]) {
                if let Some(text) = self.clash(a, b) {
                    let mut lines = self.chain(&why, a);
                    lines.extend(self.chain(&why, b));
                    lines.push(text);
                    return Some(lines);
                }
            }
            for (text, packages) in self.clauses.get(&next)? {
                todo.push_back((Some(next), text.clone(), packages.clone()));
            }
        }
        None
    }

    /// `a conflicts with b`, if it does.
    fn clash(&self, a: u32, b: u32) -> Option<String> {
        let all = self.universe.forbidden(self.universe.package(a)?);
        let (text, _) = all
            .into_iter()
            .find(|(_, group)| group.packages.contains(&b))?;
        Some(format!(
            "{} conflicts with {text} ({})",
            self.name(a),
            self.name(b)
        ))
    }

    /// The lines that lead from a request to a package.
    fn chain(&self, why: &HashMap<u32, (Option<u32>, String)>, package: u32) -> Vec<String> {
        let mut lines = Vec::new();
        let mut current = package;
        while let Some((Some(parent), text)) = why.get(&current) {
            lines.push(format!("{} needs {text}", self.name(*parent)));
            current = *parent;
        }
        lines.reverse();
        lines
    }
}

fn needs(universe: &Universe<'_>, index: u32) -> Vec<Clause> {
    let Some(package) = universe.package(index) else {
        return Vec::new();
    };
    let clause = |need: Need<'_, '_>| {
        let text: Vec<&str> = need.clause.iter().map(|a| a.text).collect();
        let mut text = text.join(" | ");
        // Only alternatives: a clause whose first name is excluded is no need.
        let excluded = need.clause.iter().find(|a| universe.excludes(a.name));
        if let Some(atom) = excluded {
            text += &format!(" (the recipe excludes {})", atom.name);
        }
        let mut packages = Vec::new();
        for mut group in need.groups {
            universe.newest_first(&mut group.packages);
            packages.extend(group.packages);
        }
        (text, packages)
    };
    universe.needs(package).into_iter().map(clause).collect()
}
