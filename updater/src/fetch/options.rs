//! What a user may set about fetching.

use std::num::NonZeroU64;
use std::sync::Arc;
use std::time::Duration;

use super::backoff::Backoff;
use super::progress::Progress;
use super::proxy::Proxy;
use super::throughput::Floor;

/// How to fetch. The default is right for nearly everyone.
#[derive(Clone)]
pub struct Options {
    /// How to get out.
    pub proxy: Proxy,
    /// Most bytes per second; no limit if absent.
    pub limit: Option<NonZeroU64>,
    /// The slowest a mirror may be before another is asked.
    pub floor: Floor,
    /// Longest time to connect, the name's resolution and TLS included.
    pub connect: Duration,
    /// Longest time for one document, all tries and mirrors together.
    pub document: Duration,
    /// Longest time for one range, all tries and mirrors together.
    pub range: Duration,
    /// Longest a `Retry-After` is waited for in place; a longer one is the caller's.
    pub patience: Duration,
    /// Pauses and number of tries.
    pub backoff: Backoff,
    /// Most redirects of one request.
    pub redirects: usize,
    /// Hears how it goes.
    pub progress: Option<Arc<dyn Progress>>,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            proxy: Proxy::Environment,
            limit: None,
            floor: Floor::default(),
            connect: Duration::from_secs(10),
            document: Duration::from_secs(120),
            range: Duration::from_secs(6 * 3600),
            patience: Duration::from_secs(60),
            backoff: Backoff::default(),
            redirects: 5,
            progress: None,
        }
    }
}

impl std::fmt::Debug for Options {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Options")
            .field("proxy", &self.proxy)
            .field("limit", &self.limit)
            .field("floor", &self.floor)
            .field("connect", &self.connect)
            .field("document", &self.document)
            .field("range", &self.range)
            .field("patience", &self.patience)
            .field("backoff", &self.backoff)
            .field("redirects", &self.redirects)
            .finish_non_exhaustive()
    }
}
