//! The packages of an archive and the relations between them.

use std::cell::OnceCell;
use std::collections::{HashMap, HashSet};

use debversion::Version;

use super::super::packages::Package;
use super::super::relation::{Atom, Op, clauses};
use super::super::release::suite_name;
use super::Request;
use crate::error::{Error, Result};

/// Packages of one name (several versions) that satisfy something, by their
/// place in the list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Group<'a> {
    pub name: &'a str,
    pub packages: Vec<u32>,
}

/// One `Provides` entry: the providing package and the provided version.
#[derive(Debug, Clone, Copy)]
struct Provider<'a> {
    package: u32,
    version: Option<&'a str>,
}

/// All candidates, by name and by what they provide.
pub(super) struct Universe<'a> {
    packages: &'a [Package<'a>],
    architecture: &'a str,
    versions: Vec<OnceCell<Option<Version>>>,
    by_name: HashMap<&'a str, Vec<u32>>,
    provided: HashMap<&'a str, Vec<Provider<'a>>>,
    /// Names that count as installed: what the recipe excludes.
    excluded: HashSet<&'a str>,
    /// What the excluded packages provide.
    excluded_provides: HashSet<&'a str>,
}

/// A clause of `Depends` and what satisfies it, best first.
pub(super) struct Need<'p, 'a> {
    pub clause: Vec<Atom<'p>>,
    pub groups: Vec<Group<'a>>,
}

/// Rank of a provider when only a virtual name was asked for.
fn rank(priority: &str) -> u8 {
    match priority {
        "required" => 0,
        "important" => 1,
        "standard" => 2,
        _ => 3,
    }
}

impl<'a> Universe<'a> {
    pub fn new(packages: &'a [Package<'a>], architecture: &'a str, exclude: &'a [String]) -> Self {
        let mut by_name: HashMap<&str, Vec<u32>> = HashMap::with_capacity(packages.len());
        let mut provided: HashMap<&str, Vec<Provider<'_>>> = HashMap::new();
        let excluded: HashSet<&str> = exclude.iter().map(String::as_str).collect();
        let mut excluded_provides = HashSet::new();
        for (index, p) in (0u32..).zip(packages) {
            if p.architecture != architecture && p.architecture != "all" {
                continue;
            }
            if excluded.contains(p.name) {
                excluded_provides.extend(clauses(p.provides).flatten().map(|a| a.name));
                continue;
            }
            let same = by_name.entry(p.name).or_default();
            // A point release moves packages between pockets: the first one stands.
            if same.iter().any(|i| {
                packages
                    .get(*i as usize)
                    .is_some_and(|q| q.version == p.version)
            }) {
                continue;
            }
            same.push(index);
            for atom in clauses(p.provides).flatten() {
                let version = atom.version.map(|(_, v)| v);
                provided.entry(atom.name).or_default().push(Provider {
                    package: index,
                    version,
                });
            }
        }
        for providers in provided.values_mut() {
            providers.sort_by_key(|v| {
                packages
                    .get(v.package as usize)
                    .map(|p| (rank(p.priority), p.name, v.package))
            });
        }
        Universe {
            packages,
            architecture,
            versions: vec![OnceCell::new(); packages.len()],
            by_name,
            provided,
            excluded,
            excluded_provides,
        }
    }

    /// The package at a place in the list.
    pub fn package(&self, index: u32) -> Option<&'a Package<'a>> {
        self.packages.get(index as usize)
    }

    /// Whether the recipe excludes packages of this name.
    pub fn excludes(&self, name: &str) -> bool {
        self.excluded.contains(name)
    }

    fn version(&self, index: u32) -> Option<&Version> {
        let cell = self.versions.get(index as usize)?;
        cell.get_or_init(|| self.packages.get(index as usize)?.version.parse().ok())
            .as_ref()
    }

    /// All packages of a name.
    pub fn of_name(&self, name: &str) -> &[u32] {
        self.by_name.get(name).map_or(&[], Vec::as_slice)
    }

    /// Packages of the atom's own name that satisfy it.
    fn real(&self, atom: &Atom<'_>) -> Vec<u32> {
        let all = self.of_name(atom.name);
        match atom.version {
            None => all.to_vec(),
            Some((op, bound)) => {
                let Ok(bound) = bound.parse::<Version>() else {
                    return Vec::new();
                };
                all.iter()
                    .copied()
                    .filter(|i| self.version(*i).is_some_and(|v| op.holds(v, &bound)))
                    .collect()
            }
        }
    }

    /// Packages that provide the atom, grouped by their names in order. A versioned
    /// relation is satisfied by versioned provides only (Policy 7.5).
    fn virtually(&self, atom: &Atom<'_>) -> Vec<Group<'a>> {
        let bound = match atom.version {
            None => None,
            Some((op, text)) => match text.parse::<Version>() {
                Ok(bound) => Some((op, bound)),
                Err(_) => return Vec::new(),
            },
        };
        let mut groups: Vec<Group<'a>> = Vec::new();
        for provider in self.provided.get(atom.name).map_or(&[][..], Vec::as_slice) {
            let fits = match (&bound, provider.version) {
                (None, _) => true,
                (Some(_), None) => false,
                (Some((op, bound)), Some(version)) => {
                    version.parse().is_ok_and(|v: Version| op.holds(&v, bound))
                }
            };
            let Some(package) = self
                .packages
                .get(provider.package as usize)
                .filter(|_| fits)
            else {
                continue;
            };
            match groups.iter_mut().find(|g| g.name == package.name) {
                Some(group) => group.packages.push(provider.package),
                None => groups.push(Group {
                    name: package.name,
                    packages: vec![provider.package],
                }),
            }
        }
        groups
    }

    fn foreign(&self, atom: &Atom<'_>) -> bool {
        atom.qualifier
            .is_some_and(|q| q != "any" && q != "native" && q != self.architecture)
    }

    /// What satisfies a clause of `Depends`, best first: each alternative's own
    /// package, then those that provide it.
    pub fn alternatives<'t>(&self, clause: impl Iterator<Item = Atom<'t>>) -> Vec<Group<'a>> {
        let mut groups = Vec::new();
        for atom in clause.filter(|a| !self.foreign(a)) {
            let packages = self.real(&atom);
            let first = packages.first().and_then(|i| self.package(*i));
            let own = first.map(|p| p.name);
            groups.extend(own.map(|name| Group { name, packages }));
            groups.extend(
                self.virtually(&atom)
                    .into_iter()
                    .filter(|g| Some(g.name) != own),
            );
        }
        groups
    }

    /// What `Conflicts` and `Breaks` forbid, with the relation's text. A package never
    /// conflicts with itself (Policy 7.4).
    pub fn forbidden<'p>(&self, package: &Package<'p>) -> Vec<(&'p str, Group<'a>)> {
        let mut all = Vec::new();
        for field in [package.conflicts, package.breaks] {
            for atom in clauses(field).flatten().filter(|a| !self.foreign(a)) {
                let groups = self.alternatives(std::iter::once(atom));
                let others = groups.into_iter().filter(|g| g.name != package.name);
                all.extend(others.map(|g| (atom.text, g)));
            }
        }
        all
    }

    /// What a package depends on, without clauses that excluded packages satisfy: those
    /// whose first alternative is excluded, and those nothing else is left for.
    pub fn needs<'p>(&self, package: &Package<'p>) -> Vec<Need<'p, 'a>> {
        let mut all = Vec::new();
        for clause in [package.pre_depends, package.depends]
            .into_iter()
            .flat_map(clauses)
        {
            let clause: Vec<Atom<'_>> = clause.collect();
            if clause
                .first()
                .is_some_and(|a| self.excluded.contains(a.name))
            {
                continue;
            }
            let groups = self.alternatives(clause.iter().copied());
            let gone = |a: &Atom<'_>| {
                self.excluded.contains(a.name) || self.excluded_provides.contains(a.name)
            };
            if groups.is_empty() && clause.iter().any(gone) {
                continue;
            }
            all.push(Need { clause, groups });
        }
        all
    }

    /// Highest version first; equal ones in the archive's order.
    pub fn newest_first(&self, packages: &mut [u32]) {
        packages.sort_by(|a, b| self.version(*b).cmp(&self.version(*a)).then(a.cmp(b)));
    }

    /// Packages that meet what the user asked for; at least one.
    pub fn request(&self, text: &str, request: Request<'_>, suite: &str) -> Result<Vec<u32>> {
        let all = self.of_name(request.name);
        if self.excluded.contains(request.name) {
            return Err(Error::input(format!(
                "package `{}` is both requested and excluded",
                request.name
            ))
            .hint("remove it from one of the two lists of the recipe"));
        }
        if all.is_empty() {
            let atom = Atom {
                name: request.name,
                version: None,
                qualifier: None,
                text: request.name,
            };
            let providers = self.virtually(&atom);
            let providers: Vec<&str> = providers.iter().map(|g| g.name).take(8).collect();
            let error = Error::input(format!(
                "there is no package `{}` in {suite} for {}",
                request.name, self.architecture
            ));
            return Err(if providers.is_empty() {
                match self.similar(request.name) {
                    Some(name) => error.hint(format!("did you mean `{name}`?")),
                    None => error.hint("check the spelling; only the component `main` is used"),
                }
            } else {
                error.hint(format!(
                    "it is a virtual package; ask for one that provides it: {}",
                    providers.join(", ")
                ))
            });
        }
        let wanted = request.version.and_then(|v| v.parse::<Version>().ok());
        let matching: Vec<u32> = all
            .iter()
            .copied()
            .filter(|i| match (&request.version, &wanted) {
                (None, _) => true,
                (Some(_), Some(wanted)) => {
                    self.version(*i).is_some_and(|v| Op::Equal.holds(v, wanted))
                }
                (Some(_), None) => false,
            })
            .filter(|i| {
                request.pocket.is_none_or(|p| {
                    self.packages
                        .get(*i as usize)
                        .is_some_and(|q| q.pocket == p)
                })
            })
            .collect();
        if matching.is_empty() {
            let have: Vec<String> = all
                .iter()
                .filter_map(|i| self.packages.get(*i as usize))
                .map(|p| format!("{} ({})", p.version, suite_name(suite, p.pocket)))
                .collect();
            return Err(
                Error::input(format!("`{text}` is not in the archive")).hint(format!(
                    "{} has: {}",
                    request.name,
                    have.join(", ")
                )),
            );
        }
        Ok(matching)
    }

    /// A package whose name differs in one edit or one swap.
    fn similar(&self, name: &str) -> Option<&'a str> {
        self.by_name
            .keys()
            .copied()
            .filter(|other| near(name, other))
            .min()
    }
}

/// True if one insertion, deletion, replacement or swap of neighbours makes `a` of `b`.
fn near(a: &str, b: &str) -> bool {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    if a.len().abs_diff(b.len()) > 1 {
        return false;
    }
    let head = a.iter().zip(b).take_while(|(x, y)| x == y).count();
    let tail = |a: &[u8], b: &[u8]| {
        a.iter()
            .rev()
            .zip(b.iter().rev())
            .take_while(|(x, y)| x == y)
            .count()
    };
    let (a, b) = (&a[head..], &b[head..]);
    let end = tail(a, b);
    let (a, b) = (&a[..a.len() - end], &b[..b.len() - end]);
    match (a, b) {
        ([p, q], [r, s]) => p == s && q == r,
        _ => a.len() <= 1 && b.len() <= 1,
    }
}
