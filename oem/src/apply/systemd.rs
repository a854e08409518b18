//! The systemd manager over D-Bus (org.freedesktop.systemd1(5)).

use crate::cloudconfig::Verb;
use crate::error::{Context as _, Error, Result};
use std::path::Path;
use std::time::Duration;
use zbus::connection::Builder;
use zbus::{Connection, OwnedObjectPath};

/// What `apply` asks of systemd.
pub trait Systemd {
    /// Reads all unit files again.
    fn reload(&self) -> Result<()>;
    /// Queues a job (mode `replace`) and returns its object path, without
    /// waiting for it.
    fn job(&self, unit: &str, verb: Verb) -> Result<String>;
    /// `active`, `inactive`, `failed`...; `None` when the unit is not loaded.
    fn active_state(&self, unit: &str) -> Result<Option<String>>;
}

const NAME: &str = "org.freedesktop.systemd1";
const PATH: &str = "/org/freedesktop/systemd1";
const MANAGER: &str = "org.freedesktop.systemd1.Manager";
/// The manager's own socket, there before any message bus is.
const PRIVATE: &str = "/run/systemd/private";
/// Longest wait for the connection.
const CONNECT: Duration = Duration::from_secs(5);
/// A reload of a busy machine takes a while; a job is queued at once.
const TIMEOUT: Duration = Duration::from_secs(30);

/// A connection to the running systemd.
pub struct Bus {
    runtime: tokio::runtime::Runtime,
    connection: Connection,
}

impl Bus {
    /// Connects when systemd runs this machine; `None` when it does not. Must
    /// not be called (nor its methods) from inside an async runtime.
    pub fn connect() -> Result<Option<Bus>> {
        if !Path::new("/run/systemd/system").is_dir() {
            return Ok(None);
        }
        let what = || "cannot reach systemd over D-Bus".to_owned();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().environment(what)?;
        let connection = runtime
            .block_on(async {
                tokio::time::timeout(CONNECT, connection())
                    .await
                    .map_err(|e| std::io::Error::new(std::io::ErrorKind::TimedOut, e).into())
                    .and_then(|c| c)
            })
            .environment(what)
            .map_err(|e| e.hint("run as root, and look at `systemctl status dbus`"))?;
        Ok(Some(Bus { runtime, connection }))
    }

    fn call<B>(&self, path: &str, interface: &str, method: &str, body: &B) -> zbus::Result<zbus::Message>
    where
        B: serde::Serialize + zbus::DynamicType,
    {
        self.runtime.block_on(self.connection.call_method(Some(NAME), path, Some(interface), method, body))
    }
}

/// The private socket if it takes us, else the message bus.
async fn connection() -> zbus::Result<Connection> {
    if Path::new(PRIVATE).exists() {
        let address = format!("unix:path={PRIVATE}");
        if let Ok(peer) = Builder::address(address.as_str()).p2p().method_timeout(TIMEOUT).build().await {
            return Ok(peer);
        }
    }
    Builder::system().method_timeout(TIMEOUT).build().await
}

impl Systemd for Bus {
    fn reload(&self) -> Result<()> {
        self.call(PATH, MANAGER, "Reload", &())
            .map(drop)
            .environment(|| "systemd could not reload its units".to_owned())
            .map_err(|e| e.hint("run `systemctl daemon-reload` to see why"))
    }

    fn job(&self, unit: &str, verb: Verb) -> Result<String> {
        let method = match verb {
            Verb::Start => "StartUnit",
            Verb::Stop => "StopUnit",
            Verb::Restart => "RestartUnit",
            Verb::Reload => "ReloadUnit",
            Verb::TryRestart => "TryRestartUnit",
            Verb::ReloadOrRestart => "ReloadOrRestartUnit",
            Verb::ReloadOrTryRestart => "ReloadOrTryRestartUnit",
        };
        let what = || format!("cannot {} {unit}", verb.as_str());
        let hint = |e: Error| e.hint(format!("look at `systemctl status {unit}`; without `content` the unit must exist"));
        let reply = self.call(PATH, MANAGER, method, &(unit, "replace")).environment(what).map_err(hint)?;
        let path: OwnedObjectPath = reply.body().deserialize().environment(what)?;
        Ok(path.to_string())
    }

    fn active_state(&self, unit: &str) -> Result<Option<String>> {
        let what = || format!("cannot ask for the state of {unit}");
        let Ok(reply) = self.call(PATH, MANAGER, "GetUnit", &unit) else { return Ok(None) };
        let path: OwnedObjectPath = reply.body().deserialize().environment(what)?;
        let body = ("org.freedesktop.systemd1.Unit", "ActiveState");
        let reply = self.call(path.as_str(), "org.freedesktop.DBus.Properties", "Get", &body).environment(what)?;
        let body = reply.body();
        let value: zbus::Variant<'_> = body.deserialize().environment(what)?;
        Ok(value.downcast_ref::<&str>().ok().map(str::to_owned))
    }
}
