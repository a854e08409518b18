//! `ignition`: the version, and other configurations.

use super::Reading;
use super::resource::{self, Outcome};
use crate::cloudconfig::{Fields, Node};

/// Newest minor version of spec 3 that is read.
const NEWEST: u32 = 6;
/// Butane's variants whose output is for systems like this one.
const VARIANTS: &[&str] = &["fcos", "flatcar", "fiot", "r4e"];

/// Whether the version is one that is read; tells if not.
pub(super) fn version(f: &Fields<'_>, c: &mut Reading<'_, '_>) -> bool {
    if c.butane {
        return butane(f, c);
    }
    let table = f.get("ignition");
    let inner = table.and_then(|n| c.r.fields(n, "ignition", FIELDS, &[]));
    let version = inner.as_ref().and_then(|t| t.line("version", &mut c.r));
    let Some(version) = version else {
        let hint = "e.g. `{\"ignition\": {\"version\": \"3.4.0\"}}`";
        c.r.error(f.spot, "ignition.version", "not given", hint);
        return false;
    };
    let mut numbers = version
        .value
        .split(['.', '-'])
        .map(|n| n.parse::<u32>().ok());
    let why = match (numbers.next().flatten(), numbers.next().flatten()) {
        (Some(3), Some(minor)) if minor <= NEWEST => return true,
        (Some(3), Some(_)) => format!("newer than 3.{NEWEST}.0, the newest that is read"),
        (Some(1 | 2), _) => "specs 1 and 2 are not read".to_owned(),
        _ => "not a version of Ignition's".to_owned(),
    };
    let hint = match why.starts_with("specs") {
        true => "convert it, with e.g. ign-converter, to spec 3",
        false => "write `3.4.0`",
    };
    c.r.error(
        version.spot,
        "ignition.version",
        format!("not applied: {why}"),
        hint,
    );
    false
}

fn butane(f: &Fields<'_>, c: &mut Reading<'_, '_>) -> bool {
    let variant = f.line("variant", &mut c.r);
    let Some(version) = f.line("version", &mut c.r) else {
        c.r.error(f.spot, "version", "not given", "e.g. `version: 1.5.0`");
        return false;
    };
    if !version.value.starts_with("1.") {
        let why = "not applied: not a version of Butane's that is read";
        c.r.error(version.spot, "version", why, "write e.g. `version: 1.5.0`");
        return false;
    }
    match variant {
        Some(v) if VARIANTS.contains(&v.value.as_str()) => true,
        Some(v) => {
            let hint = "one of fcos, flatcar, fiot, r4e";
            c.r.error(v.spot, "variant", "not applied: not a known variant", hint);
            false
        }
        None => {
            c.r.error(f.spot, "variant", "not given", "e.g. `variant: fcos`");
            false
        }
    }
}

const FIELDS: &[&str] = &["version", "config", "timeouts", "security", "proxy"];

/// Reads the table.
pub(super) fn read(node: &Node, c: &mut Reading<'_, '_>) {
    // Unknown names in JSON's were told with the version.
    let known = match c.butane {
        true => c.r.fields(node, "ignition", FIELDS, &[]),
        false => crate::cloudconfig::Reader::default().fields(node, "ignition", FIELDS, &[]),
    };
    let Some(f) = known else {
        return;
    };
    for (name, why, hint) in [
        (
            "proxy",
            "nothing is fetched through a proxy",
            "name a server that can be reached",
        ),
        (
            "security",
            "only the system's certificate authorities are trusted while fetching",
            "use the verification hash with http, or add `ca_certs` and fetch from a unit",
        ),
    ] {
        if let Some(n) = f.get(name) {
            c.r.warn(n.spot, &f.key(name), format!("not applied: {why}"), hint);
        }
    }
    let Some(n) = f.get("config") else {
        return;
    };
    let Some(f) = c.r.fields(n, "ignition.config", &["merge", "replace"], &[]) else {
        return;
    };
    if let Some(n) = f.get("replace")
        && let Outcome::Bytes(bytes) = resource::read(n, &f.key("replace"), c)
    {
        c.replace = Some(bytes);
    }
    if let Some(n) = f.get("merge") {
        for (at, n) in c.items(n, &f.key("merge")) {
            if let Outcome::Bytes(bytes) = resource::read(n, &at, c) {
                c.merge.push(bytes);
            }
        }
    }
}
