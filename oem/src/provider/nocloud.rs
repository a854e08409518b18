//! NoCloud: a disk labelled `cidata`, or a seed named by the command line or
//! the SMBIOS serial number. The operator made it on purpose.

use super::Provider;
use crate::detect::cmdline::seed;
use crate::detect::{Certainty, Clue, Evidence};
use crate::error::{Error, Result};
use crate::http::Http;
use crate::source::nocloud::{DISK, DOCUMENTS, own_seed, parse};
use crate::source::{Found, Raw, Scene, Source};
use tokio::time::Instant;

pub(super) static PROVIDER: Provider = Provider {
    name: "nocloud",
    title: "NoCloud",
    aliases: &["no-cloud", "nocloud-net"],
    detect,
    sources: &[&DISK, &SEED],
    ..Provider::NONE
};

/// Documents below a URL (`ds=nocloud;s=URL`).
static SEED: Source = Source {
    name: "nocloud-seed",
    title: "NoCloud seed URL",
    local: false,
    fetch: |scene, http, deadline| Box::pin(fetch(scene, http, deadline)),
    parse: |raw, source| parse(raw, source, None),
};

fn detect(evidence: &Evidence) -> Option<Clue> {
    if evidence.cmdline.nocloud.is_some() {
        let reason = "kernel command line `ds=nocloud`".to_owned();
        return Some(Clue {
            certainty: Certainty::Pinned,
            reason,
        });
    }
    let serial = &evidence.dmi.product_serial;
    if serial.strip_prefix("ds=").and_then(seed).is_some() {
        return Clue::certain("DMI product_serial holds `ds=nocloud`");
    }
    let disk = evidence.disk(&["cidata"])?;
    Clue::likely(format!(
        "{} has the label {} ({})",
        disk.device, disk.label, disk.kind
    ))
}

async fn fetch(scene: &Scene, http: &Http, deadline: Instant) -> Result<Option<Found>> {
    let Some(seed) = own_seed(scene) else {
        return Ok(None);
    };
    let mut raw = Raw::new();
    let Some(url) = seed.url.as_deref() else {
        // `ds=nocloud;i=..;h=..` alone is complete; bare `ds=nocloud` means the disk.
        let complete = seed.instance_id.is_some() || seed.hostname.is_some();
        return Ok(complete.then(|| parse(&raw, "command line", Some(&seed))));
    };
    if !url.starts_with("http://") && !url.starts_with("https://") {
        let what = "the NoCloud seed is not an http:// or https:// URL".to_owned();
        return Err(Error::input(what).hint("or attach a disk labelled cidata"));
    }
    // A prefix, used as it is: `...?file=` is allowed.
    for (name, _) in DOCUMENTS {
        let reply = http.get(&format!("{url}{name}"), &[], deadline).await?;
        raw.extend(reply.found().map(|body| (name.to_owned(), body)));
    }
    if raw.is_empty() {
        let what = "the NoCloud seed has neither user-data nor meta-data".to_owned();
        return Err(Error::input(what).hint("the seed is a prefix: end it with a slash"));
    }
    Ok(Some(parse(&raw, url, Some(&seed))))
}
