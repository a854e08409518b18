//! What every kind of link may say.

use super::super::model::{Address, Dhcp, Dns, Link, LinkLocal};
use super::super::value::{
    cidr, count, domain, flag, get, ip, label, mac, mtu, one_of, read as value, words,
};
use super::route;
use crate::cloudconfig::node::{Kind, Node};
use crate::cloudconfig::read::{Fields, Reader};

/// Keys of every kind of link.
pub(super) const KEYS: &[&str] = &[
    "renderer",
    "dhcp4",
    "dhcp6",
    "dhcp_identifier",
    "dhcp4_overrides",
    "dhcp6_overrides",
    "accept_ra",
    "ra_overrides",
    "addresses",
    "gateway4",
    "gateway6",
    "nameservers",
    "macaddress",
    "mtu",
    "ipv6_mtu",
    "ipv6_privacy",
    "ipv6_address_generation",
    "ipv6_address_token",
    "link_local",
    "optional",
    "optional_addresses",
    "ignore_carrier",
    "critical",
    "emit_lldp",
    "activation_mode",
    "routes",
    "routing_policy",
];
/// Understood, for other networks than a cloud's.
pub(super) const LATER: &[&str] = &[
    "auth",
    "openvswitch",
    "networkmanager",
    "neigh_suppress",
    "hairpin",
    "port_mac_learning",
    "virtual_function_count",
    "embedded_switch_mode",
    "delay_virtual_functions_rebind",
    "infiniband_mode",
    "link",
];

/// Values of networkd's UseDomains.
const DOMAINS: &[(&str, &str)] = &[
    ("true", "yes"),
    ("yes", "yes"),
    ("false", "no"),
    ("no", "no"),
    ("route", "route"),
];

pub(super) fn read(link: &mut Link, fields: &Fields<'_>, r: &mut Reader) {
    if dhcp_is_on(fields, r, "dhcp4", link) {
        let mut dhcp = overrides(fields, r, "dhcp4_overrides");
        const NAMES: &[(&str, &str)] = &[("mac", "mac"), ("duid", "duid")];
        dhcp.identifier = get(fields, r, "dhcp_identifier", one_of(NAMES));
        link.dhcp4 = Some(dhcp);
    }
    if dhcp_is_on(fields, r, "dhcp6", link) {
        link.dhcp6 = Some(overrides(fields, r, "dhcp6_overrides"));
    }
    link.accept_ra = flag(fields, r, "accept_ra");
    if let Some(node) = fields.get("ra_overrides")
        && let Some(ra) = r.fields(
            node,
            &fields.key("ra_overrides"),
            &["use_dns", "use_domains", "table"],
            &[],
        )
    {
        link.ra.use_dns = flag(&ra, r, "use_dns");
        link.ra.use_domains = get(&ra, r, "use_domains", one_of(DOMAINS));
        link.ra.table = get(&ra, r, "table", count);
    }
    addresses(link, fields, r);
    for (key, ipv4) in [("gateway4", true), ("gateway6", false)] {
        let family = |text: &str| {
            ip(text).and_then(|a| {
                if a.is_ipv4() == ipv4 {
                    return Ok(a);
                }
                let what = format!("{a} is of the other family");
                Err((what, "use `routes` with `to: default`"))
            })
        };
        if let Some(via) = get(fields, r, key, family) {
            link.add_gateway(via, None);
        }
    }
    if let Some(node) = fields.get("nameservers")
        && let Some(table) = r.fields(
            node,
            &fields.key("nameservers"),
            &["addresses", "search"],
            &[],
        )
    {
        link.dns = Dns {
            servers: words(&table, r, "addresses", ip),
            search: words(&table, r, "search", domain),
        };
    }
    // cloud-init's templates may say `permanent` and the like; those need other hardware.
    link.mac = get(fields, r, "macaddress", mac);
    link.mtu = get(fields, r, "mtu", mtu);
    link.ipv6_mtu = get(fields, r, "ipv6_mtu", mtu);
    link.privacy = flag(fields, r, "ipv6_privacy").unwrap_or_default();
    const GENERATION: &[(&str, &str)] = &[("eui64", "eui64"), ("stable-privacy", "stable-privacy")];
    link.address_generation = get(fields, r, "ipv6_address_generation", one_of(GENERATION));
    link.token = get(fields, r, "ipv6_address_token", ip);
    link_local(link, fields, r);
    link.optional = flag(fields, r, "optional").unwrap_or_default();
    link.ignore_carrier = flag(fields, r, "ignore_carrier").unwrap_or_default();
    link.critical = flag(fields, r, "critical").unwrap_or_default();
    link.emit_lldp = flag(fields, r, "emit_lldp").unwrap_or_default();
    const ACTIVATION: &[(&str, &str)] = &[("manual", "manual"), ("off", "always-down")];
    link.activation = get(fields, r, "activation_mode", one_of(ACTIVATION));
    if let Some(node) = fields.get("routes") {
        link.routes
            .extend(route::routes(node, &fields.key("routes"), r));
    }
    if let Some(node) = fields.get("routing_policy") {
        link.rules = route::rules(node, &fields.key("routing_policy"), r);
    }
}

fn dhcp_is_on(fields: &Fields<'_>, r: &mut Reader, key: &str, link: &mut Link) -> bool {
    let said = flag(fields, r, key);
    link.damaged |= fields.get(key).is_some() && said.is_none();
    said.unwrap_or_default()
}

fn overrides(fields: &Fields<'_>, r: &mut Reader, key: &str) -> Dhcp {
    let known = [
        "use_dns",
        "use_ntp",
        "send_hostname",
        "use_hostname",
        "use_mtu",
        "hostname",
        "use_routes",
        "route_metric",
        "use_domains",
    ];
    let table = fields
        .get(key)
        .and_then(|node| r.fields(node, &fields.key(key), &known, &[]));
    let Some(t) = table else {
        return Dhcp::default();
    };
    Dhcp {
        use_dns: flag(&t, r, "use_dns"),
        use_ntp: flag(&t, r, "use_ntp"),
        send_hostname: flag(&t, r, "send_hostname"),
        use_hostname: flag(&t, r, "use_hostname"),
        use_mtu: flag(&t, r, "use_mtu"),
        hostname: get(&t, r, "hostname", domain),
        use_routes: flag(&t, r, "use_routes"),
        route_metric: get(&t, r, "route_metric", count),
        use_domains: get(&t, r, "use_domains", one_of(DOMAINS)),
        identifier: None,
    }
}

/// `10.0.0.2/24`, or `10.0.0.2/24: {label: .., lifetime: 0}`.
fn addresses(link: &mut Link, fields: &Fields<'_>, r: &mut Reader) {
    let Some(node) = fields.get("addresses") else {
        return;
    };
    let path = fields.key("addresses");
    for (i, item) in r.list(node, &path).iter().enumerate() {
        let path = format!("{path}[{i}]");
        let address = match &item.kind {
            Kind::Map(entries) => match &entries[..] {
                [(key, more)] => value(r, key, &path, cidr).map(|c| (c, key, Some(more))),
                _ => {
                    let what = "expected one address with a colon after it";
                    r.error(item.spot, &path, what, "such as `10.0.0.2/24: {label: a}`");
                    None
                }
            },
            _ => value(r, item, &path, cidr).map(|c| (c, item, None)),
        };
        let Some((cidr, at, more)) = address else {
            link.damaged = true;
            continue;
        };
        let mut address = Address::from(cidr);
        if !has_length(at) {
            let what = "an address without a prefix length stands for itself alone";
            r.warn(at.spot, &path, what, "write it out, such as 10.0.0.2/24");
        }
        if let Some(more) = more.filter(|m| !m.is_null())
            && let Some(t) = r.fields(more, &path, &["lifetime", "label"], &[])
        {
            address.label = get(&t, r, "label", label);
            const LIFETIME: &[(&str, &str)] = &[("0", "0"), ("forever", "forever")];
            address.deprecated = get(&t, r, "lifetime", one_of(LIFETIME)) == Some("0");
        }
        link.addresses.push(address);
    }
    link.damaged |= link.addresses.is_empty() && !matches!(node.kind, Kind::Seq(_));
}

fn has_length(node: &Node) -> bool {
    matches!(&node.kind, Kind::Scalar { text, .. } if text.contains('/'))
}

fn link_local(link: &mut Link, fields: &Fields<'_>, r: &mut Reader) {
    if let Some(node) = fields.get("link_local") {
        const NAMES: &[(&str, &str)] = &[("ipv4", "ipv4"), ("ipv6", "ipv6")];
        let named = words(fields, r, "link_local", one_of(NAMES));
        // Something unreadable leaves the default.
        let empty = matches!(&node.kind, Kind::Seq(items) if items.is_empty());
        if empty || !named.is_empty() {
            link.link_local = Some(LinkLocal {
                ipv4: named.contains(&"ipv4"),
                ipv6: named.contains(&"ipv6"),
            });
        }
    }
}
