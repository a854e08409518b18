//! systemd.network(5).

use super::super::model::{Address, Dhcp, Kind, Link, Network, Route, Rule};
use super::{File, Section};

/// Below DHCP's of cards the text does not name (1024): those it names win.
const METRIC: u32 = 100;

/// `None` where nothing is asked for.
pub(super) fn content(link: &Link, network: &Network) -> Option<String> {
    if link.kind == Kind::Loopback && link.addresses.is_empty() && link.routes.is_empty() {
        return None;
    }
    let mut file = File::new();
    file.section("Match");
    find(link, &mut file);
    let mut section = Section::new(&mut file, "Link");
    // What is made has these from its making.
    if matches!(link.kind, Kind::Card(_) | Kind::Loopback) {
        section.maybe("MTUBytes", link.mtu);
        section.maybe("MACAddress", link.mac.as_ref());
    }
    section.maybe("ActivationPolicy", link.activation);
    if link.optional || !link.has_addresses() && link.master.is_none() {
        section.set("RequiredForOnline", "no");
    }
    if link.kind != Kind::Loopback {
        addressing(link, network, &mut file);
    }
    link.addresses.iter().for_each(|a| address(a, &mut file));
    link.routes.iter().for_each(|r| route(r, &mut file));
    link.rules.iter().for_each(|r| rule(r, &mut file));
    if let Some(dhcp) = &link.dhcp4 {
        file.section("DHCPv4");
        dhcp4(dhcp, &mut file);
    }
    if let Some(dhcp) = &link.dhcp6 {
        file.section("DHCPv6");
        dhcp6(dhcp, &mut file);
    }
    let mut section = Section::new(&mut file, "IPv6AcceptRA");
    section.maybe("Token", link.token.map(|t| format!("static:{t}")));
    // DHCPv6 gives no routes: its metric is that of the routers' own.
    let metric = link
        .dhcp6
        .as_ref()
        .map(|d| d.route_metric.unwrap_or(METRIC));
    let metric = metric.or((link.accept_ra == Some(true)).then_some(METRIC));
    section.maybe("RouteMetric", metric);
    section.maybe_flag("UseDNS", link.ra.use_dns);
    section.maybe("UseDomains", link.ra.use_domains);
    section.maybe("RouteTable", link.ra.table);
    if let Some(master) = link.master.as_ref().filter(|m| m.setting == "Bridge") {
        let mut section = Section::new(&mut file, "Bridge");
        section.maybe("Cost", master.cost);
        section.maybe("Priority", master.priority);
    }
    Some(file.0)
}

fn find(link: &Link, file: &mut File) {
    let Kind::Card(card) = &link.kind else {
        let name = if link.kind == Kind::Loopback {
            "lo"
        } else {
            link.device()
        };
        return file.set("Name", name);
    };
    // Bonds and VLANs bear the addresses of their cards, but not as their own.
    file.maybe("PermanentMACAddress", card.mac.as_ref());
    if !card.drivers.is_empty() {
        file.set("Driver", card.drivers.join(" "));
    }
    let by_others = card.mac.is_some() || !card.drivers.is_empty();
    match (&card.rename, &card.name) {
        // Under both names: it may not have its new one yet.
        (Some(new), Some(old)) if card.mac.is_none() => file.set("Name", format!("{new} {old}")),
        (None, Some(name)) => file.set("Name", name),
        (None, None) if !by_others => file.set("Name", &link.id),
        _ => {}
    }
    // A pattern must not catch what is made here or by a container engine.
    let pattern = |n: &String| n.contains(['*', '?', '[']);
    if card.mac.is_none()
        && card.rename.is_none()
        && card.name.as_ref().is_none_or(pattern)
        && (card.name.is_some() || by_others)
    {
        file.set("Kind", "!*");
        file.set("Type", "ether");
    }
}

fn addressing(link: &Link, network: &Network, file: &mut File) {
    file.section("Network");
    let in_vrf = |s: &str| s == "VRF";
    let member = link.master.as_ref().filter(|m| !in_vrf(m.setting));
    if let Some(master) = &link.master {
        let device = network
            .links
            .iter()
            .find(|l| l.id == master.id)
            .map_or(&*master.id, Link::device);
        file.set(master.setting, device);
        if master.primary {
            file.flag("PrimarySlave", true);
        }
    }
    let dhcp = match (link.dhcp4.is_some(), link.dhcp6.is_some()) {
        (true, true) => "yes",
        (true, false) => "ipv4",
        (false, true) => "ipv6",
        (false, false) => "no",
    };
    file.set("DHCP", dhcp);
    let local = match (link.link_local, member) {
        (Some(l), _) => match (l.ipv4, l.ipv6) {
            (true, true) => "yes",
            (true, false) => "ipv4",
            (false, true) => "ipv6",
            (false, false) => "no",
        },
        (None, Some(_)) => "no",
        (None, None) => "ipv6",
    };
    file.set("LinkLocalAddressing", local);
    let accept = if member.is_some() {
        Some(false)
    } else {
        link.accept_ra
    };
    file.maybe_flag("IPv6AcceptRA", accept);
    if member.is_none() {
        file.flag("IPv6PrivacyExtensions", link.privacy);
        file.flag("LLMNR", false);
    }
    file.maybe(
        "IPv6LinkLocalAddressGenerationMode",
        link.address_generation,
    );
    file.maybe("IPv6MTUBytes", link.ipv6_mtu);
    if link.emit_lldp {
        file.flag("EmitLLDP", true);
    }
    let made = !matches!(link.kind, Kind::Card(_));
    if link.ignore_carrier || made && !matches!(link.kind, Kind::Vlan { .. }) {
        file.flag("ConfigureWithoutCarrier", true);
    }
    if link.critical {
        file.flag("KeepConfiguration", true);
    }
    for vlan in &network.links {
        if matches!(&vlan.kind, Kind::Vlan { parent, .. } if *parent == link.id) {
            file.set("VLAN", vlan.device());
        }
    }
    dns(link, file);
}

fn dns(link: &Link, file: &mut File) {
    for server in &link.dns.servers {
        file.set("DNS", server);
    }
    if !link.dns.search.is_empty() {
        file.set("Domains", link.dns.search.join(" "));
    }
}

fn address(a: &Address, file: &mut File) {
    file.section("Address");
    file.set("Address", a.cidr);
    let bits = if a.cidr.ip.is_ipv4() { 32 } else { 128 };
    file.maybe("Peer", a.peer.map(|p| format!("{p}/{bits}")));
    file.maybe("Broadcast", a.broadcast);
    file.maybe("Label", a.label.as_ref());
    if a.deprecated {
        file.set("PreferredLifetime", 0);
    }
}

fn route(r: &Route, file: &mut File) {
    file.section("Route");
    file.set("Destination", r.to);
    file.maybe("Gateway", r.via);
    if r.on_link && r.via.is_some() {
        file.flag("GatewayOnLink", true);
    }
    file.maybe("PreferredSource", r.from);
    file.maybe("Metric", r.metric);
    file.maybe("Table", r.table);
    file.maybe("Type", r.kind);
    file.maybe("Scope", r.scope);
    file.maybe("MTUBytes", r.mtu);
    file.maybe("InitialCongestionWindow", r.congestion_window);
    file.maybe("InitialAdvertisedReceiveWindow", r.receive_window);
    file.maybe("TCPAdvertisedMaximumSegmentSize", r.mss);
}

fn rule(r: &Rule, file: &mut File) {
    file.section("RoutingPolicyRule");
    if r.from.is_none() && r.to.is_none() {
        file.set("Family", "both");
    }
    file.maybe("From", r.from);
    file.maybe("To", r.to);
    file.maybe("Table", r.table);
    file.maybe("Priority", r.priority);
    file.maybe("FirewallMark", r.mark);
    file.maybe("TypeOfService", r.tos);
}

/// Where nothing is said, as the image's own DHCP: the identity too, or the
/// address would change when this file appears.
fn dhcp4(d: &Dhcp, file: &mut File) {
    file.set("ClientIdentifier", d.identifier.unwrap_or("mac"));
    file.flag("UseMTU", d.use_mtu.unwrap_or(true));
    file.set("UseDomains", d.use_domains.unwrap_or("yes"));
    file.flag("UseHostname", d.use_hostname.unwrap_or(false));
    file.set("RouteMetric", d.route_metric.unwrap_or(METRIC));
    file.maybe_flag("UseDNS", d.use_dns);
    file.maybe_flag("UseNTP", d.use_ntp);
    file.maybe_flag("UseRoutes", d.use_routes);
    file.maybe_flag("SendHostname", d.send_hostname);
    file.maybe("Hostname", d.hostname.as_ref());
}

fn dhcp6(d: &Dhcp, file: &mut File) {
    file.set("UseDomains", d.use_domains.unwrap_or("yes"));
    file.flag("UseHostname", d.use_hostname.unwrap_or(false));
    file.maybe_flag("UseDNS", d.use_dns);
    file.maybe_flag("UseNTP", d.use_ntp);
    file.maybe_flag("SendHostname", d.send_hostname);
    file.maybe("Hostname", d.hostname.as_ref());
}
