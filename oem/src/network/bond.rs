//! Options of bonds and bridges under all the names formats have for them:
//! the kernel's, ifupdown's (`bond-` in front), netplan's.

use super::model::Setting;
use super::value::{Value, number, one_of, split};
use crate::cloudconfig::read::shorten;

type Names = &'static [(&'static str, &'static str)];

const MODE: Names = &[
    ("balance-rr", "balance-rr"),
    ("active-backup", "active-backup"),
    ("balance-xor", "balance-xor"),
    ("broadcast", "broadcast"),
    ("802.3ad", "802.3ad"),
    ("balance-tlb", "balance-tlb"),
    ("balance-alb", "balance-alb"),
    ("0", "balance-rr"),
    ("1", "active-backup"),
    ("2", "balance-xor"),
    ("3", "broadcast"),
    ("4", "802.3ad"),
    ("5", "balance-tlb"),
    ("6", "balance-alb"),
];
const RATE: Names = &[
    ("slow", "slow"),
    ("fast", "fast"),
    ("0", "slow"),
    ("1", "fast"),
];
const HASH: Names = &[
    ("layer2", "layer2"),
    ("layer3+4", "layer3+4"),
    ("layer2+3", "layer2+3"),
    ("encap2+3", "encap2+3"),
    ("encap3+4", "encap3+4"),
    ("0", "layer2"),
    ("1", "layer3+4"),
    ("2", "layer2+3"),
    ("3", "encap2+3"),
    ("4", "encap3+4"),
];
const SELECT: Names = &[
    ("stable", "stable"),
    ("bandwidth", "bandwidth"),
    ("count", "count"),
    ("0", "stable"),
    ("1", "bandwidth"),
    ("2", "count"),
];
const ARP_VALIDATE: Names = &[
    ("none", "none"),
    ("active", "active"),
    ("backup", "backup"),
    ("all", "all"),
    ("0", "none"),
    ("1", "active"),
    ("2", "backup"),
    ("3", "all"),
];
const ARP_ALL: Names = &[("any", "any"), ("all", "all"), ("0", "any"), ("1", "all")];
const FAIL_OVER: Names = &[
    ("none", "none"),
    ("active", "active"),
    ("follow", "follow"),
    ("0", "none"),
    ("1", "active"),
    ("2", "follow"),
];
const RESELECT: Names = &[
    ("always", "always"),
    ("better", "better"),
    ("failure", "failure"),
    ("0", "always"),
    ("1", "better"),
    ("2", "failure"),
];
const BOOLEAN: Names = &[
    ("true", "yes"),
    ("yes", "yes"),
    ("on", "yes"),
    ("1", "yes"),
    ("false", "no"),
    ("no", "no"),
    ("off", "no"),
    ("0", "no"),
];

/// An option of a bond.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum BondOption {
    /// As networkd has it.
    Setting(Setting),
    /// The preferred member.
    Primary(String),
    /// Something that has no meaning here.
    Moot,
}

/// Names for suggestions, as netplan spells them.
pub(super) const BOND_NAMES: &[&str] = &[
    "mode",
    "lacp_rate",
    "mii_monitor_interval",
    "min_links",
    "transmit_hash_policy",
    "ad_select",
    "all_members_active",
    "all_slaves_active",
    "arp_interval",
    "arp_ip_targets",
    "arp_validate",
    "arp_all_targets",
    "up_delay",
    "down_delay",
    "fail_over_mac_policy",
    "gratuitous_arp",
    "gratuitious_arp",
    "packets_per_member",
    "packets_per_slave",
    "primary_reselect_policy",
    "resend_igmp",
    "learn_packet_interval",
    "primary",
];

/// The kernel's own, where they are others.
pub(super) const KERNEL_NAMES: &[&str] = &[
    "miimon",
    "xmit_hash_policy",
    "updelay",
    "downdelay",
    "arp_ip_target",
    "fail_over_mac",
    "num_grat_arp",
    "primary_reselect",
    "lp_interval",
    "tlb_dynamic_lb",
];

/// Reads an option by any of its names (`-` as `_`, no `bond_`); `None` when
/// there is no such option.
pub(super) fn bond(name: &str, text: &str) -> Option<Value<BondOption>> {
    let set = |key: &'static str, value: Value<String>| {
        Some(value.map(|v| BondOption::Setting((key, v))))
    };
    let word = |names: Names| one_of(names)(text).map(str::to_owned);
    let upto = |max: u32| number(0, max)(text).map(|n| n.to_string());
    match name {
        "mode" => set("Mode", word(MODE)),
        "lacp_rate" => set("LACPTransmitRate", word(RATE)),
        "miimon" | "mii_monitor_interval" => set("MIIMonitorSec", milliseconds(text)),
        "min_links" => set("MinLinks", upto(65_535)),
        "xmit_hash_policy" | "transmit_hash_policy" => set("TransmitHashPolicy", word(HASH)),
        "ad_select" => set("AdSelect", word(SELECT)),
        "all_slaves_active" | "all_members_active" => set("AllSlavesActive", word(BOOLEAN)),
        "arp_interval" => set("ARPIntervalSec", milliseconds(text)),
        "arp_ip_target" | "arp_ip_targets" => set("ARPIPTargets", targets(text)),
        "arp_validate" => set("ARPValidate", word(ARP_VALIDATE)),
        "arp_all_targets" => set("ARPAllTargets", word(ARP_ALL)),
        "updelay" | "up_delay" => set("UpDelaySec", milliseconds(text)),
        "downdelay" | "down_delay" => set("DownDelaySec", milliseconds(text)),
        "fail_over_mac" | "fail_over_mac_policy" => set("FailOverMACPolicy", word(FAIL_OVER)),
        "num_grat_arp" | "num_unsol_na" | "gratuitous_arp" | "gratuitious_arp" => {
            set("GratuitousARP", upto(255))
        }
        "packets_per_slave" | "packets_per_member" => set("PacketsPerSlave", upto(65_535)),
        "primary_reselect" | "primary_reselect_policy" => {
            set("PrimaryReselectPolicy", word(RESELECT))
        }
        "resend_igmp" => set("ResendIGMP", upto(255)),
        "lp_interval" | "learn_packet_interval" => set("LearnPacketIntervalSec", seconds(text)),
        "tlb_dynamic_lb" => set("DynamicTransmitLoadBalancing", word(BOOLEAN)),
        "primary" => Some(super::value::id(text).map(BondOption::Primary)),
        "use_carrier" => Some(Ok(BondOption::Moot)),
        _ => None,
    }
}

/// Names of a bridge's options, netplan's.
pub(super) const BRIDGE_NAMES: &[&str] = &[
    "ageing_time",
    "aging_time",
    "priority",
    "forward_delay",
    "hello_time",
    "max_age",
    "stp",
    "path_cost",
    "port_priority",
];

/// Reads an option of a bridge by any of its names (`-` as `_`, no `bridge_`);
/// `None` when there is no such option.
pub(super) fn bridge(name: &str, text: &str) -> Option<Value<Setting>> {
    let set = |key: &'static str, value: Value<String>| Some(value.map(|v| (key, v)));
    match name {
        "stp" => set("STP", one_of(BOOLEAN)(text).map(str::to_owned)),
        "forward_delay" | "fd" => set("ForwardDelaySec", seconds(text)),
        "hello_time" | "hello" => set("HelloTimeSec", seconds(text)),
        "max_age" | "maxage" => set("MaxAgeSec", seconds(text)),
        "ageing_time" | "aging_time" | "ageing" => set("AgeingTimeSec", seconds(text)),
        "priority" | "bridgeprio" => {
            set("Priority", number(0, 65_535)(text).map(|n| n.to_string()))
        }
        "vlan_aware" => set("VLANFiltering", one_of(BOOLEAN)(text).map(str::to_owned)),
        _ => None,
    }
}

/// A time; a number alone is milliseconds.
fn milliseconds(text: &str) -> Value<String> {
    time(text, "ms")
}

/// A time; a number alone is seconds.
fn seconds(text: &str) -> Value<String> {
    time(text, "s")
}

fn time(text: &str, unit: &'static str) -> Value<String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let suffix = &text[digits.len()..];
    let short = !digits.is_empty() && digits.len() <= 9;
    let numeric = digits.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    let whole = digits.bytes().filter(|b| *b == b'.').count() <= 1 && !digits.starts_with('.');
    if short && numeric && whole && matches!(suffix, "" | "ms" | "s" | "min") {
        let suffix = if suffix.is_empty() { unit } else { suffix };
        return Ok(format!("{}{suffix}", digits.trim_end_matches('.')));
    }
    let hint = if unit == "s" {
        "a number of seconds, or with a unit: 15, 15s, 500ms"
    } else {
        "a number of milliseconds, or with a unit: 100, 100ms, 1s"
    };
    Err((format!("{:?} is not a time", shorten(text)), hint))
}

fn targets(text: &str) -> Value<String> {
    let ips = split(text)
        .map(super::value::ip)
        .collect::<Value<Vec<_>>>()?;
    let ips: Vec<String> = ips.iter().map(ToString::to_string).collect();
    Ok(ips.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_for_suggestions_is_understood() {
        for name in BOND_NAMES.iter().chain(KERNEL_NAMES) {
            assert!(bond(name, "1").is_some(), "{name}");
        }
        for name in BRIDGE_NAMES {
            let of_ports = matches!(*name, "path_cost" | "port_priority");
            assert!(of_ports || bridge(name, "1").is_some(), "{name}");
        }
    }

    #[test]
    fn times_have_units() {
        assert_eq!(milliseconds("100").unwrap(), "100ms");
        assert_eq!(seconds("1.5").unwrap(), "1.5s");
        assert_eq!(milliseconds("1s").unwrap(), "1s");
        for bad in ["", "s", "1 s", "-1", "1h", "1.2.3", "9999999999", "é"] {
            assert!(milliseconds(bad).is_err(), "{bad}");
        }
    }
}
