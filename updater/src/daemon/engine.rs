//! The loop: events in, effects out.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::{oneshot, watch};
use tokio::task::AbortHandle;

use super::bus::logind;
use super::counters::Counters;
use super::worker::{self, Answer, Cancel, Job, Worker};
use super::{Host, RebootLock, Snapshot, lock};
use crate::config::{self, Config, Loaded, Strategy};
use crate::health::{self, Assessment};
use crate::state::{Delay, Effect, Event, Gates, Memory, Phase, Policy, Request};
use crate::state::{State, Store, Timer, Trouble, TroubleKind};
use crate::update;

/// What the service works on.
#[derive(Debug, Clone)]
pub struct Options {
    /// `/` on a running machine.
    pub root: PathBuf,
    /// See [`Assessment::boot_complete`].
    pub boot_complete: Vec<String>,
}

impl Options {
    /// For the system below `root`.
    pub fn new(root: PathBuf) -> Self {
        Options {
            root,
            boot_complete: Assessment::systemd(),
        }
    }
}

/// Between two tries to find out what is booted.
const FACTS_AGAIN: Duration = Duration::from_secs(30);

#[derive(Debug)]
pub(super) enum Message {
    Event(Event),
    NoFacts(Trouble),
    FactsAgain,
    Ask(Request, oneshot::Sender<Result<(), String>>),
    Bus(Option<zbus::Connection>),
    Reload,
    Stop,
}

/// Access to a running [`Engine`].
#[derive(Debug, Clone)]
pub struct Handle {
    send: UnboundedSender<Message>,
    watch: watch::Receiver<Snapshot>,
    state: Arc<Path>,
}

impl Handle {
    /// Asks for something; the error says why it is denied.
    pub async fn ask(&self, request: Request) -> Result<(), String> {
        let (answer, answered) = oneshot::channel();
        let _ = self.send.send(Message::Ask(request, answer));
        answered
            .await
            .unwrap_or_else(|_| Err("the service is stopping".to_owned()))
    }

    /// How things stand.
    pub fn snapshot(&self) -> Snapshot {
        self.watch.borrow().clone()
    }

    /// Waits until they stand differently. False when the service has stopped.
    pub async fn changed(&mut self) -> bool {
        self.watch.changed().await.is_ok()
    }

    /// The newest report of a release that failed, in words; empty if none did.
    pub fn last_failure(&self) -> String {
        let failed = health::reports(&self.state).into_iter().rev();
        let mut failed = failed.filter(|report| !report.healthy);
        failed.next().map_or(String::new(), |report| report.told())
    }

    /// Reads the configuration again.
    pub fn reload(&self) {
        let _ = self.send.send(Message::Reload);
    }

    /// Stops the service; an installation can be resumed.
    pub fn stop(&self) {
        let _ = self.send.send(Message::Stop);
    }

    pub(super) fn bus(&self, connection: Option<zbus::Connection>) {
        let _ = self.send.send(Message::Bus(connection));
    }
}

/// The service without its interfaces.
pub struct Engine {
    options: Options,
    state: State,
    loaded: Loaded,
    /// `None` when what is stored cannot be read: it is left alone then.
    store: Option<Store>,
    store_problem: Option<String>,
    counters: Counters,
    jobs: mpsc::Sender<Job>,
    cancel: Cancel,
    host: Arc<dyn Host>,
    lock: Arc<Mutex<Box<dyn RebootLock>>>,
    bus: Option<zbus::Connection>,
    timers: HashMap<Timer, AbortHandle>,
    send: UnboundedSender<Message>,
    receive: UnboundedReceiver<Message>,
    watch: watch::Sender<Snapshot>,
}

impl Engine {
    /// Reads configuration and stored state, and starts the worker's thread.
    pub fn new(options: Options, worker: Box<dyn Worker>, host: Arc<dyn Host>) -> (Self, Handle) {
        let (send, receive) = unbounded_channel();
        let loaded = config::load(&options.root);
        let (store, memory, store_problem) = open_store(&options);
        let cancel = Cancel::default();
        let answers = send.clone();
        let jobs = worker::start(worker, cancel.clone(), move |answer| {
            let _ = answers.send(match answer {
                Answer::Event(event) => Message::Event(event),
                Answer::NoFacts(trouble) => Message::NoFacts(trouble),
            });
        });
        let state = State::new(memory, policy(&options, &loaded));
        let lock = Arc::new(Mutex::new(lock::of(&loaded.config)));
        let first = snapshot(
            &state,
            &loaded,
            store_problem.as_deref(),
            &Counters::default(),
        );
        let (watch, watched) = watch::channel(first);
        let handle = Handle {
            send: send.clone(),
            watch: watched,
            state: options.root.join(crate::STATE).into(),
        };
        let engine = Engine {
            options,
            state,
            loaded,
            store,
            store_problem,
            counters: Counters::default(),
            jobs,
            cancel,
            host,
            lock,
            bus: None,
            timers: HashMap::new(),
            send,
            receive,
            watch,
        };
        (engine, handle)
    }

    /// Runs until it is told to stop.
    pub async fn run(mut self) {
        self.tell_problems();
        self.job(Job::Configure(self.loaded.config.clone()));
        self.job(Job::Facts);
        while let Some(message) = self.receive.recv().await {
            match message {
                Message::Event(event) => drop(self.step(event)),
                Message::Ask(request, answer) => {
                    tracing::info!(?request, "asked");
                    let _ = answer.send(self.step(Event::Asked(request)));
                }
                Message::NoFacts(trouble) => {
                    tracing::error!("what is booted cannot be told: {}", trouble.text);
                    self.state.trouble = Some(trouble);
                    self.publish();
                    self.send_later(Message::FactsAgain, FACTS_AGAIN);
                }
                Message::FactsAgain => self.job(Job::Facts),
                Message::Bus(bus) => self.bus = bus,
                Message::Reload => self.reload(),
                Message::Stop => break,
            }
        }
        self.cancel.set(true);
        for timer in self.timers.into_values() {
            timer.abort();
        }
    }

    /// One step. An error says why a request is denied.
    fn step(&mut self, event: Event) -> Result<(), String> {
        self.counters.event(&event);
        let before = self.state.phase.name();
        let state = self.state.clone();
        let stale = state.stale;
        let (state, effects) = state.step(now(), event);
        self.state = state;
        if self.state.stale && !stale {
            tracing::error!(
                since = self.state.waiting,
                "no repository has answered with metadata that can be trusted for too long"
            );
        }
        let after = self.state.phase.name();
        if before != after {
            let version = self.state.subject().map_or("", |r| &r.version);
            tracing::info!(from = before, to = after, version, "state");
        }
        let mut result = Ok(());
        for effect in effects {
            self.counters.effect(&effect);
            if let Effect::Deny(why) = effect {
                result = Err(why);
            } else {
                self.carry_out(effect);
            }
        }
        self.publish();
        result
    }

    fn carry_out(&mut self, effect: Effect) {
        match effect {
            Effect::Deny(_) => {}
            Effect::Remember => self.remember(),
            Effect::Assess => self.assess(),
            Effect::Bless => self.job(Job::Bless),
            Effect::Check(wish) => self.job(Job::Check(wish)),
            Effect::Install(offer) => {
                self.cancel.set(false);
                self.job(Job::Install(offer));
            }
            Effect::Cancel => self.cancel.set(true),
            Effect::Unstage => self.job(Job::Unstage),
            Effect::RollBack => self.job(Job::RollBack),
            Effect::LookAtGates => self.look_at_gates(),
            Effect::TakeLock => {
                let lock = self.lock.clone();
                self.in_thread(move || {
                    let mut lock = lock.lock().unwrap_or_else(PoisonError::into_inner);
                    Some(
                        lock.take()
                            .map_or_else(Event::LockRefused, |()| Event::Locked),
                    )
                });
            }
            Effect::ReleaseLock => {
                let lock = self.lock.clone();
                self.in_thread(move || {
                    let mut lock = lock.lock().unwrap_or_else(PoisonError::into_inner);
                    if let Err(e) = lock.give_back() {
                        tracing::warn!("the reboot lock cannot be given back: {e}");
                    }
                    None
                });
            }
            Effect::Warn(seconds) => {
                let after = config::in_words(seconds);
                self.tell(format!(
                    "This machine reboots in {after} to start an update. `updater hold` prevents it."
                ));
            }
            Effect::Unwarn => self.tell("The reboot will not happen now.".to_owned()),
            Effect::Reboot(why) => {
                tracing::warn!(?why, "rebooting");
                let host = self.host.clone();
                self.in_thread(move || {
                    let text = host.reboot(why).err()?;
                    tracing::error!("the machine cannot be rebooted: {text}");
                    Some(Event::RebootFailed(Trouble {
                        kind: TroubleKind::Machine,
                        text: format!("the machine cannot be rebooted: {text}"),
                        ..Trouble::default()
                    }))
                });
            }
            Effect::Set(timer, delay) => {
                let handle = self.send_later(Message::Event(Event::Due(timer)), jittered(delay));
                if let Some(old) = self.timers.insert(timer, handle) {
                    old.abort();
                }
            }
            Effect::Stop(timer) => {
                if let Some(old) = self.timers.remove(&timer) {
                    old.abort();
                }
            }
        }
    }

    fn job(&self, job: Job) {
        // The thread lives as long as the sender.
        let _ = self.jobs.send(job);
    }

    fn in_thread(&self, work: impl FnOnce() -> Option<Event> + Send + 'static) {
        let send = self.send.clone();
        std::thread::spawn(move || {
            if let Some(event) = work() {
                let _ = send.send(Message::Event(event));
            }
        });
    }

    fn send_later(&self, message: Message, after: Duration) -> AbortHandle {
        let send = self.send.clone();
        let task = tokio::spawn(async move {
            tokio::time::sleep(after).await;
            let _ = send.send(message);
        });
        task.abort_handle()
    }

    fn remember(&mut self) {
        let Some(store) = &self.store else { return };
        if let Err(e) = store.save(&self.state.memory) {
            tracing::error!(hint = e.hint(), "the state cannot be kept: {e}");
            self.store_problem = Some(format!("the state cannot be kept: {e}"));
        } else {
            self.store_problem = None;
        }
    }

    fn assess(&self) {
        let config = &self.loaded.config;
        let assessment = Assessment {
            root: self.options.root.clone(),
            version: self.state.booted.version.clone(),
            trial: self.state.trial,
            timeout: config.health_timeout,
            check_timeout: config.health_check_timeout,
            boot_complete: self.options.boot_complete.clone(),
        };
        self.in_thread(move || {
            let report = assessment.run();
            let summary = report.summary();
            if report.healthy {
                tracing::info!(version = report.version, "healthy");
                return Some(Event::Healthy);
            }
            tracing::error!(version = report.version, "unhealthy: {summary}");
            Some(Event::Unhealthy(summary))
        });
    }

    fn look_at_gates(&self) {
        let (send, bus) = (self.send.clone(), self.bus.clone());
        let windows = self.loaded.config.windows.clone();
        tokio::spawn(async move {
            let (inhibitors, sessions) = match &bus {
                Some(bus) => logind::look(bus).await,
                None => (Vec::new(), Vec::new()),
            };
            let gates = Gates {
                window: config::opening(&windows, now()),
                inhibitors,
                sessions: sessions.len(),
            };
            let _ = send.send(Message::Event(Event::Gates(gates)));
        });
    }

    /// Tells users who are logged in.
    fn tell(&self, message: String) {
        let (host, bus) = (self.host.clone(), self.bus.clone());
        tokio::spawn(async move {
            if let Some(bus) = bus {
                let (_, terminals) = logind::look(&bus).await;
                host.tell(&terminals, &message);
            }
        });
    }

    fn reload(&mut self) {
        self.loaded = config::load(&self.options.root);
        self.tell_problems();
        self.job(Job::Configure(self.loaded.config.clone()));
        let lock = lock::of(&self.loaded.config);
        *self.lock.lock().unwrap_or_else(PoisonError::into_inner) = lock;
        let _ = self.step(Event::Configured(policy(&self.options, &self.loaded)));
    }

    fn tell_problems(&self) {
        for problem in &self.loaded.problems {
            let hint = problem.hint.as_deref().unwrap_or_default();
            tracing::error!(hint, "configuration: {problem}");
        }
    }

    fn publish(&self) {
        let new = snapshot(
            &self.state,
            &self.loaded,
            self.store_problem.as_deref(),
            &self.counters,
        );
        self.watch.send_if_modified(|old| {
            let changed = *old != new;
            *old = new;
            changed
        });
    }
}

/// What cannot be read is left alone, and nothing is done that it might forbid.
fn open_store(options: &Options) -> (Option<Store>, Memory, Option<String>) {
    match Store::open(&options.root.join(crate::STATE)) {
        Ok((store, memory)) => (Some(store), memory, None),
        Err(e) => {
            tracing::error!(hint = e.hint(), "the stored state cannot be used: {e}");
            let problem = format!("the stored state cannot be used: {e} ({})", e.hint());
            let memory = Memory {
                hold: Some(problem.clone()),
                ..Memory::default()
            };
            (None, memory, Some(problem))
        }
    }
}

fn policy(options: &Options, loaded: &Loaded) -> Policy {
    let config: &Config = &loaded.config;
    Policy {
        source: !config.servers.is_empty(),
        trusts: options.root.join(update::ROOT).exists(),
        automatic: config.enabled && !config.servers.is_empty(),
        broken: !loaded.problems.is_empty(),
        reboots: config.strategy != Strategy::Off,
        pin: config.pin.clone(),
        locks: !matches!(config.strategy, Strategy::Reboot | Strategy::Off),
        poll: config.poll_interval.as_secs(),
        stale_after: config.stale_after.map(|after| after.as_secs()),
        warning: config.warning.as_secs(),
    }
}

fn snapshot(
    state: &State,
    loaded: &Loaded,
    store_problem: Option<&str>,
    counters: &Counters,
) -> Snapshot {
    let problems = loaded.problems.iter().map(|problem| match &problem.hint {
        Some(hint) => format!("{problem} ({hint})"),
        None => problem.to_string(),
    });
    Snapshot {
        state: state.clone(),
        problems: problems.chain(store_problem.map(str::to_owned)).collect(),
        channel: loaded.config.channel.clone(),
        group: loaded.config.group.clone(),
        strategy: loaded.config.strategy,
        counters: counters.clone(),
    }
}

/// Seconds since 1970; before, 0.
pub(super) fn now() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.map_or(0, |d| i64::try_from(d.as_secs()).unwrap_or(i64::MAX))
}

/// A delay with its chance taken. Need not be secret, only different on each machine.
fn jittered(delay: Delay) -> Duration {
    let spread = delay.spread.min(delay.seconds).saturating_mul(1000);
    let chance = RandomState::new().hash_one(0) % spread.saturating_mul(2).saturating_add(1);
    let middle = delay.seconds.saturating_mul(1000);
    Duration::from_millis((middle - spread).saturating_add(chance))
}

/// True while the worker has something to do.
pub(super) fn is_busy(phase: &Phase) -> bool {
    matches!(
        phase,
        Phase::Checking { .. }
            | Phase::Downloading { .. }
            | Phase::Verifying { .. }
            | Phase::Finalizing { .. }
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chance_stays_within_its_bounds() {
        let delay = Delay {
            seconds: 100,
            spread: 20,
        };
        let all: Vec<Duration> = (0..200).map(|_| jittered(delay)).collect();
        let bounds = Duration::from_secs(80)..=Duration::from_secs(120);
        assert!(all.iter().all(|d| bounds.contains(d)));
        assert!(all.iter().any(|d| *d != all[0]));
        assert_eq!(jittered(Delay::exactly(7)), Duration::from_secs(7));
    }
}
