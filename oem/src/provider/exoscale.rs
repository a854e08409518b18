//! Exoscale: CloudStack's names below a version, and its password server, at the usual
//! metadata address. Instances without a public network have a drive.

use super::{Passwords, Provider};
use crate::detect::{Clue, Evidence};
use crate::error::Result;
use crate::http::Http;
use crate::source::document::line;
use crate::source::{Found, Raw, Source, cloudstack, configdrive, nocloud, passwords};
use tokio::time::Instant;

pub(super) static PROVIDER: Provider = Provider {
    name: "exoscale",
    title: "Exoscale",
    aliases: &[],
    detect,
    // What is attached is not to beat the service.
    sources: &[&SERVICE, &configdrive::DRIVE, &nocloud::DISK],
    passwords: Some(Passwords {
        ask: |_, http, _, deadline| Box::pin(passwords::ask(PASSWORDS, http, deadline)),
        saved: |_, http, _, deadline| Box::pin(passwords::saved(PASSWORDS, http, deadline)),
    }),
    ..Provider::NONE
};

static SERVICE: Source = Source {
    name: "exoscale",
    title: "Exoscale metadata service",
    local: false,
    fetch: |_, http, deadline| Box::pin(fetch(http, deadline)),
    parse,
};

const BASE: &str = "http://169.254.169.254/1.0/";
const PASSWORDS: &str = "http://169.254.169.254:8080/1.0/";

fn detect(evidence: &Evidence) -> Option<Clue> {
    Clue::starts("product_name", &evidence.dmi.product_name, "Exoscale")
}

async fn fetch(http: &Http, deadline: Instant) -> Result<Option<Found>> {
    let mut raw = Raw::new();
    for name in cloudstack::DOCUMENTS {
        let url = format!("{BASE}meta-data/{name}");
        let reply = http.get(&url, &[], deadline).await?;
        raw.extend(reply.found().map(|body| (name.to_owned(), body)));
        // The first; without it this is something else.
        if line(&raw, "instance-id").is_none() {
            return Ok(None);
        }
    }
    let reply = http.get(&format!("{BASE}user-data"), &[], deadline).await?;
    raw.extend(reply.found().map(|body| ("user-data".to_owned(), body)));
    Ok(Some(parse(&raw, BASE)))
}

/// Pure.
fn parse(raw: &Raw, source: &str) -> Found {
    let mut found = cloudstack::parse(raw, source);
    found.fetched.provider = "exoscale".into();
    found.fetched.metadata.provider = "exoscale".into();
    found
}
