//! The HTTP client: TLS, proxy, redirects, and what its errors mean.

use std::path::Path;

use reqwest::{RequestBuilder, Url, redirect};

use super::reply::Failure;
use crate::fetch::base::Base;
use crate::fetch::{Error, Options, Proxy};

pub(super) struct Client {
    client: reqwest::Client,
    /// This machine has no CA certificates.
    rootless: bool,
    /// A proxy may resolve names in our place.
    proxied: bool,
}

impl Client {
    pub(super) fn new(options: &Options) -> Result<Self, Error> {
        // Fails when it is installed already, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let most = options.redirects;
        let builder = || {
            let builder = reqwest::Client::builder()
                .user_agent(concat!("holdfast-updater/", env!("CARGO_PKG_VERSION")))
                .connect_timeout(options.connect)
                .pool_max_idle_per_host(1)
                .referer(false)
                .redirect(redirect::Policy::custom(move |attempt| {
                    match follows(attempt.previous(), attempt.url(), most) {
                        Ok(()) => attempt.follow(),
                        Err(why) => attempt.error(why),
                    }
                }));
            options.proxy.apply(builder)
        };
        // Without CA certificates http:// still works: trust comes from signatures.
        let (client, rootless) = match builder()?.build() {
            Ok(client) => (Ok(client), false),
            Err(_) => (builder()?.tls_certs_only([]).build(), true),
        };
        let environment = ["http_proxy", "https_proxy", "all_proxy"];
        Ok(Client {
            client: client.map_err(|e| Error::Place {
                place: "the HTTP client".to_owned(),
                reason: innermost(&e.without_url()),
            })?,
            rootless,
            proxied: match options.proxy {
                Proxy::None => false,
                Proxy::At { .. } => true,
                Proxy::Environment => environment.iter().any(|name| {
                    let set = |name: &str| std::env::var_os(name).is_some();
                    set(name) || set(&name.to_uppercase())
                }),
            },
        })
    }

    pub(super) fn get(&self, url: Url) -> RequestBuilder {
        self.client.get(url)
    }

    /// Without the file, the resolver would ask public name servers.
    pub(super) fn can_resolve(&self, base: &Base) -> Result<(), Failure> {
        if base.is_named() && !self.proxied && !Path::new("/etc/resolv.conf").exists() {
            let reason = "no name servers are known (/etc/resolv.conf is missing)";
            return Err(Failure::Broken(reason.to_owned()));
        }
        Ok(())
    }

    /// What a failed request means.
    pub(super) fn failure(&self, e: reqwest::Error) -> Failure {
        let e = e.without_url();
        let text = innermost(&e);
        if e.is_redirect() || e.is_builder() {
            return Failure::Refused(format!("a redirect was not followed: {text}"));
        }
        if e.is_dns() {
            return Failure::Broken("the host's name cannot be resolved".to_owned());
        }
        if text.contains("certificate") {
            return Failure::Refused(if self.rootless {
                "this machine has no CA certificates".to_owned()
            } else {
                text
            });
        }
        Failure::Broken(if e.is_timeout() {
            "no connection in time".to_owned()
        } else {
            text
        })
    }
}

/// Whether a redirect from the last of `previous` to `next` is followed.
fn follows(previous: &[Url], next: &Url, most: usize) -> Result<(), String> {
    if previous.len() > most {
        return Err(format!("more than {most} redirects"));
    }
    // Any https:// before, not only the last: it may not be laundered in two steps.
    if next.scheme() != "https" && previous.iter().any(|url| url.scheme() == "https") {
        return Err("it leads from https:// to http://".to_owned());
    }
    Ok(())
}

/// The cause that says most: the outer ones only wrap it.
fn innermost(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    cause.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a13_redirects_are_capped_and_never_leave_https() {
        let urls =
            |texts: &[&str]| -> Vec<Url> { texts.iter().map(|t| Url::parse(t).unwrap()).collect() };
        let follows = |previous: &[&str], next: &str| {
            follows(&urls(previous), &Url::parse(next).unwrap(), 2).is_ok()
        };
        assert!(follows(&["http://a"], "http://b"));
        assert!(follows(&["http://a"], "https://a"));
        assert!(follows(&["https://a"], "https://b"));
        assert!(follows(&["http://a", "http://b"], "http://c"));
        assert!(!follows(&["http://a", "http://b", "http://c"], "http://d"));
        assert!(!follows(&["https://a"], "http://a"));
        assert!(!follows(&["https://a", "https://b"], "http://b"));
        assert!(!follows(&["http://a", "https://a"], "http://a"));
    }
}
