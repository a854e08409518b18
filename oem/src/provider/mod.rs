//! Every provider: a file each, and a line in [`PROVIDERS`]. A provider's file has all
//! that is its own: how it is recognised, its sources, its passwords, and what it wants
//! to be told. What several have in common is in [`crate::source`].

mod akamai;
mod alibaba;
mod azure;
mod cloudsigma;
mod cloudstack;
mod digitalocean;
mod ec2;
mod exoscale;
mod gce;
mod hetzner;
mod host;
mod hyperv;
mod kubevirt;
mod lxd;
mod nocloud;
mod nutanix;
mod nwcs;
mod onmetal;
mod opennebula;
mod openstack;
mod oracle;
mod others;
mod proxmox;
mod rackspace;
mod scaleway;
mod smartos;
mod stackit;
mod upcloud;
pub(crate) mod vagrant;
mod vultr;

use crate::cloudconfig::Secret;
use crate::detect::{Clue, Evidence};
use crate::error::Result;
use crate::http::Http;
use crate::metadata::{Fetched, Metadata};
use crate::source::{Scene, Source};
use std::fmt;
use std::pin::Pin;
use tokio::time::Instant;

/// A line of the provider table.
pub struct Provider {
    /// Name in OEM files, on the command line and in reports.
    pub name: &'static str,
    /// Name for people.
    pub title: &'static str,
    /// Other spellings a pin may use.
    pub aliases: &'static [&'static str],
    /// What speaks for it.
    pub detect: fn(&Evidence) -> Option<Clue>,
    /// Files below `/` whose presence `detect` looks at.
    pub files: &'static [&'static str],
    /// Where its data may be, in order of preference. Those without network that come
    /// first are read early. Empty: this version only recognises the provider.
    pub sources: &'static [&'static Source],
    /// Whether to ask its network sources when nothing speaks for any provider.
    pub guess: bool,
    /// Where it gives passwords.
    pub passwords: Option<Passwords>,
    /// Tells it how the configuration of this boot went, and says what it told, for
    /// people; `None` when there is nothing to tell this time.
    pub report: Option<Report>,
}

/// Something of type `T` that takes time.
pub type Waiting<'a, T> = Pin<Box<dyn Future<Output = Result<T>> + Send + 'a>>;

/// See [`Provider::report`].
pub type Report =
    for<'a> fn(&'a Scene, &'a Http, &'a Verdict<'a>, Instant) -> Waiting<'a, Option<String>>;

/// How the configuration of this boot went.
#[derive(Debug, Clone, Copy)]
pub struct Verdict<'a> {
    /// What the provider said of the machine.
    pub metadata: &'a Metadata,
    /// What is not in place, in a line without secrets; `None` when everything is.
    pub wrong: Option<&'a str>,
    /// Whether no success of this instance was reported before.
    pub first: bool,
}

/// A password server.
#[derive(Debug)]
pub struct Passwords {
    /// The password to set now, if there is one. What was fetched tells which server.
    pub ask: for<'a> fn(&'a Scene, &'a Http, &'a Fetched, Instant) -> Waiting<'a, Option<Secret>>,
    /// Tells that it was set.
    pub saved: for<'a> fn(&'a Scene, &'a Http, &'a Fetched, Instant) -> Waiting<'a, ()>,
}

impl Provider {
    /// What a provider has that says nothing else.
    const NONE: Provider = Provider {
        name: "",
        title: "",
        aliases: &[],
        detect: |_| None,
        files: &[],
        sources: &[],
        guess: false,
        passwords: None,
        report: None,
    };
}

impl fmt::Debug for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

/// Every provider this version knows by name. Order decides among equally certain
/// candidates and is the order in which rivals are preferred when several answer.
pub static PROVIDERS: &[&Provider] = &[
    &host::PROVIDER,
    &nocloud::PROVIDER,
    &openstack::PROVIDER,
    &cloudstack::PROVIDER,
    &ec2::PROVIDER,
    &akamai::PROVIDER,
    &alibaba::PROVIDER,
    &azure::PROVIDER,
    &cloudsigma::PROVIDER,
    &digitalocean::PROVIDER,
    &exoscale::PROVIDER,
    &gce::PROVIDER,
    &hetzner::PROVIDER,
    &hyperv::PROVIDER,
    &kubevirt::PROVIDER,
    &lxd::PROVIDER,
    &nutanix::PROVIDER,
    &nwcs::PROVIDER,
    &onmetal::PROVIDER,
    &opennebula::PROVIDER,
    &oracle::PROVIDER,
    &proxmox::PROVIDER,
    &rackspace::PROVIDER,
    &scaleway::PROVIDER,
    &smartos::PROVIDER,
    &stackit::PROVIDER,
    &upcloud::PROVIDER,
    &vagrant::PROVIDER,
    &others::VIRTUALBOX,
    &others::VMWARE,
    &vultr::PROVIDER,
];

/// The provider called `name` or one of its aliases, case ignored.
pub fn by_name(name: &str) -> Option<&'static Provider> {
    PROVIDERS.iter().copied().find(|p| {
        p.name.eq_ignore_ascii_case(name) || p.aliases.iter().any(|a| a.eq_ignore_ascii_case(name))
    })
}
