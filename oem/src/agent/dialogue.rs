//! What goes back and forth with a provider besides its data, once these are applied:
//! passwords at every boot, and how the configuration went. Each has a time limit of
//! its own, and nobody who wants to log in waits for them.

use super::{MARGIN, Surroundings, cache, look};
use crate::configure::set_passwords;
use crate::error::{Error, Result};
use crate::http::Http;
use crate::metadata::{Fetched, INSTANCES};
use crate::net::Wake;
use crate::provider::{Provider, Verdict, by_name};
use crate::root::{Found, Root, SystemView};
use crate::source::{Scene, passwords};
use crate::status::{Asked, Report, State};
use std::time::Duration;
use tokio::runtime::Runtime;
use tokio::time::{Instant, timeout_at};

/// A conversation with one provider. Must not be used inside an async runtime.
pub struct Dialogue<'a> {
    provider: &'static Provider,
    /// Without the data, which may be large.
    fetched: Fetched,
    root: &'a Root,
    scene: Scene,
    http: Http,
    runtime: Runtime,
    surroundings: &'a Surroundings,
}

impl<'a> Dialogue<'a> {
    /// With the provider that gave `fetched`; `None` when it has no more to say and
    /// wants to hear nothing.
    ///
    /// # Errors
    /// The runtime or the HTTP client cannot be set up.
    pub fn with(
        fetched: &Fetched,
        root: &'a Root,
        surroundings: &'a Surroundings,
    ) -> Result<Option<Self>> {
        let provider = by_name(&fetched.provider);
        let Some(provider) = provider.filter(|p| p.report.is_some() || p.passwords.is_some())
        else {
            return Ok(None);
        };
        let fetched = Fetched {
            provider: fetched.provider.clone(),
            source: fetched.source.clone(),
            metadata: fetched.metadata.clone(),
            ..Fetched::default()
        };
        Ok(Some(Dialogue {
            provider,
            fetched,
            root,
            scene: look(root.path()).0,
            http: Http::new(Wake::never())?.detoured(surroundings.detour.clone()),
            runtime: super::runtime()?,
            surroundings,
        }))
    }

    /// Everything there is to say after the configuration went as `report` says.
    /// What came of it is added to the report. Whether all was said: else the provider
    /// still waits for it.
    pub fn hold(&self, report: &mut Report) -> bool {
        let asked = |what: &str, result: String| Asked {
            provider: self.provider.name.to_owned(),
            source: what.to_owned(),
            result,
        };
        match self.password(report) {
            Ok(None) => {}
            Ok(Some(result)) => report.asked.push(asked("password server", result)),
            Err(e) => report.asked.push(asked("password server", e.chain())),
        }
        match self.report(report.wrong().as_deref()) {
            Ok(None) => {}
            Ok(Some(result)) => report.asked.push(asked("report", result)),
            Err(e) => {
                report.asked.push(asked("report", e.chain()));
                return false;
            }
        }
        true
    }

    /// Asks for a password, sets it, and tells that it is set.
    fn password(&self, report: &mut Report) -> Result<Option<String>> {
        let Some(server) = &self.provider.passwords else {
            return Ok(None);
        };
        let time = self.surroundings.budget.password;
        let ask = |limit| (server.ask)(&self.scene, &self.http, &self.fetched, limit);
        let Some(secret) = self.within(time, ask)? else {
            return Ok(Some("nothing to set".into()));
        };
        let password = [passwords::of_core(secret)];
        let done = set_passwords(self.root, &self.fetched.metadata, &password)?;
        let is_set = |s: State| matches!(s, State::Done | State::Unchanged);
        let all = !done.is_empty() && done.iter().all(|r| is_set(r.state));
        report.resources.extend(done);
        if !all {
            return Ok(Some("not set, so it will be asked for again".into()));
        }
        let saved = |limit| (server.saved)(&self.scene, &self.http, &self.fetched, limit);
        self.within(time, saved)?;
        Ok(Some("set and acknowledged".into()))
    }

    /// Tells how the configuration went; `wrong` is what did not go well. What was
    /// told, for people.
    ///
    /// # Errors
    /// No answer in time, or it was refused.
    pub fn report(&self, wrong: Option<&str>) -> Result<Option<String>> {
        let Some(report) = self.provider.report else {
            return Ok(None);
        };
        let instance = cache::directory(&self.fetched, &self.scene.evidence);
        let mark = format!("{INSTANCES}/{instance}/reported");
        let verdict = Verdict {
            metadata: &self.fetched.metadata,
            wrong,
            first: self.root.look(&mark)? == Found::Missing,
        };
        let send = |limit| report(&self.scene, &self.http, &verdict, limit);
        let told = self.within(self.surroundings.budget.report, send)?;
        if verdict.first && wrong.is_none() && told.is_some() {
            self.root.write(&mark, b"", 0o600, None)?;
        }
        Ok(told)
    }

    fn within<T, F>(&self, time: Duration, f: impl FnOnce(Instant) -> F) -> Result<T>
    where
        F: Future<Output = Result<T>>,
    {
        let name = self.provider.title;
        self.runtime.block_on(async {
            let limit = Instant::now() + time;
            // Requests end by themselves at the limit; this is for what else may hang.
            let answer = timeout_at(limit + MARGIN, f(limit)).await;
            answer.unwrap_or_else(|_| Err(Error::environment(format!("{name} is silent"))))
        })
    }
}
