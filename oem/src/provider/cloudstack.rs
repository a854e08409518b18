//! Apache CloudStack. Only on KVM does the firmware tell; under VMware and XenServer
//! hosts it shows the hypervisor's name instead: those rest on the guess or on a pin.
//!
//! Its virtual router has EC2-shaped paths on the DHCP server, but keys as plain text.
//! Which address is the router's is a guess among a few.

use super::{Passwords, Provider};
use crate::detect::{Clue, Evidence};
use crate::error::{Error, Result};
use crate::http::Http;
use crate::net::{lease, route};
use crate::source::cloudstack::{DOCUMENTS, parse};
use crate::source::document::line;
use crate::source::{Found, Raw, Scene, Source, configdrive, passwords};
use std::collections::BTreeSet;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

pub(super) static PROVIDER: Provider = Provider {
    name: "cloudstack",
    title: "Apache CloudStack",
    aliases: &["cloudstack-metadata", "cloudstack-configdrive", "interoute"],
    detect,
    sources: &[&configdrive::DRIVE, &ROUTER],
    guess: true,
    passwords: Some(Passwords {
        ask: |_, http, fetched, deadline| {
            Box::pin(async move {
                match server(&fetched.source) {
                    Some(url) => passwords::ask(&url, http, deadline).await,
                    None => Ok(None),
                }
            })
        },
        saved: |_, http, fetched, deadline| {
            Box::pin(async move {
                match server(&fetched.source) {
                    Some(url) => passwords::saved(&url, http, deadline).await,
                    None => Ok(()),
                }
            })
        },
    }),
    ..Provider::NONE
};

static ROUTER: Source = Source {
    name: "cloudstack",
    title: "CloudStack virtual router",
    local: false,
    fetch: |scene, http, deadline| Box::pin(fetch(scene, http, deadline)),
    parse,
};

/// Name of the virtual router where there is a name server.
const ROUTER_NAME: &str = "data-server";

/// How long one round over the candidates lasts before leases are read again.
const ROUND: Duration = Duration::from_secs(2);

fn detect(evidence: &Evidence) -> Option<Clue> {
    let product = &evidence.dmi.product_name;
    if product.starts_with("CloudStack") {
        return Clue::certain(format!("DMI product_name is `{product}`"));
    }
    None
}

async fn fetch(scene: &Scene, http: &Http, deadline: Instant) -> Result<Option<Found>> {
    let Some((base, old)) = router(scene, http, deadline).await? else {
        return Ok(None);
    };
    let prefix = if old {
        format!("{base}/latest/")
    } else {
        format!("{base}/latest/meta-data/")
    };
    let mut raw = Raw::new();
    for name in DOCUMENTS {
        let reply = http.get(&format!("{prefix}{name}"), &[], deadline).await?;
        raw.extend(reply.found().map(|body| (name.to_owned(), body)));
    }
    let reply = http
        .get(&format!("{base}/latest/user-data"), &[], deadline)
        .await?;
    raw.extend(reply.found().map(|body| ("user-data".to_owned(), body)));
    Ok(Some(parse(&raw, &format!("{base}/latest/"))))
}

/// The password server beside the router that gave the data. A drive has the password
/// itself.
fn server(source: &str) -> Option<String> {
    let router = source.strip_suffix("/latest/")?;
    Some(format!("{router}:8080/"))
}

/// Base URLs to try: every lease's server, the well-known name, the gateways.
fn candidates(scene: &Scene) -> Vec<String> {
    let leases = lease::all(&scene.root);
    let table = std::fs::read_to_string(scene.root.join("proc/net/route")).unwrap_or_default();
    let servers = leases
        .iter()
        .filter_map(|l| l.server)
        .map(|a| a.to_string());
    let gateways = route::default_gateways(&table)
        .into_iter()
        .map(|a| a.to_string());
    let routers = leases
        .iter()
        .flat_map(|l| &l.routers)
        .map(ToString::to_string);
    let mut seen = BTreeSet::new();
    servers
        .chain([ROUTER_NAME.to_owned()])
        .chain(gateways)
        .chain(routers)
        .filter(|host| seen.insert(host.clone()))
        .map(|host| format!("http://{host}"))
        .collect()
}

/// The first candidate that answers like a router, and whether it has only the
/// old paths. All are asked at once; leases are read anew each round.
async fn router(scene: &Scene, http: &Http, deadline: Instant) -> Result<Option<(String, bool)>> {
    let mut wake = http.wake();
    let mut refused = 0;
    loop {
        let bases = candidates(scene);
        let round = deadline.min(Instant::now() + ROUND);
        let mut probes = JoinSet::new();
        for base in &bases {
            let (base, http) = (base.clone(), http.clone());
            probes.spawn(async move { probe(&base, &http, round).await.map(|old| (base, old)) });
        }
        let mut no_such_paths = 0;
        while let Some(probe) = probes.join_next().await {
            match probe {
                Ok(Ok((base, Some(old)))) => return Ok(Some((base, old))),
                Ok(Ok((_, None))) => no_such_paths += 1,
                _ => refused += 1,
            }
        }
        // Everybody answered, nobody is a router.
        if !bases.is_empty() && no_such_paths == bases.len() {
            return Ok(None);
        }
        if Instant::now() >= deadline {
            let what = match refused {
                0 => "no DHCP lease and no gateway to ask".to_owned(),
                _ => format!(
                    "none of {} is a CloudStack virtual router",
                    bases.join(", ")
                ),
            };
            return Err(Error::environment(what)
                .hint("is the metadata service of this network switched on?"));
        }
        let pause = ROUND / 4;
        let _ = timeout(pause.min(deadline - Instant::now()), wake.changed()).await;
    }
}

/// Any web server may answer: only an instance id makes it a router.
/// `Some(true)` when it has the old paths only.
async fn probe(base: &str, http: &Http, deadline: Instant) -> Result<Option<bool>> {
    for (path, old) in [("meta-data/", false), ("", true)] {
        for name in ["instance-id", "vm-id"] {
            let reply = http
                .get(&format!("{base}/latest/{path}{name}"), &[], deadline)
                .await?;
            let raw: Raw = reply
                .found()
                .map(|b| (name.to_owned(), b))
                .into_iter()
                .collect();
            if line(&raw, name).is_some_and(|id| !id.contains(char::is_whitespace)) {
                return Ok(Some(old));
            }
        }
    }
    Ok(None)
}
