//! All packages as the solver sees them: candidates by name, version sets.
//!
//! A version set is kept as the list of matching packages. A dependency becomes
//! the union of the sets of its alternatives; an alternative's providers follow
//! the package of that name. A conflict becomes a constraint on the other
//! package's name that allows all but the conflicting packages.

use std::cell::{OnceCell, RefCell};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt::Display;

use debversion::Version;
use resolvo::{
    Candidates, Condition, ConditionId, ConditionalRequirement, Dependencies, DependencyProvider,
    Interner, KnownDependencies, NameId, Requirement, SolvableId, SolverCache, StringId,
    VersionSetId, VersionSetUnionId,
};

use super::super::packages::Package;
use super::super::relation::{Atom, Op, clauses};
use super::super::release::suite_name;
use super::Request;
use crate::error::{Error, Result};

/// Packages on one name that satisfy something.
#[derive(Debug, Clone)]
struct Set {
    name: NameId,
    matching: Vec<SolvableId>,
    text: String,
}

/// One `Provides` entry: the providing package and the provided version.
#[derive(Debug, Clone, Copy)]
struct Provider<'a> {
    package: u32,
    version: Option<&'a str>,
}

pub(super) struct Universe<'a> {
    packages: &'a [Package<'a>],
    architecture: &'a str,
    versions: Vec<OnceCell<Option<Version>>>,
    by_name: HashMap<&'a str, Vec<u32>>,
    provided: HashMap<&'a str, Vec<Provider<'a>>>,
    excluded: HashSet<&'a str>,
    names: RefCell<(Vec<String>, HashMap<String, u32>)>,
    sets: RefCell<Vec<Set>>,
    unions: RefCell<Vec<Vec<VersionSetId>>>,
}

fn solvable(index: u32) -> SolvableId {
    SolvableId::from_raw(index)
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
        for (index, p) in (0u32..).zip(packages) {
            if p.architecture != architecture && p.architecture != "all" {
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
            excluded: exclude.iter().map(String::as_str).collect(),
            names: RefCell::default(),
            sets: RefCell::default(),
            unions: RefCell::default(),
        }
    }

    pub fn package(&self, id: SolvableId) -> Option<&'a Package<'a>> {
        self.packages.get(id.into_raw() as usize)
    }

    fn version(&self, index: u32) -> Option<&Version> {
        let cell = self.versions.get(index as usize)?;
        cell.get_or_init(|| self.packages.get(index as usize)?.version.parse().ok())
            .as_ref()
    }

    fn name(&self, name: &str) -> NameId {
        let mut names = self.names.borrow_mut();
        if let Some(id) = names.1.get(name) {
            return NameId::from_raw(*id);
        }
        let id = u32::try_from(names.0.len()).unwrap_or(u32::MAX);
        names.0.push(name.to_string());
        names.1.insert(name.to_string(), id);
        NameId::from_raw(id)
    }

    fn name_text(&self, id: NameId) -> String {
        self.names
            .borrow()
            .0
            .get(id.into_raw() as usize)
            .cloned()
            .unwrap_or_default()
    }

    fn set(&self, name: &str, matching: Vec<u32>, text: String) -> VersionSetId {
        let name = self.name(name);
        let mut sets = self.sets.borrow_mut();
        let id = VersionSetId(u32::try_from(sets.len()).unwrap_or(u32::MAX));
        sets.push(Set {
            name,
            matching: matching.into_iter().map(solvable).collect(),
            text,
        });
        id
    }

    fn of_name(&self, name: &str) -> &[u32] {
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
    fn virtually(&self, atom: &Atom<'_>) -> Vec<(&'a str, Vec<u32>)> {
        let bound = match atom.version {
            None => None,
            Some((op, text)) => match text.parse::<Version>() {
                Ok(bound) => Some((op, bound)),
                Err(_) => return Vec::new(),
            },
        };
        let mut groups: Vec<(&str, Vec<u32>)> = Vec::new();
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
            match groups.iter_mut().find(|(name, _)| *name == package.name) {
                Some((_, all)) => all.push(provider.package),
                None => groups.push((package.name, vec![provider.package])),
            }
        }
        groups
    }

    fn foreign(&self, atom: &Atom<'_>) -> bool {
        atom.qualifier
            .is_some_and(|q| q != "any" && q != "native" && q != self.architecture)
    }

    /// A clause of `Depends`: its alternatives in order, each with its providers.
    fn requirement<'t>(&self, alternatives: impl Iterator<Item = Atom<'t>>) -> Requirement {
        let mut union = Vec::new();
        let mut first = None;
        for atom in alternatives {
            first.get_or_insert(atom);
            if self.foreign(&atom) {
                continue;
            }
            let real = self.real(&atom);
            let providers = self.virtually(&atom);
            let condition = atom
                .text
                .strip_prefix(atom.name)
                .unwrap_or("")
                .trim()
                .to_string();
            if !real.is_empty() {
                union.push(self.set(atom.name, real, condition));
            }
            for (name, packages) in providers {
                if name != atom.name {
                    union.push(self.set(name, packages, format!("(as {})", atom.name)));
                }
            }
        }
        match (union.as_slice(), first) {
            ([one], _) => Requirement::Single(*one),
            // Nothing satisfies it: keep its text for the explanation.
            ([], Some(atom)) => {
                let condition = atom
                    .text
                    .strip_prefix(atom.name)
                    .unwrap_or("")
                    .trim()
                    .to_string();
                Requirement::Single(self.set(atom.name, Vec::new(), condition))
            }
            _ => {
                let mut unions = self.unions.borrow_mut();
                let id = VersionSetUnionId(u32::try_from(unions.len()).unwrap_or(u32::MAX));
                unions.push(union);
                Requirement::Union(id)
            }
        }
    }

    /// What `Conflicts` and `Breaks` forbid, as constraints on the others' names.
    /// A package never conflicts with itself (Policy 7.4).
    fn constraints(&self, package: &Package<'_>, out: &mut Vec<VersionSetId>) {
        for field in [package.conflicts, package.breaks] {
            for atom in clauses(field).flatten() {
                if self.foreign(&atom) {
                    continue;
                }
                let mut forbidden: BTreeMap<&str, HashSet<u32>> = BTreeMap::new();
                if atom.name != package.name {
                    forbidden
                        .entry(atom.name)
                        .or_default()
                        .extend(self.real(&atom));
                }
                for (name, packages) in self.virtually(&atom) {
                    if name != package.name {
                        forbidden.entry(name).or_default().extend(packages);
                    }
                }
                for (name, bad) in forbidden {
                    if bad.is_empty() {
                        continue;
                    }
                    let allowed = self
                        .of_name(name)
                        .iter()
                        .copied()
                        .filter(|i| !bad.contains(i))
                        .collect();
                    let condition = atom.text.strip_prefix(name).unwrap_or(atom.text).trim();
                    out.push(
                        self.set(
                            name,
                            allowed,
                            format!("not {condition}")
                                .trim_end_matches("not ")
                                .to_string(),
                        ),
                    );
                }
            }
        }
    }

    /// The version set of something the user asked for.
    pub fn request(&self, text: &str, request: Request<'_>, suite: &str) -> Result<VersionSetId> {
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
            let providers: Vec<&str> = self
                .virtually(&atom)
                .into_iter()
                .map(|(name, _)| name)
                .take(8)
                .collect();
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
        let condition = text.strip_prefix(request.name).unwrap_or("").to_string();
        Ok(self.set(request.name, matching, condition))
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

impl Interner for Universe<'_> {
    type NameId = NameId;
    type SolvableId = SolvableId;

    fn display_solvable(&self, solvable: SolvableId) -> impl Display + '_ {
        self.package(solvable)
            .map(|p| format!("{} {}", p.name, p.version))
            .unwrap_or_default()
    }
    fn display_merged_solvables(&self, solvables: &[SolvableId]) -> impl Display + '_ {
        let mut texts: Vec<String> = solvables
            .iter()
            .map(|s| self.display_solvable(*s).to_string())
            .collect();
        texts.sort();
        texts.join(" or ")
    }
    fn display_name(&self, name: NameId) -> impl Display + '_ {
        self.name_text(name)
    }
    fn display_version_set(&self, version_set: VersionSetId) -> impl Display + '_ {
        self.sets
            .borrow()
            .get(version_set.0 as usize)
            .map(|s| s.text.clone())
            .unwrap_or_default()
    }
    fn display_string(&self, _: StringId) -> impl Display + '_ {
        "the recipe excludes it"
    }
    fn version_set_name(&self, version_set: VersionSetId) -> NameId {
        self.sets
            .borrow()
            .get(version_set.0 as usize)
            .map_or(NameId::from_raw(0), |s| s.name)
    }
    fn solvable_name(&self, solvable: SolvableId) -> NameId {
        self.name(self.package(solvable).map_or("", |p| p.name))
    }
    fn version_sets_in_union(
        &self,
        union: VersionSetUnionId,
    ) -> impl Iterator<Item = VersionSetId> {
        self.unions
            .borrow()
            .get(union.0 as usize)
            .cloned()
            .unwrap_or_default()
            .into_iter()
    }
    fn resolve_condition(&self, condition: ConditionId) -> Condition {
        // No requirement made here has a condition.
        Condition::Requirement(VersionSetId(condition.as_u32()))
    }
}

impl DependencyProvider for Universe<'_> {
    async fn filter_candidates(
        &self,
        candidates: &[SolvableId],
        set: VersionSetId,
        inverse: bool,
    ) -> Vec<SolvableId> {
        let sets = self.sets.borrow();
        let matching = sets
            .get(set.0 as usize)
            .map_or(&[][..], |s| s.matching.as_slice());
        candidates
            .iter()
            .copied()
            .filter(|c| matching.contains(c) != inverse)
            .collect()
    }

    async fn get_candidates(&self, name: NameId) -> Option<Candidates<SolvableId>> {
        let text = self.name_text(name);
        let candidates: Vec<SolvableId> =
            self.of_name(&text).iter().copied().map(solvable).collect();
        if self.excluded.contains(text.as_str()) {
            let excluded = candidates.iter().map(|c| (*c, StringId(0))).collect();
            return Some(Candidates {
                candidates,
                excluded,
                ..Candidates::default()
            });
        }
        Some(Candidates {
            candidates,
            ..Candidates::default()
        })
    }

    async fn sort_candidates(&self, _: &SolverCache<Self>, solvables: &mut [SolvableId]) {
        solvables.sort_by(|a, b| {
            let (a, b) = (a.into_raw(), b.into_raw());
            self.version(b).cmp(&self.version(a)).then(a.cmp(&b))
        });
    }

    async fn get_dependencies(&self, solvable: SolvableId) -> Dependencies {
        let mut known = KnownDependencies::default();
        if let Some(package) = self.package(solvable) {
            for field in [package.pre_depends, package.depends] {
                for alternatives in clauses(field) {
                    known
                        .requirements
                        .push(ConditionalRequirement::from(self.requirement(alternatives)));
                }
            }
            self.constraints(package, &mut known.constrains);
        }
        Dependencies::Known(known)
    }
}
