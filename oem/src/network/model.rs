//! What every format says, in one shape. Values are checked: whatever is in
//! here may be written to a unit file as it is.

use crate::cloudconfig::Spot;
use std::fmt;
use std::net::IpAddr;

/// A whole network configuration.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Network {
    /// Links in the order written.
    pub links: Vec<Link>,
    /// Name servers of no link in particular.
    pub dns: Dns,
    /// Routes of no link in particular.
    pub routes: Vec<Route>,
    /// Who belongs to what, where masters name their members.
    pub members: Vec<Member>,
}

/// A membership as a master tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Id of the member.
    pub id: String,
    /// To what it belongs.
    pub master: Master,
    /// Where that was said.
    pub spot: Spot,
}

impl Network {
    /// Sets down a membership.
    pub fn enslave(&mut self, member: &str, master: Master, spot: Spot) {
        self.members.push(Member {
            id: member.to_owned(),
            master,
            spot,
        });
    }
}

/// One network interface, there already or to be made.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Link {
    /// Name in the text; that of the interface too, where the kind makes one.
    pub id: String,
    /// Where it is in the text.
    pub spot: Spot,
    /// What it is.
    pub kind: Kind,
    /// Name of the interface where it is not the id.
    pub device: Option<String>,
    /// Hardware address to set.
    pub mac: Option<String>,
    /// Largest packet, in bytes.
    pub mtu: Option<u32>,
    /// The same for IPv6 alone.
    pub ipv6_mtu: Option<u32>,
    /// DHCPv4, when asked for.
    pub dhcp4: Option<Dhcp>,
    /// DHCPv6, when asked for.
    pub dhcp6: Option<Dhcp>,
    /// Whether to listen to router advertisements; unset leaves it to networkd.
    pub accept_ra: Option<bool>,
    /// What to take from router advertisements.
    pub ra: Ra,
    /// Link-local addresses; unset is IPv6 alone.
    pub link_local: Option<LinkLocal>,
    /// IPv6 privacy extensions.
    pub privacy: bool,
    /// How IPv6 link-local addresses are made: a value of networkd's setting.
    pub address_generation: Option<&'static str>,
    /// Lower half of IPv6 addresses made from advertised prefixes.
    pub token: Option<IpAddr>,
    /// Static addresses.
    pub addresses: Vec<Address>,
    /// Routes.
    pub routes: Vec<Route>,
    /// Routing policy rules.
    pub rules: Vec<Rule>,
    /// Name servers and search domains.
    pub dns: Dns,
    /// Whether nothing should wait for it.
    pub optional: bool,
    /// Configured even without a carrier.
    pub ignore_carrier: bool,
    /// Addresses stay when DHCP or networkd goes away.
    pub critical: bool,
    /// Whether LLDP packets are sent.
    pub emit_lldp: bool,
    /// Who brings it up: a value of networkd's ActivationPolicy.
    pub activation: Option<&'static str>,
    /// The bond, bridge or VRF it belongs to.
    pub master: Option<Master>,
    /// Something that was to give it an address could not be read.
    pub damaged: bool,
}

/// Kinds of links.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// A card.
    Card(Card),
    /// `bonding` with options as networkd spells them.
    Bond(Vec<Setting>),
    /// A bridge with options as networkd spells them.
    Bridge(Vec<Setting>),
    /// IEEE 802.1Q.
    Vlan {
        /// 0 to 4094.
        tag: u16,
        /// Id of the link it runs on.
        parent: String,
    },
    /// A link to nowhere.
    Dummy,
    /// A routing domain with its table.
    Vrf(u32),
    /// `lo`.
    Loopback,
}

impl Default for Kind {
    fn default() -> Self {
        Kind::Card(Card::default())
    }
}

/// `Key=value` of a unit file.
pub type Setting = (&'static str, String);

/// How to find a card, and what to do with it. Everything given must fit; a
/// card without any is found by the link's id as its name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Card {
    /// Its name, a shell pattern.
    pub name: Option<String>,
    /// Its own hardware address.
    pub mac: Option<String>,
    /// Its driver, shell patterns.
    pub drivers: Vec<String>,
    /// New name.
    pub rename: Option<String>,
    /// Wake on LAN by magic packet.
    pub wake_on_lan: bool,
    /// Offloads, as udev spells them.
    pub offloads: Vec<Setting>,
}

/// Membership.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Master {
    /// `Bond`, `Bridge` or `VRF`: networkd's setting.
    pub setting: &'static str,
    /// Its id.
    pub id: String,
    /// The bond's preferred member.
    pub primary: bool,
    /// Cost of a bridge's port.
    pub cost: Option<u32>,
    /// Priority of a bridge's port.
    pub priority: Option<u32>,
}

impl Master {
    /// Plain membership.
    pub fn new(setting: &'static str, id: &str) -> Master {
        Master {
            setting,
            id: id.to_owned(),
            primary: false,
            cost: None,
            priority: None,
        }
    }
}

/// What to take from DHCP. Unset is the image's default.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Dhcp {
    /// Name servers.
    pub use_dns: Option<bool>,
    /// Time servers.
    pub use_ntp: Option<bool>,
    /// Tell the server our name.
    pub send_hostname: Option<bool>,
    /// Take our name from the server.
    pub use_hostname: Option<bool>,
    /// Largest packet.
    pub use_mtu: Option<bool>,
    /// Name to tell.
    pub hostname: Option<String>,
    /// Routes.
    pub use_routes: Option<bool>,
    /// Metric of the routes.
    pub route_metric: Option<u32>,
    /// Search domains: a value of networkd's UseDomains.
    pub use_domains: Option<&'static str>,
    /// A value of networkd's ClientIdentifier.
    pub identifier: Option<&'static str>,
}

/// What to take from router advertisements.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ra {
    /// Name servers.
    pub use_dns: Option<bool>,
    /// Search domains: a value of networkd's UseDomains.
    pub use_domains: Option<&'static str>,
    /// Table of the routes.
    pub table: Option<u32>,
}

/// Which link-local addresses a link has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LinkLocal {
    /// 169.254/16.
    pub ipv4: bool,
    /// fe80::/64.
    pub ipv6: bool,
}

/// An address with the length of its prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cidr {
    /// The address.
    pub ip: IpAddr,
    /// Bits of its prefix.
    pub bits: u8,
}

impl Cidr {
    /// Whether `ip` is in the same network.
    pub fn contains(&self, ip: IpAddr) -> bool {
        let same = |a: u128, b: u128, width: u32| {
            let drop = width.saturating_sub(u32::from(self.bits));
            drop >= width || a >> drop == b >> drop
        };
        match (self.ip, ip) {
            (IpAddr::V4(a), IpAddr::V4(b)) => same(a.to_bits().into(), b.to_bits().into(), 32),
            (IpAddr::V6(a), IpAddr::V6(b)) => same(a.to_bits(), b.to_bits(), 128),
            _ => false,
        }
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.ip, self.bits)
    }
}

/// A static address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// It.
    pub cidr: Cidr,
    /// The other end of a point-to-point link.
    pub peer: Option<IpAddr>,
    /// Broadcast address.
    pub broadcast: Option<IpAddr>,
    /// Label.
    pub label: Option<String>,
    /// Not used for new connections.
    pub deprecated: bool,
}

impl From<Cidr> for Address {
    fn from(cidr: Cidr) -> Self {
        Address {
            cidr,
            peer: None,
            broadcast: None,
            label: None,
            deprecated: false,
        }
    }
}

/// A route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// Where to; all zero is the default.
    pub to: Cidr,
    /// Through whom.
    pub via: Option<IpAddr>,
    /// Our address.
    pub from: Option<IpAddr>,
    /// The next hop is reachable although no address of ours says so.
    pub on_link: bool,
    /// Smaller wins.
    pub metric: Option<u32>,
    /// Routing table.
    pub table: Option<u32>,
    /// `unicast`, `blackhole`...
    pub kind: Option<&'static str>,
    /// `global`, `link`, `host`.
    pub scope: Option<&'static str>,
    /// Largest packet.
    pub mtu: Option<u32>,
    /// Initial congestion window.
    pub congestion_window: Option<u32>,
    /// Initial receive window.
    pub receive_window: Option<u32>,
    /// Maximum segment size.
    pub mss: Option<u32>,
}

impl Route {
    /// A plain route.
    pub fn new(to: Cidr, via: Option<IpAddr>) -> Route {
        Route {
            to,
            via,
            from: None,
            on_link: false,
            metric: None,
            table: None,
            kind: None,
            scope: None,
            mtu: None,
            congestion_window: None,
            receive_window: None,
            mss: None,
        }
    }
    /// The default route through `via`.
    pub fn default(via: IpAddr) -> Route {
        Route::new(everything(via.is_ipv4()), Some(via))
    }
}

/// Destination of default routes.
pub fn everything(ipv4: bool) -> Cidr {
    let ip = if ipv4 {
        IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED)
    } else {
        IpAddr::V6(std::net::Ipv6Addr::UNSPECIFIED)
    };
    Cidr { ip, bits: 0 }
}

/// A routing policy rule.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rule {
    /// Of packets from here.
    pub from: Option<Cidr>,
    /// Of packets to there.
    pub to: Option<Cidr>,
    /// Table to look in.
    pub table: Option<u32>,
    /// Smaller is asked first.
    pub priority: Option<u32>,
    /// Of packets with this mark.
    pub mark: Option<u32>,
    /// Of packets with this type of service.
    pub tos: Option<u8>,
}

/// Name servers and search domains.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Dns {
    /// Servers.
    pub servers: Vec<IpAddr>,
    /// Domains to search.
    pub search: Vec<String>,
}

impl Dns {
    /// Adds what is not there yet.
    pub fn merge(&mut self, other: &Dns) {
        for server in &other.servers {
            if !self.servers.contains(server) {
                self.servers.push(*server);
            }
        }
        for domain in &other.search {
            if !self.search.contains(domain) {
                self.search.push(domain.clone());
            }
        }
    }
}

impl Link {
    /// A link of an id.
    pub fn new(id: &str, spot: Spot, kind: Kind) -> Link {
        Link {
            id: id.to_owned(),
            spot,
            kind,
            ..Link::default()
        }
    }

    /// Name of an interface this program makes.
    pub fn device(&self) -> &str {
        self.device.as_deref().unwrap_or(&self.id)
    }

    /// Whether it gets any address that is not link-local.
    pub fn has_addresses(&self) -> bool {
        self.dhcp4.is_some()
            || self.dhcp6.is_some()
            || self.accept_ra == Some(true)
            || !self.addresses.is_empty()
    }

    /// Whether this is only what the image does with every card: DHCP.
    pub fn is_plain(&self) -> bool {
        let plain = Link {
            id: self.id.clone(),
            spot: self.spot,
            kind: self.kind.clone(),
            dhcp4: Some(Dhcp::default()),
            dhcp6: self.dhcp6.clone().filter(|d| *d == Dhcp::default()),
            accept_ra: self.accept_ra.filter(|on| *on),
            ..Link::default()
        };
        let card = matches!(&self.kind, Kind::Card(c) if c.rename.is_none() && !c.wake_on_lan && c.offloads.is_empty());
        card && *self == plain
    }

    /// Adds a default route as formats without `on-link` mean it: a gateway
    /// outside the link's networks (a /32, say) is reachable all the same.
    pub fn add_gateway(&mut self, via: IpAddr, metric: Option<u32>) {
        let mut route = Route::default(via);
        route.metric = metric;
        self.add_route(route);
    }

    /// Adds a route once, and marks its next hop as [`Link::add_gateway`] does.
    pub fn add_route(&mut self, mut route: Route) {
        if let Some(via) = route.via {
            let near = |a: &Address| a.cidr.contains(via) || a.peer == Some(via);
            let local = matches!(via, IpAddr::V6(v6) if v6.is_unicast_link_local());
            let family = |a: &&Address| a.cidr.ip.is_ipv4() == via.is_ipv4();
            let ours = self.addresses.iter().filter(family).count() > 0;
            let through_another = self
                .routes
                .iter()
                .any(|r| r.to.bits > 0 && r.to.contains(via));
            route.on_link = ours && !local && !through_another && !self.addresses.iter().any(near);
        }
        if !self.routes.contains(&route) {
            self.routes.push(route);
        }
    }
}
