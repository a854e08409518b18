//! Fetches what user-data includes: through the client that metadata services
//! are asked with, within a budget, and with a copy kept for each instance.

use crate::error::{Context as _, Error, Result};
use crate::http::Http;
use crate::net::Wake;
use crate::plan::hex;
use crate::root::{Root, SystemView as _};
use crate::userdata::{Absent, Fetch, Wanted};
use sha2::{Digest as _, Sha256};
use std::time::Duration;
use tokio::runtime::Runtime;
use tokio::time::Instant;

/// Copies, by the hash of instance-id and URL. Files are 0600: they hold secrets.
const KEPT: &str = "/var/lib/oem/fetched";
/// For one URL.
const EACH: Duration = Duration::from_secs(20);
/// For all of them.
const ALL: Duration = Duration::from_secs(60);

/// How far [`Remote`] goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// Only copies of earlier boots: there is no network yet.
    Kept,
    /// The network, but nothing is written.
    Look,
    /// The network, and copies are kept.
    Ask,
}

/// A [`Fetch`] over HTTP.
pub struct Remote<'a> {
    root: &'a Root,
    instance: &'a str,
    reach: Reach,
    session: Option<(Runtime, Http, Instant)>,
    /// Something would be asked for if the network were there.
    pub owed: bool,
    /// What the operator should know.
    pub warnings: Vec<String>,
}

impl<'a> Remote<'a> {
    /// For the machine below `root`, as this instance.
    pub fn new(root: &'a Root, instance: Option<&'a str>, reach: Reach) -> Self {
        Remote {
            root,
            instance: instance.unwrap_or_default(),
            reach,
            session: None,
            owed: false,
            warnings: Vec::new(),
        }
    }

    fn ask(&mut self, wanted: &Wanted) -> Result<Vec<u8>> {
        let (runtime, http, end) = match self.session.take() {
            Some(session) => session,
            None => {
                let runtime = tokio::runtime::Builder::new_current_thread()
                    .enable_all()
                    .build()
                    .environment(|| "cannot set up fetching".to_owned())?;
                let end = runtime.block_on(async { Instant::now() + ALL });
                (runtime, Http::new(Wake::never())?, end)
            }
        };
        let headers: Vec<(&str, &str)> = wanted
            .headers
            .iter()
            .map(|(n, v)| (n.as_str(), v.as_str()))
            .collect();
        let reply = runtime.block_on(async {
            let deadline = end.min(Instant::now() + EACH);
            http.get(&wanted.url, &headers, deadline).await
        });
        self.session = Some((runtime, http, end));
        let reply = reply?;
        let status = reply.status;
        let body = reply.found().ok_or_else(|| {
            let hint = match status {
                300..400 => "it leads to another host: write that URL",
                _ => "check the URL",
            };
            Error::environment(format!("HTTP status {status}")).hint(hint)
        })?;
        if let Some(hash) = &wanted.hash {
            hash.check(&body)?;
        }
        Ok(body)
    }

    fn path(&self, wanted: &Wanted) -> String {
        let mut hash = Sha256::new();
        hash.update(self.instance.as_bytes());
        hash.update([0]);
        hash.update(wanted.url.as_bytes());
        format!("{KEPT}/{}", hex(&hash.finalize()))
    }

    /// The copy, if it is still what is wanted.
    fn kept(&self, path: &str, wanted: &Wanted) -> Option<Vec<u8>> {
        let body = self.root.read(path).ok().flatten()?;
        let right = wanted.hash.as_ref().is_none_or(|h| h.check(&body).is_ok());
        right.then_some(body)
    }

    fn keep(&self, path: &str, body: &[u8]) -> Result<()> {
        if self.root.read(path)?.as_deref() == Some(body) {
            return Ok(());
        }
        self.root.make_dir(KEPT, 0o700, None)?;
        self.root.write(path, body, 0o600, None)
    }
}

impl Fetch for Remote<'_> {
    fn fetch(&mut self, wanted: &Wanted) -> std::result::Result<Vec<u8>, Absent> {
        let path = self.path(wanted);
        let kept = self.kept(&path, wanted);
        // What a hash names cannot have changed.
        if let Some(body) = &kept
            && (wanted.once || wanted.hash.is_some())
        {
            return Ok(body.clone());
        }
        if self.reach == Reach::Kept {
            self.owed = true;
            return kept.ok_or(Absent::Later("there is no network yet"));
        }
        match self.ask(wanted) {
            Ok(body) => {
                if self.reach == Reach::Ask
                    && let Err(e) = self.keep(&path, &body)
                {
                    let name = wanted.name();
                    self.warnings
                        .push(format!("no copy of {name} was kept: {}", e.chain()));
                }
                Ok(body)
            }
            Err(e) => match kept {
                // A copy that the owner of the URL replaced must not be used on the sly.
                Some(body) => {
                    let name = wanted.name();
                    self.warnings.push(format!(
                        "{name} could not be fetched; the copy of an earlier boot is used: {}",
                        e.chain()
                    ));
                    Ok(body)
                }
                None => Err(Absent::Failed(e)),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::double::{Answer, ok, serve};

    fn root() -> (tempfile::TempDir, Root) {
        let temp = tempfile::tempdir().unwrap();
        let root = Root::open(temp.path()).unwrap();
        (temp, root)
    }

    fn wanted(url: &str, once: bool) -> Wanted {
        Wanted::parse(url, once).unwrap()
    }

    #[test]
    fn copies_are_kept_by_instance() {
        let server = serve(&[("GET /a", ok("first"))]);
        let (temp, root) = root();
        let url = format!("{}/a", server.url);
        let asked = || server.seen.lock().unwrap().len();

        let mut look = Remote::new(&root, Some("i-1"), Reach::Look);
        assert_eq!(look.fetch(&wanted(&url, false)).unwrap(), b"first");
        assert!(!temp.path().join("var").exists());
        let mut kept = Remote::new(&root, Some("i-1"), Reach::Kept);
        assert!(matches!(
            kept.fetch(&wanted(&url, true)),
            Err(Absent::Later(_))
        ));
        assert!(kept.owed);

        let mut ask = Remote::new(&root, Some("i-1"), Reach::Ask);
        assert_eq!(ask.fetch(&wanted(&url, false)).unwrap(), b"first");
        assert_eq!(asked(), 2);
        // Once an instance: not asked for again.
        let mut kept = Remote::new(&root, Some("i-1"), Reach::Kept);
        assert_eq!(kept.fetch(&wanted(&url, true)).unwrap(), b"first");
        assert!(!kept.owed && kept.fetch(&wanted(&url, false)).is_ok() && kept.owed);
        let mut other = Remote::new(&root, Some("i-2"), Reach::Ask);
        assert!(other.fetch(&wanted(&url, true)).is_ok());
        assert_eq!(asked(), 3);
    }

    #[test]
    fn hashes_hold_and_old_copies_help() {
        let server = serve(&[
            ("GET /a", ok("x")),
            ("GET /away", Answer::Redirect("http://192.0.2.1/".into())),
        ]);
        let (_temp, root) = root();
        let mut ask = Remote::new(&root, None, Reach::Ask);
        let hash = hex(&Sha256::digest(b"x"));
        let url = format!("{}/a", server.url);
        assert!(
            ask.fetch(&wanted(&format!("{url}#sha256={hash}"), false))
                .is_ok()
        );
        let wrong = format!("{url}#sha256={}", "0".repeat(64));
        match ask.fetch(&wanted(&wrong, false)) {
            Err(Absent::Failed(e)) => assert!(e.to_string().contains(&hash)),
            other => panic!("{other:?}"),
        }
        for path in ["away", "gone"] {
            let url = format!("{}/{path}", server.url);
            let Err(Absent::Failed(e)) = ask.fetch(&wanted(&url, false)) else {
                panic!("{path}")
            };
            assert!(e.to_string().contains("HTTP status") && e.hint_text().is_some());
        }
        // The server lost it: the copy is used, and that is told.
        let gone = wanted(&format!("{}/gone", server.url), false);
        ask.keep(&ask.path(&gone), b"old").unwrap();
        assert_eq!(ask.fetch(&gone).unwrap(), b"old");
        assert!(ask.warnings[0].contains("gone could not be fetched"));
    }
}
