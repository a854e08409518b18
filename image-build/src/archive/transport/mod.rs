//! Getting bytes from a mirror: HTTP(S) or a directory, with retries, resume and
//! hash checks. Blocking outside, one current-thread runtime inside.

mod receive;

use std::fs::File;
use std::future::Future;
use std::io::Read;
use std::time::Duration;

use futures_util::StreamExt;
use reqwest::StatusCode;
use reqwest::header::{
    CONTENT_RANGE, ETAG, HeaderMap, IF_MODIFIED_SINCE, IF_NONE_MATCH, LAST_MODIFIED, RANGE,
};
use serde::{Deserialize, Serialize};

use super::mirror::redact;
use crate::error::{Context, Error};
use receive::Partial;

pub(crate) use receive::Expected;

/// A client for mirrors.
pub(crate) struct Transport {
    runtime: tokio::runtime::Runtime,
    client: reqwest::Client,
    /// This host has no CA certificates.
    rootless: bool,
    patience: Patience,
}

/// How long to put up with a bad network.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Patience {
    /// Longest silence.
    pub silence: Duration,
    /// First pause before another attempt; doubles each time.
    pub pause: Duration,
    /// Attempts in a row that bring nothing new.
    pub attempts: u32,
}

impl Default for Patience {
    fn default() -> Self {
        Patience {
            silence: Duration::from_secs(30),
            pause: Duration::from_millis(300),
            attempts: 5,
        }
    }
}

/// Why a transfer failed.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The mirror does not have it.
    Missing,
    /// The network or the mirror failed; another time may do.
    Network(String),
    /// The mirror does not want to: its status.
    Denied(StatusCode),
    /// Final: refused content, a full disk.
    Final(Error),
}

impl Failure {
    /// As an error about `what` at `url`.
    pub fn into_error(self, what: &str, url: &str) -> Error {
        let url = redact(url);
        match self {
            Failure::Missing => Error::environment(format!("{what} is not at {url}"))
                .hint("check the mirror's URL, or try another mirror"),
            Failure::Network(cause) => Error::environment(format!("fetching {what} from {url}"))
                .because(cause)
                .hint(
                    "check the network connection, or try another mirror; what was fetched is kept",
                ),
            Failure::Denied(code) => Error::environment(format!("fetching {what} from {url}"))
                .because(format!("the mirror answered {code}"))
                .hint("check the mirror's URL and credentials, or try another mirror"),
            Failure::Final(error) => error,
        }
    }
}

/// Validators of a cached answer.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Stamp {
    pub etag: Option<String>,
    pub modified: Option<String>,
}

/// Answer to a conditional request.
#[derive(Debug)]
pub(crate) enum Reply {
    Unchanged,
    Body(Vec<u8>, Stamp),
}

/// Directory mirrors: `file://` and plain paths.
fn local(url: &str) -> Option<&str> {
    url.strip_prefix("file://")
        .or_else(|| url.starts_with('/').then_some(url))
}

fn open_local(path: &str) -> Result<File, Failure> {
    File::open(path).map_err(|e| match e.kind() {
        std::io::ErrorKind::NotFound => Failure::Missing,
        _ => Failure::Final(Error::environment(format!("opening {path}")).because(e)),
    })
}

fn status(code: StatusCode) -> Option<Failure> {
    match code {
        c if c.is_success() || c == StatusCode::NOT_MODIFIED => None,
        StatusCode::NOT_FOUND | StatusCode::GONE => Some(Failure::Missing),
        c if c.is_server_error()
            || c == StatusCode::TOO_MANY_REQUESTS
            || c == StatusCode::REQUEST_TIMEOUT =>
        {
            Some(Failure::Network(format!("the mirror answered {c}")))
        }
        c => Some(Failure::Denied(c)),
    }
}

impl Transport {
    pub fn new(patience: Patience) -> crate::error::Result<Self> {
        // Fails when it is installed already, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .environment(|| "starting the network runtime".into())?;
        let builder = || {
            reqwest::Client::builder()
                .user_agent(concat!("holdfast/", env!("CARGO_PKG_VERSION")))
                .connect_timeout(patience.silence.min(Duration::from_secs(15)))
                .read_timeout(patience.silence)
        };
        // A host without CA certificates (a slim container) can still use http mirrors:
        // trust comes from signatures and hashes.
        let (client, rootless) = match builder().build() {
            Ok(client) => (client, false),
            Err(_) => {
                let client = builder().tls_certs_only([]).build();
                (
                    client.environment(|| "setting up the HTTP client".into())?,
                    true,
                )
            }
        };
        Ok(Transport {
            runtime,
            client,
            rootless,
            patience,
        })
    }

    pub fn block_on<F: Future>(&self, work: F) -> F::Output {
        self.runtime.block_on(work)
    }

    /// Names the innermost cause: the outer ones only repeat the URL.
    fn network(&self, e: &reqwest::Error) -> Failure {
        let mut cause: &dyn std::error::Error = e;
        let mut text = String::from("the connection failed");
        while let Some(inner) = cause.source() {
            cause = inner;
            text = cause.to_string();
            // The resolver's own words are of no use to a user.
            if text.starts_with("dns error") {
                return Failure::Network("the host's name cannot be resolved".into());
            }
        }
        Failure::Network(if e.is_timeout() {
            "the mirror stopped answering".into()
        } else if self.rootless && text.contains("certificate") {
            "this machine has no CA certificates; install them or use an http:// mirror".into()
        } else {
            text
        })
    }

    /// Fetches a small file if it changed; `limit` in bytes.
    pub async fn get(&self, url: &str, stamp: &Stamp, limit: u64) -> Result<Reply, Failure> {
        if let Some(path) = local(url) {
            let mut body = Vec::new();
            let read = open_local(path)?.take(limit).read_to_end(&mut body);
            read.map_err(|e| {
                Failure::Final(Error::environment(format!("reading {path}")).because(e))
            })?;
            return Ok(Reply::Body(body, Stamp::default()));
        }
        let mut pause = self.patience.pause;
        let mut attempt = 1;
        loop {
            match self.get_once(url, stamp, limit).await {
                Err(Failure::Network(_)) if attempt < self.patience.attempts.min(3) => {
                    tokio::time::sleep(pause).await;
                    pause *= 2;
                    attempt += 1;
                }
                other => return other,
            }
        }
    }

    async fn get_once(&self, url: &str, stamp: &Stamp, limit: u64) -> Result<Reply, Failure> {
        let mut request = self.client.get(url);
        if let Some(etag) = &stamp.etag {
            request = request.header(IF_NONE_MATCH, etag);
        }
        if let Some(modified) = &stamp.modified {
            request = request.header(IF_MODIFIED_SINCE, modified);
        }
        let response = request.send().await.map_err(|e| self.network(&e))?;
        if let Some(failure) = status(response.status()) {
            return Err(failure);
        }
        if response.status() == StatusCode::NOT_MODIFIED {
            return Ok(Reply::Unchanged);
        }
        let stamp = Stamp {
            etag: text(response.headers(), ETAG),
            modified: text(response.headers(), LAST_MODIFIED),
        };
        let mut body = Vec::new();
        let mut stream = response.bytes_stream();
        while let Some(chunk) = stream.next().await {
            body.extend_from_slice(&chunk.map_err(|e| self.network(&e))?);
            if body.len() as u64 > limit {
                return Err(Failure::Final(Error::refused(format!(
                    "{} is larger than {limit} bytes",
                    redact(url)
                ))));
            }
        }
        Ok(Reply::Body(body, stamp))
    }

    /// Fetches a file of known size and hash into `file`. `on_bytes` hears of every
    /// chunk. Returns only when the content is right.
    pub async fn download(
        &self,
        url: &str,
        expected: Expected<'_>,
        file: &mut File,
        on_bytes: &dyn Fn(u64),
    ) -> Result<(), Failure> {
        let mut partial = Partial::new(url, expected, file, on_bytes);
        if let Some(path) = local(url) {
            partial.copy(path)?;
            return partial.finish();
        }
        let mut pause = self.patience.pause;
        let mut attempt = 1;
        // A mirror that dies after every few bytes is not resumed for ever.
        for _ in 0..100 {
            let before = partial.written();
            match self.stream(url, &mut partial).await {
                Ok(()) => return partial.finish(),
                Err(Failure::Network(cause)) => {
                    if partial.written() > before {
                        attempt = 1;
                        pause = self.patience.pause;
                    } else if attempt >= self.patience.attempts {
                        return Err(Failure::Network(cause));
                    }
                    tokio::time::sleep(pause).await;
                    pause *= 2;
                    attempt += 1;
                }
                Err(failure) => return Err(failure),
            }
        }
        Err(Failure::Network(
            "the mirror closed the connection too often".into(),
        ))
    }

    /// One attempt, going on where the last one stopped.
    async fn stream(&self, url: &str, partial: &mut Partial<'_>) -> Result<(), Failure> {
        let from = partial.written();
        let mut request = self.client.get(url);
        if from > 0 {
            request = request.header(RANGE, format!("bytes={from}-"));
        }
        let response = request.send().await.map_err(|e| self.network(&e))?;
        if let Some(failure) = status(response.status()) {
            return Err(failure);
        }
        let resumed = response.status() == StatusCode::PARTIAL_CONTENT
            && text(response.headers(), CONTENT_RANGE)
                .is_some_and(|r| r.starts_with(&format!("bytes {from}-")));
        if !resumed {
            partial.restart()?;
            partial.announce(response.content_length())?;
        }
        let mut stream = response.bytes_stream();
        while let Some(chunk) = stream.next().await {
            partial.accept(&chunk.map_err(|e| self.network(&e))?)?;
        }
        partial.is_complete()
    }
}

fn text(headers: &HeaderMap, name: reqwest::header::HeaderName) -> Option<String> {
    headers.get(name)?.to_str().ok().map(String::from)
}
