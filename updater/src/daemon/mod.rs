//! The service: carries out what [`crate::state`] decides.
//!
//! One thread runs the loop, timers, D-Bus and metrics (a current-thread runtime). What
//! blocks runs in threads of its own and answers with events: the [`Worker`] (network
//! and disk), health checks, the reboot lock, the reboot itself.
//!
//! Without a message bus everything goes on but remote control: no inhibitors and no
//! sessions are known then. The bus is tried again until it is there. A missing logind
//! counts as no inhibitors and no sessions.
//!
//! The state is on disk before anything that depends on it happens, so the service may
//! be killed and started again at any time.

mod bus;
mod counters;
mod engine;
mod host;
mod lock;
mod log;
mod metrics;
mod notify;
mod policy;
mod snapshot;
#[cfg(test)]
pub(crate) mod testing;
mod updates;
mod worker;

use std::path::PathBuf;
use std::sync::Arc;

use tokio::signal::unix::{SignalKind, signal};

#[cfg(test)]
pub(crate) use bus::serve;
pub use bus::{MANAGER_PATH, NAMES, UPDATER_PATH};
pub use engine::{Engine, Handle, Options};
pub use host::{Host, Machine};
pub use lock::RebootLock;
pub use log::start as start_log;
#[cfg(test)]
pub(crate) use metrics::render;
pub use policy::{CORE_UID, may};
pub use snapshot::Snapshot;
pub use updates::{Ground, ThisMachine, Updates};
pub use worker::{Cancel, Done, Worker};

/// Where metrics can be read, as Prometheus text.
pub const METRICS: &str = "/run/holdfast/updater-metrics.sock";

/// Runs the service on this machine until it is told to stop.
pub fn run(worker: Box<dyn Worker>) -> std::io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let options = Options::new(PathBuf::from("/"));
        let (engine, handle) = Engine::new(options, worker, Arc::new(Machine));
        tokio::spawn(bus::keep_up(handle.clone(), bus::RETRY, bus::system));
        tokio::spawn(metrics::serve(METRICS.into(), handle.clone()));
        tokio::spawn(notify::keep_alive());
        tokio::spawn(signals(handle)?);
        engine.run().await;
        Ok(())
    })
}

/// SIGHUP reads the configuration again, SIGTERM and SIGINT stop.
fn signals(handle: Handle) -> std::io::Result<impl Future<Output = ()>> {
    let mut hup = signal(SignalKind::hangup())?;
    let mut term = signal(SignalKind::terminate())?;
    let mut int = signal(SignalKind::interrupt())?;
    Ok(async move {
        loop {
            tokio::select! {
                _ = hup.recv() => handle.reload(),
                _ = term.recv() => break,
                _ = int.recv() => break,
            }
        }
        handle.stop();
    })
}

#[cfg(test)]
mod tests;
