//! Getting bytes from a mirror: HTTP(S) or a directory, with retries, resume and
//! hash checks. Blocking outside, one current-thread runtime inside.

use std::fs::File;
use std::future::Future;
use std::io::{Read, Seek, SeekFrom, Write};
use std::time::Duration;

use futures_util::StreamExt;
use reqwest::StatusCode;
use reqwest::header::{
    CONTENT_RANGE, ETAG, HeaderMap, IF_MODIFIED_SINCE, IF_NONE_MATCH, LAST_MODIFIED, RANGE,
};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::mirror::redact;
use crate::error::{Context, Error, Result};

/// A client for mirrors.
pub(crate) struct Transport {
    runtime: tokio::runtime::Runtime,
    client: reqwest::Client,
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

/// What a file must be.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Expected<'a> {
    /// For messages.
    pub name: &'a str,
    pub size: u64,
    pub sha256: &'a str,
}

/// A file being received.
struct Partial<'a> {
    file: &'a mut File,
    hasher: Sha256,
    written: u64,
}

impl Partial<'_> {
    fn restart(&mut self) -> std::io::Result<()> {
        self.file.set_len(0)?;
        self.file.seek(SeekFrom::Start(0))?;
        self.hasher = Sha256::new();
        self.written = 0;
        Ok(())
    }
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes
        .iter()
        .fold(String::with_capacity(bytes.len() * 2), |mut out, b| {
            let _ = write!(out, "{b:02x}");
            out
        })
}

/// Directory mirrors: `file://` and plain paths.
fn local(url: &str) -> Option<&str> {
    url.strip_prefix("file://")
        .or_else(|| url.starts_with('/').then_some(url))
}

fn open_local(path: &str) -> std::result::Result<File, Failure> {
    File::open(path).map_err(|e| match e.kind() {
        std::io::ErrorKind::NotFound => Failure::Missing,
        _ => Failure::Final(Error::environment(format!("opening {path}")).because(e)),
    })
}

/// Names the innermost cause: the outer ones only repeat the URL.
fn network(e: reqwest::Error) -> Failure {
    let e = e.without_url();
    let mut cause: &dyn std::error::Error = &e;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    let text = if e.is_timeout() {
        "the mirror stopped answering".to_string()
    } else {
        cause.to_string()
    };
    Failure::Network(text)
}

fn status(code: StatusCode) -> Option<Failure> {
    match code {
        c if c.is_success() || c == StatusCode::NOT_MODIFIED => None,
        StatusCode::NOT_FOUND | StatusCode::GONE => Some(Failure::Missing),
        c if c.is_server_error() || c == StatusCode::TOO_MANY_REQUESTS || c == StatusCode::REQUEST_TIMEOUT => {
            Some(Failure::Network(format!("the mirror answered {c}")))
        }
        c => Some(Failure::Final(Error::environment(format!("the mirror answered {c}")).hint(
            "the mirror refuses this client; check its URL and credentials, or try another mirror",
        ))),
    }
}

impl Transport {
    pub fn new(patience: Patience) -> Result<Self> {
        // Fails when it is installed already, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .environment(|| "starting the network runtime".into())?;
        let client = reqwest::Client::builder()
            .user_agent(concat!("holdfast/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(patience.silence.min(Duration::from_secs(15)))
            .read_timeout(patience.silence)
            .build()
            .environment(|| "setting up the HTTP client".into())?;
        Ok(Transport {
            runtime,
            client,
            patience,
        })
    }

    pub fn block_on<F: Future>(&self, work: F) -> F::Output {
        self.runtime.block_on(work)
    }

    /// Fetches a small file if it changed; `limit` in bytes.
    pub async fn get(
        &self,
        url: &str,
        stamp: &Stamp,
        limit: u64,
    ) -> std::result::Result<Reply, Failure> {
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

    async fn get_once(
        &self,
        url: &str,
        stamp: &Stamp,
        limit: u64,
    ) -> std::result::Result<Reply, Failure> {
        let mut request = self.client.get(url);
        if let Some(etag) = &stamp.etag {
            request = request.header(IF_NONE_MATCH, etag);
        }
        if let Some(modified) = &stamp.modified {
            request = request.header(IF_MODIFIED_SINCE, modified);
        }
        let response = request.send().await.map_err(network)?;
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
            body.extend_from_slice(&chunk.map_err(network)?);
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
    ) -> std::result::Result<(), Failure> {
        let mut partial = Partial {
            file,
            hasher: Sha256::new(),
            written: 0,
        };
        if let Some(path) = local(url) {
            copy_local(path, expected, &mut partial, on_bytes)?;
            return finish(url, expected, partial);
        }
        let mut pause = self.patience.pause;
        let mut attempt = 1;
        // A mirror that dies after every few bytes is not resumed for ever.
        for _ in 0..100 {
            let before = partial.written;
            match self.stream(url, expected, &mut partial, on_bytes).await {
                Ok(()) => return finish(url, expected, partial),
                Err(Failure::Network(cause)) => {
                    if partial.written > before {
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
    async fn stream(
        &self,
        url: &str,
        expected: Expected<'_>,
        partial: &mut Partial<'_>,
        on_bytes: &dyn Fn(u64),
    ) -> std::result::Result<(), Failure> {
        let mut request = self.client.get(url);
        if partial.written > 0 {
            request = request.header(RANGE, format!("bytes={}-", partial.written));
        }
        let response = request.send().await.map_err(network)?;
        if let Some(failure) = status(response.status()) {
            return Err(failure);
        }
        let resumed = response.status() == StatusCode::PARTIAL_CONTENT
            && text(response.headers(), CONTENT_RANGE)
                .is_some_and(|r| r.starts_with(&format!("bytes {}-", partial.written)));
        if !resumed {
            partial.restart().map_err(disk)?;
            if let Some(len) = response
                .content_length()
                .filter(|len| *len != expected.size)
            {
                return Err(wrong(
                    url,
                    expected,
                    &format!("it has {len} bytes instead of {}", expected.size),
                ));
            }
        }
        let mut stream = response.bytes_stream();
        while let Some(chunk) = stream.next().await {
            accept(url, expected, partial, &chunk.map_err(network)?, on_bytes)?;
        }
        if partial.written < expected.size {
            return Err(Failure::Network(format!(
                "the connection closed after {} of {} bytes",
                partial.written, expected.size
            )));
        }
        Ok(())
    }
}

fn text(headers: &HeaderMap, name: reqwest::header::HeaderName) -> Option<String> {
    headers.get(name)?.to_str().ok().map(String::from)
}

fn disk(e: std::io::Error) -> Failure {
    Failure::Final(crate::cache::full_disk(
        e,
        std::path::Path::new("the cache"),
    ))
}

fn wrong(url: &str, expected: Expected<'_>, why: &str) -> Failure {
    Failure::Final(
        Error::refused(format!(
            "{} from {} is not what the signed index lists: {why}",
            expected.name,
            redact(url)
        ))
        .hint("the mirror or a proxy changed or cut it; try again or use another mirror"),
    )
}

fn accept(
    url: &str,
    expected: Expected<'_>,
    partial: &mut Partial<'_>,
    chunk: &[u8],
    on_bytes: &dyn Fn(u64),
) -> std::result::Result<(), Failure> {
    if partial.written + chunk.len() as u64 > expected.size {
        return Err(wrong(
            url,
            expected,
            &format!("it is longer than {} bytes", expected.size),
        ));
    }
    partial.file.write_all(chunk).map_err(disk)?;
    partial.hasher.update(chunk);
    partial.written += chunk.len() as u64;
    on_bytes(chunk.len() as u64);
    Ok(())
}

fn copy_local(
    path: &str,
    expected: Expected<'_>,
    partial: &mut Partial<'_>,
    on_bytes: &dyn Fn(u64),
) -> std::result::Result<(), Failure> {
    let mut source = open_local(path)?;
    let mut buffer = vec![0; 1 << 18];
    loop {
        let n = source.read(&mut buffer).map_err(|e| {
            Failure::Final(Error::environment(format!("reading {path}")).because(e))
        })?;
        if n == 0 {
            return Ok(());
        }
        accept(
            path,
            expected,
            partial,
            buffer.get(..n).unwrap_or_default(),
            on_bytes,
        )?;
    }
}

fn finish(
    url: &str,
    expected: Expected<'_>,
    partial: Partial<'_>,
) -> std::result::Result<(), Failure> {
    if partial.written != expected.size {
        return Err(wrong(
            url,
            expected,
            &format!(
                "it has {} bytes instead of {}",
                partial.written, expected.size
            ),
        ));
    }
    let got = hex(&partial.hasher.finalize());
    if got != expected.sha256 {
        return Err(wrong(
            url,
            expected,
            &format!("its SHA-256 is {got} instead of {}", expected.sha256),
        ));
    }
    Ok(())
}
