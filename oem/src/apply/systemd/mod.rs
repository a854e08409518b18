//! The systemd manager over D-Bus (org.freedesktop.systemd1(5)).

mod private;
mod reply;

use crate::cloudconfig::Verb;
use crate::error::{Context as _, Error, Result};
use private::Private;
use std::cell::{Cell, RefCell};
use std::num::NonZeroU32;
use std::path::Path;
use std::time::Duration;
use zbus::connection::Builder;
use zbus::{Connection, Message};

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
    link: Link,
    serial: Cell<NonZeroU32>,
}

enum Link {
    Private(RefCell<Private>),
    Bus(tokio::runtime::Runtime, Connection),
}

impl Bus {
    /// Connects when systemd runs this machine; `None` when it does not. Must
    /// not be called (nor its methods) from inside an async runtime.
    pub fn connect() -> Result<Option<Bus>> {
        if !Path::new("/run/systemd/system").is_dir() {
            return Ok(None);
        }
        let link = match Private::connect(Path::new(PRIVATE), TIMEOUT) {
            Ok(private) => Link::Private(RefCell::new(private)),
            // Not root, or a systemd without it.
            Err(_) => message_bus()
                .environment(|| "cannot reach systemd over D-Bus".to_owned())
                .map_err(|e| e.hint("run as root, and look at `systemctl status dbus`"))?,
        };
        Ok(Some(Bus {
            link,
            serial: Cell::new(NonZeroU32::MIN),
        }))
    }

    /// Calls a method with text arguments (at most two) and returns the text it
    /// answers with, if any.
    fn call(&self, path: &str, interface: &str, method: &str, args: &[&str]) -> Result<String> {
        let failed = || format!("{method} failed");
        match &self.link {
            Link::Private(private) => {
                let serial = self.serial.get().checked_add(1).unwrap_or(NonZeroU32::MIN);
                self.serial.set(serial);
                let call = Message::method_call(path, method)
                    .destination(NAME)
                    .interface(interface)
                    .serial(serial);
                let call = match args {
                    [] => call.build(&()),
                    [one] => call.build(one),
                    [one, two, ..] => call.build(&(*one, *two)),
                };
                let call = call.environment(failed)?;
                let reply = private
                    .borrow_mut()
                    .call(call.data().bytes(), serial.get())
                    .environment(failed)?;
                match reply.error {
                    Some(name) => Err(Error::environment(reply.text.unwrap_or(name))),
                    None => Ok(reply.text.unwrap_or_default()),
                }
            }
            Link::Bus(runtime, bus) => {
                let (to, on) = (Some(NAME), Some(interface));
                let reply = runtime.block_on(async {
                    match args {
                        [] => bus.call_method(to, path, on, method, &()).await,
                        [one] => bus.call_method(to, path, on, method, one).await,
                        [one, two, ..] => {
                            bus.call_method(to, path, on, method, &(*one, *two)).await
                        }
                    }
                });
                let reply = reply.environment(failed)?;
                let text = reply::parse(reply.data().bytes()).and_then(|r| r.text);
                Ok(text.unwrap_or_default())
            }
        }
    }
}

fn message_bus() -> std::result::Result<Link, Box<dyn std::error::Error + Send + Sync>> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let connect = Builder::system().method_timeout(TIMEOUT).build();
    let bus = runtime.block_on(async { tokio::time::timeout(CONNECT, connect).await })??;
    Ok(Link::Bus(runtime, bus))
}

impl Systemd for Bus {
    fn reload(&self) -> Result<()> {
        self.call(PATH, MANAGER, "Reload", &[])
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
        self.call(PATH, MANAGER, method, &[unit, "replace"])
            .environment(|| format!("cannot {} {unit}", verb.as_str()))
            .map_err(|e| {
                e.hint(format!(
                    "look at `systemctl status {unit}`; without `content` the unit must exist"
                ))
            })
    }

    fn active_state(&self, unit: &str) -> Result<Option<String>> {
        // An error means that the unit is not loaded.
        let Ok(path) = self.call(PATH, MANAGER, "GetUnit", &[unit]) else {
            return Ok(None);
        };
        let property = ["org.freedesktop.systemd1.Unit", "ActiveState"];
        self.call(&path, "org.freedesktop.DBus.Properties", "Get", &property)
            .map(Some)
            .environment(|| format!("cannot ask for the state of {unit}"))
    }
}
