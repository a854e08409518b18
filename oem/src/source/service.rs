//! What metadata services over HTTP have in common: several addresses of one service,
//! of which the first that proves itself is used, and documents that may each be
//! missing without costing the others.

use super::{Raw, Scene};
use crate::error::{Error, Result};
use crate::http::Http;
use crate::network::nics;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};

/// How long the other addresses may still answer once one says that it is something
/// else.
const LATE: Duration = Duration::from_millis(500);

/// A session with one address of a service.
#[derive(Debug, Clone)]
pub(crate) struct Session {
    http: Http,
    base: String,
    headers: Vec<(&'static str, String)>,
    deadline: Instant,
}

impl Session {
    /// With `base`, a URL without slash at its end.
    pub(crate) fn new(http: &Http, base: impl Into<String>, deadline: Instant) -> Session {
        Session {
            http: http.clone(),
            base: base.into(),
            headers: Vec::new(),
            deadline,
        }
    }

    /// Where the service is, without slash at the end.
    pub(crate) fn base(&self) -> &str {
        &self.base
    }

    /// The client.
    pub(crate) fn http(&self) -> &Http {
        &self.http
    }

    /// Until when answers are waited for.
    pub(crate) fn deadline(&self) -> Instant {
        self.deadline
    }

    /// Sends a header with every request from now on.
    pub(crate) fn with(mut self, name: &'static str, value: &str) -> Session {
        self.headers.push((name, value.to_owned()));
        self
    }

    /// The document at `path`; `None` when the service has none.
    ///
    /// # Errors
    /// No answer before the deadline.
    pub(crate) async fn get(&self, path: &str) -> Result<Option<Vec<u8>>> {
        let headers: Vec<(&str, &str)> =
            self.headers.iter().map(|(n, v)| (*n, v.as_str())).collect();
        let url = format!("{}{path}", self.base);
        Ok(self.http.get(&url, &headers, self.deadline).await?.found())
    }

    /// A token: what a PUT to `path` gives. `None` when it is refused, or is no token.
    ///
    /// # Errors
    /// No answer before the deadline.
    pub(crate) async fn token(&self, path: &str, ttl: (&str, &str)) -> Result<Option<String>> {
        let url = format!("{}{path}", self.base);
        let reply = self.http.put(&url, &[ttl], self.deadline).await?;
        let token = reply.found().and_then(|body| String::from_utf8(body).ok());
        Ok(token.map(|t| t.trim().to_owned()).filter(|t| is_token(t)))
    }

    /// Adds the document at `path` to `raw` as `name`. One that cannot be had is missing,
    /// and said so in `lost`: what came before it counts.
    pub(crate) async fn add(&self, raw: &mut Raw, name: &str, path: &str, lost: &mut Vec<String>) {
        match self.get(path).await {
            Ok(Some(body)) => drop(raw.insert(name.to_owned(), body)),
            Ok(None) => {}
            Err(error) => lost.push(format!("{name} is missing: {}", error.chain())),
        }
    }
}

/// The metadata address of IPv4, and of IPv6 on every card: it is link-local, so that it
/// needs no route, and no address from anybody.
pub(crate) fn link_local(scene: &Scene) -> Vec<String> {
    let cards = nics::all(&scene.root).into_iter();
    let on_cards = cards.map(|card| format!("http://[fe80::a9fe:a9fe%25{}]", card.name));
    std::iter::once("http://169.254.169.254".to_owned())
        .chain(on_cards)
        .collect()
}

/// Any header value is a token, but a page that says how to log in.
fn is_token(text: &str) -> bool {
    (1..=4096).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic())
}

/// The first of `bases` for which `probe` gives something, all asked at once. `None` when
/// one answered that it is something else and no other is the service.
///
/// # Errors
/// Nobody answered before the deadline.
pub(crate) async fn first<T, P, F>(
    http: &Http,
    bases: impl IntoIterator<Item = impl Into<String>>,
    deadline: Instant,
    probe: P,
) -> Result<Option<(Session, T)>>
where
    T: Send + 'static,
    P: Fn(Session) -> F,
    F: Future<Output = Result<Option<(Session, T)>>> + Send + 'static,
{
    let mut race = JoinSet::new();
    for base in bases {
        race.spawn(probe(Session::new(http, base, deadline)));
    }
    let mut limit = deadline + LATE;
    let mut absent = false;
    let mut failure: Option<Error> = None;
    while let Ok(Some(answer)) = timeout_at(limit, race.join_next()).await {
        match answer {
            Ok(Ok(Some(winner))) => return Ok(Some(winner)),
            Ok(Ok(None)) => {
                absent = true;
                limit = limit.min(Instant::now() + LATE);
            }
            Ok(Err(error)) => failure = failure.or(Some(error)),
            Err(_) => {}
        }
    }
    match failure {
        Some(error) if !absent => Err(error),
        _ => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn cards_have_an_address_of_their_own() {
        let root = tempfile::tempdir().unwrap();
        for card in ["eth1", "eth0", "lo"] {
            let class = root.path().join("sys/class/net").join(card);
            fs::create_dir_all(&class).unwrap();
            if card != "lo" {
                fs::create_dir_all(class.join("device")).unwrap();
            }
        }
        let scene = Scene {
            root: root.path().into(),
            ..Scene::default()
        };
        assert_eq!(
            link_local(&scene),
            [
                "http://169.254.169.254",
                "http://[fe80::a9fe:a9fe%25eth0]",
                "http://[fe80::a9fe:a9fe%25eth1]",
            ]
        );
    }

    #[test]
    fn pages_are_no_tokens() {
        assert!(is_token("AQAAAP-x=="));
        for wrong in ["", "<html> <body>", "a\nb"] {
            assert!(!is_token(wrong), "{wrong}");
        }
    }
}
