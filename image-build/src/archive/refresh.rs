//! The signed `InRelease` files: conditional refresh, and the cached copy when
//! the network is down.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::io::Write;

use super::date;
use super::lock::Pocket;
use super::mirror::{Mirrors, redact};
use super::release::{Release, suite_name};
use super::transport::{Failure, Reply, Stamp, Transport};
use super::trust::Trust;
use crate::cache::{Cache, writing};
use crate::error::{Error, Result};
use crate::hex;

/// An `InRelease` file is about 150 KB.
const LIMIT: u64 = 16 << 20;

/// A verified `Release` and how it was had.
#[derive(Debug, Clone)]
pub(crate) struct Current {
    pub pocket: Pocket,
    pub release: Release,
    /// SHA-256 of the signed file.
    pub id: String,
    /// Why this is the cached copy and not the mirror's; goes on after the name.
    pub stale: Option<String>,
}

/// A cached `InRelease` with its validators. Entries of this space are replaced
/// (atomically) when the mirror has a newer one.
#[derive(Debug, Serialize, Deserialize)]
struct Stored {
    stamp: Stamp,
    text: String,
}

/// Everything that decides whether a signed file is believed.
pub(crate) struct Judge<'a> {
    pub trust: &'a Trust,
    pub suite: &'a str,
    /// Seconds since the epoch.
    pub now: i64,
}

impl Judge<'_> {
    fn release(&self, pocket: Pocket, signed: &str) -> Result<Current> {
        let suite = suite_name(self.suite, pocket);
        let name = format!("InRelease of {suite}");
        let text = self.trust.verify(&name, signed, self.now)?;
        let release = Release::parse(&name, &text)?;
        release.check(&name, &suite, self.now)?;
        Ok(Current {
            pocket,
            release,
            id: hex::encode(&Sha256::digest(signed.as_bytes())),
            stale: None,
        })
    }
}

/// Brings one pocket's `InRelease` up to date.
pub(crate) async fn refresh(
    transport: &Transport,
    cache: &Cache,
    mirrors: &Mirrors,
    judge: &Judge<'_>,
    pocket: Pocket,
) -> Result<Current> {
    let suite = suite_name(judge.suite, pocket);
    let name = format!("InRelease of {suite}");
    let url = mirrors.url(pocket, &format!("dists/{suite}/InRelease"));
    let key = hex::encode(&Sha256::digest(url.as_bytes()));
    let cached = load(cache, &key);
    let stamp = cached.as_ref().map(|c| c.stamp.clone()).unwrap_or_default();
    let mut reply = transport.get(&url, &stamp, LIMIT).await;
    if matches!(reply, Ok(Reply::Unchanged)) {
        if let Some(current) = cached
            .as_ref()
            .and_then(|c| judge.release(pocket, &c.text).ok())
        {
            return Ok(current);
        }
        // The cached copy is damaged or expired: ask without conditions.
        reply = transport.get(&url, &Stamp::default(), LIMIT).await;
    }
    match reply {
        Ok(Reply::Body(bytes, stamp)) => {
            let text = String::from_utf8(bytes).map_err(|e| {
                Error::refused(format!("{name} from {} is not text", redact(&url)))
                    .because(e)
                    .hint("this does not look like a Debian mirror; try another one")
            })?;
            let fresh = judge.release(pocket, &text).map_err(|e| at(e, &url))?;
            match cached
                .filter(|c| c.text != text)
                .and_then(|c| judge.release(pocket, &c.text).ok())
            {
                // A mirror behind the others, or someone who wants old packages installed.
                Some(mut known) if known.release.date > fresh.release.date => {
                    known.stale = Some(format!(
                        "is older on the mirror ({}) than the one already seen",
                        date::format(fresh.release.date)
                    ));
                    Ok(known)
                }
                _ => {
                    store(cache, &key, &Stored { stamp, text })?;
                    Ok(fresh)
                }
            }
        }
        Ok(Reply::Unchanged) => Err(Error::environment(format!(
            "{} says that {name} did not change, but it was never fetched",
            redact(&url)
        ))
        .hint("a proxy is confused; try another mirror")),
        Err(Failure::Network(cause)) => match cached.map(|c| judge.release(pocket, &c.text)) {
            Some(Ok(mut current)) => {
                current.stale = Some(format!("cannot be refreshed ({cause})"));
                Ok(current)
            }
            Some(Err(e)) => Err(e.hint(format!(
                "the mirror cannot be reached ({cause}) and the cached copy is of no use"
            ))),
            None => Err(Failure::Network(cause).into_error(&name, &url)),
        },
        Err(Failure::Missing) if pocket == Pocket::Security => Err(Failure::Missing
            .into_error(&name, &url)
            .hint("give the security tree with --security-mirror URL or HOLDFAST_SECURITY_MIRROR")),
        Err(Failure::Missing) => Err(Failure::Missing.into_error(&name, &url).hint(format!(
            "check the mirror's URL, and that Debian has a suite `{}`",
            judge.suite
        ))),
        Err(failure) => Err(failure.into_error(&name, &url)),
    }
}

/// Keeps the kind and hint, adds where it came from.
fn at(e: Error, url: &str) -> Error {
    let hint = e.hint_text().map(String::from);
    let outer = Error::refused(format!("{} is refused", redact(url))).because(e.chain());
    match hint {
        Some(hint) => outer.hint(hint),
        None => outer,
    }
}

fn load(cache: &Cache, key: &str) -> Option<Stored> {
    serde_json::from_slice(&std::fs::read(cache.get("release", key)?).ok()?).ok()
}

fn store(cache: &Cache, key: &str, stored: &Stored) -> Result<()> {
    let json = serde_json::to_vec(stored)
        .map_err(|e| Error::environment("encoding a cache entry").because(e))?;
    cache.put("release", key, |file| {
        file.write_all(&json).map_err(|e| writing(e, cache.root()))
    })?;
    Ok(())
}
