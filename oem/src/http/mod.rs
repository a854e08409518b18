//! HTTP client for metadata services: one deadline for everything, retries by
//! class of failure, capped answers, no proxy, no redirect to another host.
//! Bodies and header values are never logged.

mod backoff;
mod detour;
#[cfg(test)]
pub(crate) mod double;
mod low_port;
mod target;

use crate::error::{Context, Error, Result};
use crate::net::Wake;
use backoff::Backoff;
use reqwest::header::{CONTENT_LENGTH, HOST, HeaderMap, LOCATION};
use reqwest::{Client, Method, redirect};
use std::sync::Arc;
use std::time::Duration;
use target::Target;
use tokio::time::{Instant, timeout, timeout_at};

pub use detour::Detour;

/// Largest user-data accepted, in bytes; also the default cap on answers.
pub const MAX_BODY: usize = 16 << 20;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
const MAX_REDIRECTS: usize = 5;

/// Statuses that say "not now" whoever sends them.
pub fn is_passing(status: u16) -> bool {
    matches!(status, 408 | 410 | 425 | 429 | 500..)
}

/// What to ask for. Not printable: bodies and headers hold secrets.
#[derive(Clone)]
pub struct Request<'a> {
    method: Method,
    url: &'a str,
    headers: &'a [(&'a str, &'a str)],
    body: Vec<u8>,
    again: fn(u16) -> bool,
    low_port: bool,
}

impl<'a> Request<'a> {
    fn new(method: Method, url: &'a str) -> Self {
        Request {
            method,
            url,
            headers: &[],
            body: Vec::new(),
            again: is_passing,
            low_port: false,
        }
    }
    /// GET `url`.
    pub fn get(url: &'a str) -> Self {
        Self::new(Method::GET, url)
    }
    /// PUT nothing to `url`.
    pub fn put(url: &'a str) -> Self {
        Self::new(Method::PUT, url)
    }
    /// POST nothing to `url`.
    pub fn post(url: &'a str) -> Self {
        Self::new(Method::POST, url)
    }
    /// With this body.
    #[must_use]
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }
    /// PATCH `url` with `body`.
    pub fn patch(url: &'a str, body: Vec<u8>) -> Self {
        Request {
            body,
            ..Self::new(Method::PATCH, url)
        }
    }
    /// Sent from a port below 1024, which shows that root asks.
    #[must_use]
    pub fn from_low_port(mut self) -> Self {
        self.low_port = true;
        self
    }
    /// With these headers.
    #[must_use]
    pub fn headers(mut self, headers: &'a [(&'a str, &'a str)]) -> Self {
        self.headers = headers;
        self
    }
    /// Retried when the status is one of these, in place of [`is_passing`].
    #[must_use]
    pub fn again(mut self, again: fn(u16) -> bool) -> Self {
        self.again = again;
        self
    }
}

/// An answer that settles the question: it is not worth asking again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// HTTP status, e.g. 200 or 404.
    pub status: u16,
    /// Body.
    pub body: Vec<u8>,
    headers: HeaderMap,
}

impl Reply {
    /// The body of a success, `None` for any other status.
    pub fn found(self) -> Option<Vec<u8>> {
        self.is_success().then_some(self.body)
    }

    /// Whether the status is one of success.
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// The first value of a header, name in any case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

/// The client. Clones share connections.
#[derive(Debug, Clone)]
pub struct Http {
    /// For plain HTTP to IP addresses, which is what nearly all services are.
    numeric: Client,
    wake: Wake,
    detour: Option<Arc<Detour>>,
}

/// Why one try failed.
enum Failure {
    Retry(String),
    Final(Error),
}

impl Http {
    /// A client whose retries are hurried by `wake`.
    ///
    /// # Errors
    /// When the client cannot be set up.
    pub fn new(wake: Wake) -> Result<Http> {
        // Fails only when one is installed already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        Ok(Http {
            numeric: builder(false).build().environment(no_client)?,
            wake,
            detour: None,
        })
    }

    /// The same, whose connections all go where `detour` says, or nowhere.
    #[must_use]
    pub fn detoured(mut self, detour: Option<Detour>) -> Http {
        self.detour = detour.map(Arc::new);
        self
    }

    /// The same, whose plain requests to IP addresses go to the Unix socket at `path`,
    /// whatever the address.
    ///
    /// # Errors
    /// When the client cannot be set up.
    pub fn at_socket(&self, path: &std::path::Path) -> Result<Http> {
        Ok(Http {
            numeric: builder(false)
                .unix_socket(path)
                .build()
                .environment(no_client)?,
            wake: self.wake(),
            detour: None,
        })
    }

    /// The subscription this client's retries listen to.
    pub fn wake(&self) -> Wake {
        self.wake.clone()
    }

    /// GETs `url`, retrying until `deadline`.
    ///
    /// # Errors
    /// As [`Http::send`].
    pub async fn get(
        &self,
        url: &str,
        headers: &[(&str, &str)],
        deadline: Instant,
    ) -> Result<Reply> {
        self.send(&Request::get(url).headers(headers), deadline)
            .await
    }

    /// PUTs an empty body to `url`, retrying until `deadline`.
    ///
    /// # Errors
    /// As [`Http::send`].
    pub async fn put(
        &self,
        url: &str,
        headers: &[(&str, &str)],
        deadline: Instant,
    ) -> Result<Reply> {
        self.send(&Request::put(url).headers(headers), deadline)
            .await
    }

    /// Asks, retrying until `deadline`. The URL's host may be an IPv6 address with a
    /// zone (`[fe80::1%25eth0]`, RFC 6874).
    ///
    /// # Errors
    /// No final answer before the deadline, a bad URL, an answer over [`MAX_BODY`].
    pub async fn send(&self, request: &Request<'_>, deadline: Instant) -> Result<Reply> {
        let target = Target::parse(request.url)?;
        let mut backoff = Backoff::default();
        let mut wake = self.wake.clone();
        let mut tries = 0;
        loop {
            tries += 1;
            let limit = deadline.min(Instant::now() + REQUEST_TIMEOUT);
            let cause = match timeout_at(limit, self.follow(request, target.clone())).await {
                Ok(Ok(reply)) => return Ok(reply),
                Ok(Err(Failure::Final(error))) => return Err(error),
                Ok(Err(Failure::Retry(cause))) => cause,
                Err(_) => "no answer".to_owned(),
            };
            tracing::debug!("{} {target}: {cause}", request.method);
            let now = Instant::now();
            let pause = backoff.next();
            if now + pause >= deadline {
                let what = format!("{target} gave no answer in time ({tries} tries)");
                return Err(Error::environment(what).because(cause));
            }
            // Not at once after an event: they come in bursts.
            tokio::time::sleep(Backoff::SHORTEST.min(pause)).await;
            let _ = timeout(pause.saturating_sub(Backoff::SHORTEST), wake.changed()).await;
        }
    }

    /// One try, with redirects as far as they stay on the host.
    async fn follow(
        &self,
        request: &Request<'_>,
        mut target: Target,
    ) -> std::result::Result<Reply, Failure> {
        let mut redirects = 0;
        loop {
            let reply = self.once(request, &target).await?;
            let is_redirect = matches!(reply.status, 301 | 302 | 303 | 307 | 308);
            let next = reply
                .headers
                .get(LOCATION)
                .and_then(|to| target.on_same_host(to.to_str().ok()?));
            match next {
                Some(next)
                    if is_redirect
                        && request.method == Method::GET
                        && redirects < MAX_REDIRECTS =>
                {
                    target = next;
                    redirects += 1;
                }
                _ => return Ok(reply),
            }
        }
    }

    async fn once(
        &self,
        asked: &Request<'_>,
        target: &Target,
    ) -> std::result::Result<Reply, Failure> {
        let (client, url, host) = self.way_to(target)?;
        let mut request = client.request(asked.method.clone(), url);
        if let Some(host) = host {
            request = request.header(HOST, host);
        }
        for (name, value) in asked.headers {
            request = request.header(*name, *value);
        }
        if !asked.body.is_empty() {
            request = request.body(asked.body.clone());
        } else if asked.method != Method::GET {
            request = request.header(CONTENT_LENGTH, "0");
        }
        let retry = |e: reqwest::Error| Failure::Retry(innermost(&e));
        let request = request.build().map_err(|e| {
            let what = format!("{target} cannot be requested");
            Failure::Final(Error::input(what).because(innermost(&e)))
        })?;
        let mut response = if asked.low_port {
            low_port::send(request).await?
        } else {
            client.execute(request).await.map_err(retry)?
        };
        let status = response.status().as_u16();
        if (asked.again)(status) {
            return Err(Failure::Retry(format!("HTTP status {status}")));
        }
        let headers = std::mem::take(response.headers_mut());
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(retry)? {
            if body.len() + chunk.len() > MAX_BODY {
                let what = format!("the answer of {target} is over {MAX_BODY} bytes");
                let hint = "put less into user-data, and #include the rest";
                return Err(Failure::Final(Error::input(what).hint(hint)));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Reply {
            status,
            body,
            headers,
        })
    }
}

/// A client that reads the system's certificates, if it is to be `secure`: they may
/// not be there.
fn builder(secure: bool) -> reqwest::ClientBuilder {
    let builder = Client::builder()
        .no_proxy()
        .user_agent(concat!("holdfast-oem/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(CONNECT_TIMEOUT)
        .redirect(redirect::Policy::none());
    if secure {
        builder
    } else {
        builder.tls_certs_only([])
    }
}

fn no_client() -> String {
    "cannot set up the HTTP client".to_owned()
}

/// The cause that says most: reqwest wraps "connection refused" three deep,
/// and its own text repeats the URL.
fn innermost(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    cause.to_string()
}

#[cfg(test)]
mod tests;
