//! From what was asked for to a consistent set of packages.
//!
//! Rules: `Depends` and `Pre-Depends` must hold, `Conflicts` and `Breaks` must
//! not; no `Recommends`, no implied essential packages. Excluded packages count as
//! installed: they are never chosen and what needs them is content. The highest version and
//! the first alternative win unless that leads nowhere. The answer depends on
//! nothing but the input.

mod explain;
mod provider;
mod universe;

use resolvo::{Problem, SolvableId, Solver};

use super::lock::{LockedPackage, Pocket};
use super::packages::Package;
use super::release::{is_sha256, suite_name};
use crate::error::{Error, Result};
use explain::{Wanted, explain};
use provider::Provider;
use universe::{Group, Universe};

/// Changes when the same input may give another answer, so that remembered
/// answers are not used.
pub(crate) const REVISION: u32 = 2;

/// One requested package: `name`, `name=version` or `name/suite`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Request<'a> {
    pub name: &'a str,
    pub version: Option<&'a str>,
    pub pocket: Option<Pocket>,
}

impl<'a> Request<'a> {
    /// Reads one request. The suite may be a full name (`trixie-security`) or a
    /// pocket's (`security`).
    pub fn parse(text: &'a str, suite: &str) -> Result<Self> {
        let (name, version, place) = match (text.split_once('='), text.split_once('/')) {
            (Some((name, version)), _) => (name, Some(version), None),
            (None, Some((name, place))) => (name, None, Some(place)),
            (None, None) => (text, None, None),
        };
        let pocket = match place {
            None => None,
            Some(place) => Some(
                [Pocket::Main, Pocket::Updates, Pocket::Security]
                    .into_iter()
                    .find(|p| suite_name(suite, *p) == place || short(*p) == place)
                    .ok_or_else(|| {
                        Error::input(format!(
                            "package `{text}` asks for the unknown suite `{place}`"
                        ))
                        .hint(format!("use {suite}, {suite}-updates or {suite}-security"))
                    })?,
            ),
        };
        let clean = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "+-.".contains(c);
        if name.is_empty() || !name.chars().all(clean) || version == Some("") {
            return Err(Error::input(format!("`{text}` is not a package"))
                .hint("write NAME, NAME=VERSION or NAME/SUITE; names have lower-case letters, digits, + - ."));
        }
        Ok(Request {
            name,
            version,
            pocket,
        })
    }
}

fn short(pocket: Pocket) -> &'static str {
    match pocket {
        Pocket::Main => "main",
        Pocket::Updates => "updates",
        Pocket::Security => "security",
    }
}

/// Chooses packages, sorted by name.
pub(crate) fn solve(
    packages: &[Package<'_>],
    suite: &str,
    architecture: &str,
    requested: &[String],
    exclude: &[String],
) -> Result<Vec<LockedPackage>> {
    let universe = Universe::new(packages, architecture, exclude);
    let mut wanted = Vec::with_capacity(requested.len());
    for text in requested {
        let packages = universe.request(text, Request::parse(text, suite)?, suite)?;
        wanted.push(Wanted { text, packages });
    }
    let Some(mut chosen) = attempt(&universe, &wanted) else {
        return Err(explain(&universe, &core(&universe, wanted)));
    };
    chosen.sort_by_key(|id| packages.get(id.into_raw() as usize).map(|p| p.name));
    chosen
        .iter()
        .filter_map(|id| packages.get(id.into_raw() as usize))
        .map(locked)
        .collect()
}

fn attempt(universe: &Universe<'_>, wanted: &[Wanted<'_>]) -> Option<Vec<SolvableId>> {
    let provider = Provider::new(universe);
    let requirement = |w: &Wanted<'_>| {
        let name = w
            .packages
            .first()
            .and_then(|i| universe.package(*i))
            .map_or("", |p| p.name);
        provider
            .requirement(vec![Group {
                name,
                packages: w.packages.clone(),
            }])
            .into()
    };
    let requirements = wanted.iter().map(requirement).collect();
    Solver::new(provider)
        .solve(Problem::new().requirements(requirements))
        .ok()
}

/// Leaves requests out while the rest is still unsatisfiable.
fn core<'t>(universe: &Universe<'_>, mut wanted: Vec<Wanted<'t>>) -> Vec<Wanted<'t>> {
    let mut at = 0;
    while at < wanted.len() {
        let left_out = wanted.remove(at);
        if attempt(universe, &wanted).is_some() {
            wanted.insert(at, left_out);
            at += 1;
        }
    }
    wanted
}

fn locked(p: &Package<'_>) -> Result<LockedPackage> {
    let size = p.size.parse().ok().filter(|_| is_sha256(p.sha256));
    let size = size.ok_or_else(|| {
        Error::refused(format!(
            "the index has no size and SHA-256 for {} {}",
            p.name, p.version
        ))
    })?;
    Ok(LockedPackage {
        name: p.name.to_string(),
        version: p.version.to_string(),
        architecture: p.architecture.to_string(),
        source: p.source.to_string(),
        pocket: p.pocket,
        path: p.filename.to_string(),
        size,
        sha256: p.sha256.to_string(),
    })
}

#[cfg(test)]
mod tests;
