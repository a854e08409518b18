//! HTTP client for metadata services: one deadline for everything, retries by
//! class of failure, capped answers, no proxy, no redirect to another host.
//! Bodies and header values are never logged.

mod backoff;
#[cfg(test)]
pub(crate) mod double;

use crate::error::{Context, Error, Result};
use crate::net::Wake;
use backoff::Backoff;
use reqwest::{Client, Method, Url, redirect};
use std::path::Path;
use std::time::Duration;
use tokio::time::{Instant, timeout, timeout_at};

/// Largest user-data accepted, in bytes; also the default cap on answers.
pub const MAX_BODY: usize = 16 << 20;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
const MAX_REDIRECTS: usize = 5;

/// An answer that settles the question: it is not worth asking again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// HTTP status, e.g. 200 or 404.
    pub status: u16,
    /// Body.
    pub body: Vec<u8>,
}

impl Reply {
    /// The body of a success, `None` for any other status.
    pub fn found(self) -> Option<Vec<u8>> {
        (200..300).contains(&self.status).then_some(self.body)
    }
}

/// The client. Clones share connections.
#[derive(Debug, Clone)]
pub struct Http {
    /// For plain HTTP to IP addresses, which is what nearly all services are.
    numeric: Client,
    wake: Wake,
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
            numeric: client(false)?,
            wake,
        })
    }

    /// The subscription this client's retries listen to.
    pub fn wake(&self) -> Wake {
        self.wake.clone()
    }

    /// GETs `url`, retrying until `deadline`.
    ///
    /// # Errors
    /// No final answer before the deadline, a bad URL, an answer over [`MAX_BODY`].
    pub async fn get(
        &self,
        url: &str,
        headers: &[(&str, &str)],
        deadline: Instant,
    ) -> Result<Reply> {
        self.ask(Method::GET, url, headers, deadline).await
    }

    /// PUTs an empty body to `url`, retrying until `deadline`.
    ///
    /// # Errors
    /// As [`Http::get`].
    pub async fn put(
        &self,
        url: &str,
        headers: &[(&str, &str)],
        deadline: Instant,
    ) -> Result<Reply> {
        self.ask(Method::PUT, url, headers, deadline).await
    }

    async fn ask(
        &self,
        method: Method,
        url: &str,
        headers: &[(&str, &str)],
        deadline: Instant,
    ) -> Result<Reply> {
        let parsed = Url::parse(url).input(|| "a URL cannot be parsed".to_owned())?;
        if !matches!(parsed.scheme(), "http" | "https") {
            return Err(Error::input(format!(
                "{} is not an HTTP URL",
                shown(&parsed)
            )));
        }
        let mut backoff = Backoff::default();
        let mut wake = self.wake.clone();
        let mut tries = 0;
        loop {
            tries += 1;
            let limit = deadline.min(Instant::now() + REQUEST_TIMEOUT);
            let cause = match timeout_at(limit, self.once(&method, &parsed, headers)).await {
                Ok(Ok(reply)) => return Ok(reply),
                Ok(Err(Failure::Final(error))) => return Err(error),
                Ok(Err(Failure::Retry(cause))) => cause,
                Err(_) => "no answer".to_owned(),
            };
            tracing::debug!("{method} {}: {cause}", shown(&parsed));
            let now = Instant::now();
            let pause = backoff.next();
            if now + pause >= deadline {
                let what = format!("{} gave no answer in time ({tries} tries)", shown(&parsed));
                return Err(Error::environment(what).because(cause));
            }
            // Not at once after an event: they come in bursts.
            tokio::time::sleep(Backoff::SHORTEST.min(pause)).await;
            let _ = timeout(pause.saturating_sub(Backoff::SHORTEST), wake.changed()).await;
        }
    }

    async fn once(
        &self,
        method: &Method,
        url: &Url,
        headers: &[(&str, &str)],
    ) -> std::result::Result<Reply, Failure> {
        let client = self.client_for(url)?;
        let mut request = client.request(method.clone(), url.clone());
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if method == Method::PUT {
            request = request.header("Content-Length", "0");
        }
        let retry = |e: reqwest::Error| Failure::Retry(innermost(&e));
        let mut response = request.send().await.map_err(|e| {
            if e.is_builder() {
                let what = format!("{} cannot be requested", shown(url));
                return Failure::Final(Error::input(what).because(innermost(&e)));
            }
            retry(e)
        })?;
        let status = response.status().as_u16();
        if matches!(status, 408 | 410 | 425 | 429 | 500..) {
            return Err(Failure::Retry(format!("HTTP status {status}")));
        }
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(retry)? {
            if body.len() + chunk.len() > MAX_BODY {
                let what = format!("the answer of {} is over {MAX_BODY} bytes", shown(url));
                let hint = "put less into user-data, and #include the rest";
                return Err(Failure::Final(Error::input(what).hint(hint)));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Reply { status, body })
    }

    /// Name servers and search domains arrive with a lease, while we retry, and
    /// the resolver reads its configuration once: a name gets a fresh client.
    fn client_for(&self, url: &Url) -> std::result::Result<Client, Failure> {
        let secure = url.scheme() == "https";
        let numeric = url.host_str().is_some_and(|h| {
            h.trim_matches(['[', ']'])
                .parse::<std::net::IpAddr>()
                .is_ok()
        });
        if numeric && !secure {
            return Ok(self.numeric.clone());
        }
        // Without the file, the resolver would ask public servers.
        if !numeric && !Path::new("/etc/resolv.conf").exists() {
            return Err(Failure::Retry("no name servers known yet".to_owned()));
        }
        client(secure).map_err(Failure::Final)
    }
}

fn client(secure: bool) -> Result<Client> {
    let mut builder = Client::builder()
        .no_proxy()
        .user_agent(concat!("holdfast-oem/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(CONNECT_TIMEOUT)
        .redirect(redirect::Policy::custom(|attempt| {
            let same_host = attempt.previous().last().is_some_and(|from| {
                from.host() == attempt.url().host()
                    && (from.scheme() == attempt.url().scheme() || from.scheme() == "http")
            });
            if same_host && attempt.previous().len() <= MAX_REDIRECTS {
                attempt.follow()
            } else {
                attempt.stop()
            }
        }));
    if !secure {
        // Spares reading the system's certificates, which may not be there.
        builder = builder.tls_certs_only([]);
    }
    builder
        .build()
        .environment(|| "cannot set up the HTTP client".to_owned())
}

/// A URL without credentials and query: for messages.
fn shown(url: &Url) -> String {
    let port = url.port().map(|p| format!(":{p}")).unwrap_or_default();
    format!(
        "{}://{}{port}{}",
        url.scheme(),
        url.host_str().unwrap_or_default(),
        url.path()
    )
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
