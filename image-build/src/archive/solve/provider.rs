//! The packages as the solver asks for them.
//!
//! A version set is kept as the list of matching packages. A dependency becomes
//! the union of the sets of its alternatives. A conflict becomes a constraint on
//! the other package's name that allows all but the conflicting packages.

use std::cell::RefCell;
use std::collections::HashMap;
use std::fmt::Display;

use resolvo::{
    Candidates, Condition, ConditionId, Dependencies, DependencyProvider, Interner,
    KnownDependencies, NameId, Requirement, SolvableId, SolverCache, StringId, VersionSetId,
    VersionSetUnionId,
};

use super::universe::{Group, Universe};

#[derive(Debug, Clone)]
struct Set {
    name: NameId,
    matching: Vec<SolvableId>,
}

/// A [`Universe`] with the solver's numbers for its parts.
pub(super) struct Provider<'u, 'a> {
    universe: &'u Universe<'a>,
    names: RefCell<Names<'a>>,
    sets: RefCell<Vec<Set>>,
    unions: RefCell<Vec<Vec<VersionSetId>>>,
}

#[derive(Default)]
struct Names<'a> {
    texts: Vec<&'a str>,
    ids: HashMap<&'a str, NameId>,
}

/// Numbers stay far below the limit: an archive has fewer relations.
fn number(len: usize) -> u32 {
    u32::try_from(len).unwrap_or(u32::MAX)
}

impl<'u, 'a> Provider<'u, 'a> {
    pub fn new(universe: &'u Universe<'a>) -> Self {
        Provider {
            universe,
            names: RefCell::default(),
            sets: RefCell::default(),
            unions: RefCell::default(),
        }
    }

    fn name(&self, text: &'a str) -> NameId {
        let mut names = self.names.borrow_mut();
        if let Some(id) = names.ids.get(text) {
            return *id;
        }
        let id = NameId::from_raw(number(names.texts.len()));
        names.texts.push(text);
        names.ids.insert(text, id);
        id
    }

    fn name_text(&self, id: NameId) -> &'a str {
        let names = self.names.borrow();
        names
            .texts
            .get(id.into_raw() as usize)
            .copied()
            .unwrap_or("")
    }

    fn set(&self, name: &'a str, packages: impl IntoIterator<Item = u32>) -> VersionSetId {
        let matching = packages.into_iter().map(SolvableId::from_raw).collect();
        let name = self.name(name);
        let mut sets = self.sets.borrow_mut();
        let id = VersionSetId(number(sets.len()));
        sets.push(Set { name, matching });
        id
    }

    /// Any of the groups.
    pub fn requirement(&self, groups: Vec<Group<'a>>) -> Requirement {
        let sets: Vec<VersionSetId> = groups
            .into_iter()
            .map(|g| self.set(g.name, g.packages))
            .collect();
        match sets.as_slice() {
            [] => Requirement::Single(self.set("", [])),
            [one] => Requirement::Single(*one),
            _ => {
                let mut unions = self.unions.borrow_mut();
                let id = VersionSetUnionId(number(unions.len()));
                unions.push(sets);
                Requirement::Union(id)
            }
        }
    }
}

impl Interner for Provider<'_, '_> {
    type NameId = NameId;
    type SolvableId = SolvableId;

    fn display_solvable(&self, solvable: SolvableId) -> impl Display + '_ {
        let package = self.universe.package(solvable.into_raw());
        package
            .map(|p| format!("{} {}", p.name, p.version))
            .unwrap_or_default()
    }
    fn display_name(&self, name: NameId) -> impl Display + '_ {
        self.name_text(name)
    }
    fn display_version_set(&self, _: VersionSetId) -> impl Display + '_ {
        ""
    }
    fn display_string(&self, _: StringId) -> impl Display + '_ {
        ""
    }
    fn version_set_name(&self, set: VersionSetId) -> NameId {
        let sets = self.sets.borrow();
        sets.get(set.0 as usize)
            .map_or(NameId::from_raw(0), |s| s.name)
    }
    fn solvable_name(&self, solvable: SolvableId) -> NameId {
        let package = self.universe.package(solvable.into_raw());
        self.name(package.map_or("", |p| p.name))
    }
    fn version_sets_in_union(
        &self,
        union: VersionSetUnionId,
    ) -> impl Iterator<Item = VersionSetId> {
        let unions = self.unions.borrow();
        unions
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

impl DependencyProvider for Provider<'_, '_> {
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
        let fits = |c: &SolvableId| matching.contains(c) != inverse;
        candidates.iter().copied().filter(fits).collect()
    }

    async fn get_candidates(&self, name: NameId) -> Option<Candidates<SolvableId>> {
        let text = self.name_text(name);
        let all = self.universe.of_name(text).iter().copied();
        let candidates: Vec<SolvableId> = all.map(SolvableId::from_raw).collect();
        Some(Candidates {
            candidates,
            ..Candidates::default()
        })
    }

    async fn sort_candidates(&self, _: &SolverCache<Self>, solvables: &mut [SolvableId]) {
        let mut sorted: Vec<u32> = solvables.iter().map(|s| s.into_raw()).collect();
        self.universe.newest_first(&mut sorted);
        for (to, from) in solvables.iter_mut().zip(sorted) {
            *to = SolvableId::from_raw(from);
        }
    }

    async fn get_dependencies(&self, solvable: SolvableId) -> Dependencies {
        let mut known = KnownDependencies::default();
        if let Some(package) = self.universe.package(solvable.into_raw()) {
            for need in self.universe.needs(package) {
                let requirement = self.requirement(need.groups);
                known.requirements.push(requirement.into());
            }
            for (_, bad) in self.universe.forbidden(package) {
                let all = self.universe.of_name(bad.name).iter().copied();
                known
                    .constrains
                    .push(self.set(bad.name, all.filter(|i| !bad.packages.contains(i))));
            }
        }
        Dependencies::Known(known)
    }
}
