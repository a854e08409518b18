//! Where a request goes: a URL, for IPv6 link-local addresses with the interface, and
//! which client and address reach it.

use super::{Failure, Http, builder, no_client};
use crate::error::{Context, Error, Result};
use reqwest::{Client, Url};
use std::fmt;
use std::net::{IpAddr, SocketAddr, SocketAddrV6};
use std::path::Path;

/// Stands for an address with a zone, which URLs have no room for.
const ZONED: &str = "zoned.invalid";

/// A URL that was understood. Shown without credentials and query.
#[derive(Debug, Clone)]
pub(super) struct Target {
    /// Without the zone.
    url: Url,
    zone: Option<String>,
}

impl Target {
    /// # Errors
    /// Not an `http` or `https` URL.
    pub(super) fn parse(text: &str) -> Result<Target> {
        let (text, zone) = without_zone(text);
        let url = Url::parse(&text).input(|| "a URL cannot be parsed".to_owned())?;
        let target = Target { url, zone };
        if !matches!(target.url.scheme(), "http" | "https") {
            return Err(Error::input(format!("{target} is not an HTTP URL")));
        }
        Ok(target)
    }

    /// Where a redirect to `location` leads, unless it leads to another host or from a
    /// secure connection to one that is not.
    pub(super) fn on_same_host(&self, location: &str) -> Option<Target> {
        let (location, _) = without_zone(location);
        let url = self.url.join(&location).ok()?;
        let as_secure = url.scheme() == self.url.scheme() || self.url.scheme() == "http";
        let same = url.host() == self.url.host() && as_secure;
        let zone = self.zone.clone();
        same.then_some(Target { url, zone })
    }

    fn host(&self) -> &str {
        self.url.host_str().unwrap_or_default()
    }

    fn ip(&self) -> Option<IpAddr> {
        self.host().trim_matches(['[', ']']).parse().ok()
    }

    /// The URL with another host.
    fn elsewhere(&self, host: &str, port: Option<u16>) -> std::result::Result<Url, Failure> {
        let mut url = self.url.clone();
        let done = url.set_host(Some(host)).is_ok() && url.set_port(port).is_ok();
        let wrong = || Failure::Final(Error::input(format!("{self} cannot be requested")));
        done.then_some(url).ok_or_else(wrong)
    }

    /// What to say in `Host`.
    fn authority(&self) -> String {
        match self.url.port() {
            Some(port) => format!("{}:{port}", self.host()),
            None => self.host().to_owned(),
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (scheme, path) = (self.url.scheme(), self.url.path());
        write!(f, "{scheme}://{}{path}", self.authority())
    }
}

impl Http {
    /// The client to ask, the URL to ask it for, and the `Host` to say where it is
    /// not the URL's.
    pub(super) fn way_to(
        &self,
        target: &Target,
    ) -> std::result::Result<(Client, Url, Option<String>), Failure> {
        if let Some(detour) = &self.detour {
            let port = target.url.port_or_known_default().unwrap_or_default();
            let Some(to) = detour.get(&format!("{}:{port}", target.host())) else {
                return Err(Failure::Retry("Connection refused".to_owned()));
            };
            let host = SocketAddr::new(to.ip(), 0).to_string();
            let url = target.elsewhere(host.trim_end_matches(":0"), Some(to.port()))?;
            return Ok((self.numeric.clone(), url, Some(target.authority())));
        }
        let secure = target.url.scheme() == "https";
        let built = |builder: reqwest::ClientBuilder| {
            let client = builder.build().environment(no_client);
            client.map_err(Failure::Final)
        };
        match (target.ip(), &target.zone) {
            (Some(IpAddr::V6(ip)), Some(zone)) => {
                let scope = nix::net::if_::if_nametoindex(zone.as_str())
                    .map_err(|_| Failure::Retry(format!("there is no interface {zone}")))?;
                let port = target.url.port_or_known_default().unwrap_or_default();
                let to = SocketAddr::V6(SocketAddrV6::new(ip, port, 0, scope));
                let client = built(builder(secure).resolve(ZONED, to))?;
                let url = target.elsewhere(ZONED, target.url.port())?;
                Ok((client, url, Some(target.authority())))
            }
            (Some(_), _) if !secure => Ok((self.numeric.clone(), target.url.clone(), None)),
            (Some(_), _) => Ok((built(builder(true))?, target.url.clone(), None)),
            // Name servers and search domains arrive with a lease, while we retry, and
            // the resolver reads its configuration once: a name gets a fresh client.
            // Without the file, it would ask public servers.
            (None, _) if Path::new("/etc/resolv.conf").exists() => {
                Ok((built(builder(secure))?, target.url.clone(), None))
            }
            (None, _) => Err(Failure::Retry("no name servers known yet".to_owned())),
        }
    }
}

/// `http://[fe80::1%25eth0]/` without `%25eth0`, and `eth0`.
fn without_zone(url: &str) -> (String, Option<String>) {
    let parts = || {
        let start = url.find("://[")? + 4;
        let (address, rest) = url.get(start..)?.split_once(']')?;
        let (address, zone) = address.split_once("%25")?;
        let plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        (!zone.is_empty() && zone.chars().all(plain)).then(|| {
            let before = &url[..start];
            (format!("{before}{address}]{rest}"), zone.to_owned())
        })
    };
    match parts() {
        Some((url, zone)) => (url, Some(zone)),
        None => (url.to_owned(), None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn zones() {
        let target = Target::parse("http://[fe80::a9fe:a9fe%25eth0.1]:8/x?y").unwrap();
        assert_eq!(target.zone.as_deref(), Some("eth0.1"));
        assert_eq!(target.to_string(), "http://[fe80::a9fe:a9fe]:8/x");
        let plain = Target::parse("http://[fd00::1]/").unwrap();
        assert_eq!(
            (plain.zone, plain.url.host_str()),
            (None, Some("[fd00::1]"))
        );
        for wrong in [
            "http://[fe80::1%25]/",
            "http://[fe80::1%25a/b]/",
            "http://[fe80::1%eth0]/",
        ] {
            assert!(Target::parse(wrong).is_err(), "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn foreign_urls_never_panic(text in "\\PC{0,30}", rest in "[\\]\\[%:/.a-f0-9]{0,24}") {
            let _ = Target::parse(&text);
            if let Ok(target) = Target::parse(&format!("http://{rest}")) {
                let _ = target.on_same_host(&text);
                let _ = target.to_string();
            }
        }
    }
}
