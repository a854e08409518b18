//! Parameters of bonds and bridges.

use super::super::bond::{self, BondOption};
use super::super::model::Setting;
use super::super::value::{entries, get, number, read as value};
use crate::cloudconfig::read::{Fields, Reader};
use std::collections::BTreeMap;

/// Options of a bond, and its preferred member.
pub(super) fn bond(fields: &Fields<'_>, r: &mut Reader) -> (Vec<Setting>, Option<String>) {
    let mut settings = Vec::new();
    let mut primary = None;
    let Some(table) = parameters(fields, r, bond::BOND_NAMES) else {
        return (settings, primary);
    };
    for name in bond::BOND_NAMES {
        let option = if *name == "arp_ip_targets" {
            let ips = super::words(&table, r, name, super::super::value::ip);
            let ips: Vec<String> = ips.iter().map(ToString::to_string).collect();
            (!ips.is_empty()).then(|| BondOption::Setting(("ARPIPTargets", ips.join(" "))))
        } else {
            get(&table, r, name, |text| {
                bond::bond(name, text).unwrap_or(Ok(BondOption::Moot))
            })
        };
        match option {
            Some(BondOption::Setting(setting)) => settings.push(setting),
            Some(BondOption::Primary(id)) => primary = Some(id),
            _ => {}
        }
    }
    (settings, primary)
}

/// Options of a bridge, and those of its ports by their ids.
#[derive(Default)]
pub(super) struct Bridge {
    pub settings: Vec<Setting>,
    pub costs: BTreeMap<String, u32>,
    pub priorities: BTreeMap<String, u32>,
}

pub(super) fn bridge(fields: &Fields<'_>, r: &mut Reader) -> Bridge {
    let mut out = Bridge::default();
    let Some(table) = parameters(fields, r, bond::BRIDGE_NAMES) else {
        return out;
    };
    for name in bond::BRIDGE_NAMES {
        let setting = match *name {
            "path_cost" | "port_priority" => continue,
            _ => get(&table, r, name, |text| {
                bond::bridge(name, text).unwrap_or_else(|| Err((String::new(), "")))
            }),
        };
        out.settings.extend(setting);
    }
    out.costs = ports(&table, r, "path_cost", 65_535);
    out.priorities = ports(&table, r, "port_priority", 63);
    out
}

fn parameters<'a>(fields: &Fields<'a>, r: &mut Reader, known: &[&str]) -> Option<Fields<'a>> {
    r.fields(
        fields.get("parameters")?,
        &fields.key("parameters"),
        known,
        &[],
    )
}

fn ports(table: &Fields<'_>, r: &mut Reader, key: &str, max: u32) -> BTreeMap<String, u32> {
    let path = table.key(key);
    let Some(node) = table.get(key) else {
        return BTreeMap::new();
    };
    entries(r, node, &path)
        .into_iter()
        .filter_map(|(port, _, node)| {
            let number = value(r, node, &format!("{path}.{port}"), number(0, max))?;
            Some((port, number))
        })
        .collect()
}
