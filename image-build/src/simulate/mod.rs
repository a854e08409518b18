//! Simulated providers: what a machine sees of EC2, CloudStack and the rest when
//! it is run by [`crate::run`]. Answers are pure functions of a [`Scenario`], so
//! they are tested without a machine.
//!
//! A provider is one file and one line of [`PROVIDERS`].

mod akamai;
mod alibaba;
mod azure;
mod cloudstack;
mod digitalocean;
mod drives;
mod ec2;
mod exoscale;
mod gce;
mod hetzner;
pub mod http;
pub mod iso;
#[cfg(test)]
mod matrix;
mod network;
mod nocloud;
mod nwcs;
mod opennebula;
mod openstack;
mod oracle;
mod scaleway;
mod service;
#[cfg(test)]
mod testing;
mod tree;
mod upcloud;
mod vultr;

use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;
use std::time::Duration;

pub use network::{DNS, GATEWAY, GUEST, MAC, NETMASK};
pub use service::{Answer, Exchange, Log, Service};

use crate::error::{Error, Result};

/// A simulated provider.
pub struct Provider {
    /// Name on the command line.
    pub name: &'static str,
    /// One line for `--help` and lists.
    pub about: &'static str,
    /// Addresses that answer. The machine reaches them whatever its routes are.
    pub endpoints: &'static [(IpAddr, u16)],
    /// How the hardware looks.
    pub look: fn(&Scenario) -> Look,
    /// Answers one request to one of the endpoints.
    pub respond: fn(&Scenario, SocketAddr, &http::Request, &Log) -> http::Response,
}

/// Every provider, in the order they are listed.
pub static PROVIDERS: &[&Provider] = &[
    &NONE,
    &ec2::EC2,
    &cloudstack::ROUTER,
    &cloudstack::DRIVE,
    &openstack::SERVICE,
    &openstack::DRIVE,
    &nocloud::NOCLOUD,
    &azure::AZURE,
    &azure::CUSTOM_DATA,
    &digitalocean::DIGITALOCEAN,
    &exoscale::EXOSCALE,
    &gce::GCE,
    &akamai::AKAMAI,
    &alibaba::ALIBABA,
    &hetzner::HETZNER,
    &drives::HYPERV,
    &drives::KUBEVIRT,
    &drives::KUBEVIRT_DRIVE,
    &drives::LXD,
    &drives::NUTANIX,
    &drives::ONMETAL,
    &drives::STACKIT,
    &nwcs::NWCS,
    &opennebula::OPENNEBULA,
    &oracle::ORACLE,
    &drives::PROXMOX,
    &scaleway::SCALEWAY,
    &upcloud::UPCLOUD,
    &vultr::VULTR,
];

/// A plain virtual machine: nothing answers, nothing tells who the provider is.
pub static NONE: Provider = Provider {
    name: "none",
    about: "a plain virtual machine without any provider",
    endpoints: &[],
    look: |_| Look::default(),
    respond: nothing,
};

/// Where there is no service.
fn nothing(_: &Scenario, _: SocketAddr, _: &http::Request, _: &Log) -> http::Response {
    http::Response::status(404)
}

impl std::fmt::Debug for Provider {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

impl Provider {
    /// The provider called `name`; the error lists those there are.
    pub fn named(name: &str) -> Result<&'static Provider> {
        PROVIDERS
            .iter()
            .copied()
            .find(|p| p.name == name)
            .ok_or_else(|| {
                let names: Vec<&str> = PROVIDERS.iter().map(|p| p.name).collect();
                Error::usage(format!("no simulated provider is called `{name}`"))
                    .hint(format!("one of: {}", names.join(", ")))
            })
    }
}

/// What the hypervisor shows to the machine, apart from the network service.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Look {
    /// SMBIOS structures as QEMU's `-smbios` writes them (`type=1,product=...`).
    pub smbios: Vec<String>,
    /// Extra DHCP options: code and value (RFC 2132).
    pub dhcp: Vec<(u8, Vec<u8>)>,
    /// Images of CD-ROM drives.
    pub cdroms: Vec<Vec<u8>>,
}

/// What the simulated provider knows about the machine.
#[derive(Debug, Clone)]
pub struct Scenario {
    /// Which provider.
    pub provider: &'static Provider,
    /// User-data as the user gave it.
    pub user_data: Option<Vec<u8>>,
    /// SSH public keys, one line each.
    pub ssh_keys: Vec<String>,
    /// Host name, possibly with a domain.
    pub hostname: String,
    /// Instance id in the provider's form; the provider's own default when empty.
    pub instance_id: Option<String>,
    /// Password that the provider hands out (CloudStack, OpenStack).
    pub password: Option<String>,
    /// How EC2 treats session tokens.
    pub tokens: Tokens,
    /// How well the service works.
    pub mode: Mode,
}

impl Scenario {
    /// A working `provider` without user-data and keys.
    pub fn new(provider: &'static Provider) -> Self {
        Scenario {
            provider,
            user_data: None,
            ssh_keys: Vec::new(),
            hostname: "holdfast".to_owned(),
            instance_id: None,
            password: None,
            tokens: Tokens::Required,
            mode: Mode::Good,
        }
    }

    /// Host name up to its first dot.
    fn short_hostname(&self) -> &str {
        self.hostname.split('.').next().unwrap_or_default()
    }

    /// Keys as one text, a line each.
    fn key_lines(&self) -> String {
        self.ssh_keys
            .iter()
            .map(|k| format!("{}\n", k.trim_end()))
            .collect()
    }

    fn instance_id_or(&self, default: &str) -> String {
        self.instance_id
            .clone()
            .unwrap_or_else(|| default.to_owned())
    }
}

/// EC2 session tokens (IMDSv2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tokens {
    /// Requests without a token get 401.
    Required,
    /// Both versions of the service answer.
    Optional,
    /// Version 1 only: the token request gets 404.
    Unknown,
}

/// How well the metadata service works.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// As it should.
    Good,
    /// Connections are refused.
    Absent,
    /// Packets vanish.
    Silent,
    /// Packets vanish until this time after the start.
    Late(Duration),
    /// Every answer comes after this time.
    Slow(Duration),
    /// So many requests get 503 first.
    Failing(u32),
    /// Every request gets 200 and an HTML page, as from a captive portal.
    Wrong,
    /// Every request gets this status.
    Status(u16),
    /// Every request is sent to where it came from.
    Redirecting,
    /// Every answer ends in its middle.
    Truncated,
    /// Every answer comes a byte a second.
    Trickling,
}

/// Modes as they are written.
pub const MODES: &str = "good, absent, silent, wrong, redirecting, truncated, trickling, late=SECONDS, slow=SECONDS, failing=COUNT, status=CODE";

impl FromStr for Mode {
    type Err = Error;

    /// See [`MODES`].
    fn from_str(text: &str) -> Result<Self> {
        let (name, value) = match text.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (text, None),
        };
        let seconds = || {
            value
                .and_then(|v| v.parse::<f64>().ok())
                .and_then(|s| Duration::try_from_secs_f64(s).ok())
        };
        let mode = match (name, value.is_some()) {
            ("good", false) => Some(Mode::Good),
            ("absent", false) => Some(Mode::Absent),
            ("silent", false) => Some(Mode::Silent),
            ("wrong", false) => Some(Mode::Wrong),
            ("redirecting", false) => Some(Mode::Redirecting),
            ("truncated", false) => Some(Mode::Truncated),
            ("trickling", false) => Some(Mode::Trickling),
            ("late", true) => seconds().map(Mode::Late),
            ("slow", true) => seconds().map(Mode::Slow),
            ("failing", true) => value.and_then(|v| v.parse().ok()).map(Mode::Failing),
            ("status", true) => value
                .and_then(|v| v.parse().ok())
                .filter(|s| (200..600).contains(s))
                .map(Mode::Status),
            _ => None,
        };
        mode.ok_or_else(|| {
            Error::usage(format!(
                "`{text}` is no way for a metadata service to behave"
            ))
            .hint(format!("one of: {MODES}"))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_parse() {
        assert_eq!(
            "slow=0.5".parse::<Mode>().unwrap(),
            Mode::Slow(Duration::from_millis(500))
        );
        assert_eq!("failing=3".parse::<Mode>().unwrap(), Mode::Failing(3));
        assert_eq!("status=429".parse::<Mode>().unwrap(), Mode::Status(429));
        for wrong in [
            "",
            "status=7",
            "slow",
            "slow=-1",
            "slow=nan",
            "good=1",
            "failing=x",
        ] {
            assert!(wrong.parse::<Mode>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn names_are_unique_and_found() {
        for p in PROVIDERS {
            assert!(std::ptr::eq(Provider::named(p.name).unwrap(), *p));
        }
        assert!(
            Provider::named("xyz")
                .unwrap_err()
                .hint_text()
                .unwrap()
                .contains("ec2")
        );
    }
}
