//! D-Bus: CoreOS's interface, ours, and logind.

pub(super) mod logind;
mod manager;
mod updater1;

use std::time::Duration;

use zbus::Connection;
use zbus::connection::Builder;
use zbus::fdo;
use zbus::message::Header;
use zbus::object_server::SignalEmitter;

use self::manager::Manager;
use self::updater1::Updater1;
use super::{Handle, Snapshot, policy};
use crate::state::Request;

/// Names on the bus: CoreOS's and ours.
pub const NAMES: [&str; 2] = ["com.coreos.update1", "org.holdfast.Updater1"];
/// Object of CoreOS's interface.
pub const MANAGER_PATH: &str = "/com/coreos/update1";
/// Object of ours.
pub const UPDATER_PATH: &str = "/org/holdfast/Updater1";

/// Between two looks for a bus.
pub(super) const RETRY: Duration = Duration::from_secs(5);
const TIMEOUT: Duration = Duration::from_secs(10);

/// Connects to the system bus, under both names.
pub(super) async fn system(handle: Handle) -> zbus::Result<Connection> {
    let mut builder = serve(Builder::system().method_timeout(TIMEOUT), &handle);
    for name in NAMES {
        builder = builder.name(name);
    }
    builder.build().await
}

/// Connects to a bus, and again whenever the connection is lost.
pub(super) async fn keep_up<F>(
    handle: Handle,
    retry: Duration,
    mut connect: impl FnMut(Handle) -> F,
) where
    F: Future<Output = zbus::Result<Connection>>,
{
    let mut told = false;
    loop {
        match tokio::time::timeout(TIMEOUT, connect(handle.clone())).await {
            Ok(Ok(connection)) => {
                told = false;
                handle.bus(Some(connection.clone()));
                tokio::select! {
                    () = connection.closed() => {}
                    () = announce(&connection, handle.clone()) => {}
                }
                handle.bus(None);
                tracing::warn!("the message bus is gone; it will be looked for");
            }
            Ok(Err(e)) if !told => {
                told = true;
                tracing::warn!("no message bus: {e}");
            }
            _ => {}
        }
        tokio::time::sleep(retry).await;
    }
}

/// Puts both objects on a connection.
pub(crate) fn serve<'a>(builder: Builder<'a>, handle: &Handle) -> Builder<'a> {
    builder
        .serve_at(MANAGER_PATH, Manager(handle.clone()))
        .serve_at(UPDATER_PATH, Updater1(handle.clone()))
}

/// Emits signals for what changes, until the service or the connection ends.
pub(super) async fn announce(connection: &Connection, mut handle: Handle) {
    let mut last = handle.snapshot();
    while handle.changed().await {
        let new = handle.snapshot();
        if let Err(e) = emit(connection, &last, &new).await {
            tracing::debug!("a signal cannot be sent: {e}");
            if connection.is_closed() {
                return;
            }
        }
        last = new;
    }
}

async fn emit(connection: &Connection, old: &Snapshot, new: &Snapshot) -> zbus::Result<()> {
    let status = new.legacy();
    if status != old.legacy() {
        let emitter = SignalEmitter::new(connection, MANAGER_PATH)?;
        let (checked, progress, operation, version, size) = status;
        Manager::status_update(&emitter, checked, progress, &operation, &version, size).await?;
    }
    updater1::emit(connection, old, new).await
}

/// Lets those pass who may call; passes the request on.
async fn ask(
    handle: &Handle,
    connection: &Connection,
    header: &Header<'_>,
    request: Request,
) -> fdo::Result<()> {
    authorize(connection, header).await?;
    handle.ask(request).await.map_err(fdo::Error::Failed)
}

async fn authorize(connection: &Connection, header: &Header<'_>) -> fdo::Result<()> {
    let text = |part: Option<&str>| part.unwrap_or_default().to_owned();
    let interface = text(header.interface().map(|i| i.as_str()));
    let member = text(header.member().map(|m| m.as_str()));
    let uid = caller(connection, header).await?;
    // Who runs the service could do without it all that it does.
    let own = nix::unistd::geteuid().as_raw();
    if uid == own || policy::may(uid, &interface, &member) {
        return Ok(());
    }
    tracing::warn!(uid, interface, member, "call denied");
    Err(fdo::Error::AccessDenied(format!(
        "user {uid} may not call {interface}.{member}"
    )))
}

/// The user who calls, as the bus knows, or the kernel where there is no bus.
async fn caller(connection: &Connection, header: &Header<'_>) -> fdo::Result<u32> {
    let unknown = || fdo::Error::AccessDenied("the caller is not known".to_owned());
    if !connection.is_bus() {
        let credentials = connection.peer_creds().await.map_err(|_| unknown())?;
        return credentials.unix_user_id().ok_or_else(unknown);
    }
    let sender = header.sender().ok_or_else(unknown)?;
    let reply = connection
        .call_method(
            Some("org.freedesktop.DBus"),
            "/org/freedesktop/DBus",
            Some("org.freedesktop.DBus"),
            "GetConnectionUnixUser",
            &sender.as_str(),
        )
        .await?;
    Ok(reply.body().deserialize()?)
}
