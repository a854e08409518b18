//! `systemd`: units with drop-ins.

use super::Reading;
use crate::cloudconfig::{At, DropIn, Node, Unit, Verb, is_file_name, is_unit_name};
use crate::plan::literal;

const UNIT: &[&str] = &[
    "name",
    "enabled",
    "mask",
    "contents",
    "contents_local",
    "dropins",
];
const DROP_IN: &[&str] = &["name", "contents", "contents_local"];

/// Reads the table.
pub(super) fn read(node: &Node, c: &mut Reading<'_, '_>) {
    let Some(f) = c.r.fields(node, "systemd", &["units"], &[]) else {
        return;
    };
    let Some(n) = f.get("units") else {
        return;
    };
    for (at, n) in c.items(n, &f.key("units")) {
        if let Some(unit) = unit(n, &at, c) {
            c.config.units.push(unit);
        }
    }
}

fn unit(node: &Node, at: &str, c: &mut Reading<'_, '_>) -> Option<At<Unit>> {
    let f = c.r.fields(node, at, UNIT, &[])?;
    let Some(name) = f.line("name", &mut c.r) else {
        c.r.error(f.spot, at, "a unit needs a `name`", "");
        return None;
    };
    if !is_unit_name(&name.value) {
        let hint = "a word with a type at its end, e.g. `es.service`";
        c.r.error(name.spot, &f.key("name"), "not a unit name", hint);
        return None;
    }
    let mut unit = Unit::named(name.value, name.spot);
    if let Some(n) = f.get("contents_local") {
        let hint = "write the text with `contents`";
        let why = "a file that only Butane can read, where it runs";
        c.unsupported(n.spot, &f.key("contents_local"), why, hint);
        return None;
    }
    if let Some(n) = f.get("contents") {
        let text = c.r.string(n, &f.key("contents"))?.value;
        unit.content = Some(literal(&text)).filter(|t| !t.is_empty());
    }
    unit.mask = f.boolean("mask", &mut c.r).unwrap_or(false);
    match f.boolean("enabled", &mut c.r) {
        // Ignition enables before systemd starts, and systemd starts what is enabled.
        Some(true) => {
            unit.enable = true;
            unit.command = Some(Verb::Start);
        }
        Some(false) => unit.disable = true,
        None => {}
    }
    if let Some(n) = f.get("dropins") {
        for (at, n) in c.items(n, &f.key("dropins")) {
            if let Some(drop_in) = drop_in(n, &at, c) {
                unit.drop_ins.push(drop_in);
            }
        }
    }
    Some(At {
        spot: f.spot,
        value: unit,
    })
}

fn drop_in(node: &Node, at: &str, c: &mut Reading<'_, '_>) -> Option<At<DropIn>> {
    let f = c.r.fields(node, at, DROP_IN, &[])?;
    let Some(name) = f.line("name", &mut c.r) else {
        c.r.error(f.spot, at, "a drop-in needs a `name`", "");
        return None;
    };
    if !is_file_name(&name.value) || !name.value.ends_with(".conf") {
        let hint = "a file name that ends in `.conf`";
        c.r.error(name.spot, &f.key("name"), "not the name of a drop-in", hint);
        return None;
    }
    if let Some(n) = f.get("contents_local") {
        let hint = "write the text with `contents`";
        let why = "a file that only Butane can read, where it runs";
        c.unsupported(n.spot, &f.key("contents_local"), why, hint);
        return None;
    }
    let content = match f.get("contents") {
        Some(n) => literal(&c.r.string(n, &f.key("contents"))?.value),
        None => String::new(),
    };
    Some(At {
        spot: f.spot,
        value: DropIn {
            name: name.value,
            content,
        },
    })
}
