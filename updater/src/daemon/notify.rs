//! Tells systemd that the service is up and alive (sd_notify(3)).

use std::ffi::OsStr;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

/// Says READY, then WATCHDOG as often as the unit's `WatchdogSec=` needs: when the loop
/// hangs, systemd starts the service anew.
pub(super) async fn keep_alive() {
    let Some(path) = std::env::var_os("NOTIFY_SOCKET") else {
        return;
    };
    if let Err(e) = send(&path, "READY=1") {
        tracing::warn!("systemd cannot be told that the service is up: {e}");
        return;
    }
    let limit = std::env::var("WATCHDOG_USEC").ok();
    let Some(limit) = limit.and_then(|us| us.parse().ok()) else {
        return;
    };
    let mut ticks = tokio::time::interval(Duration::from_micros(limit) / 3);
    loop {
        ticks.tick().await;
        let _ = send(&path, "WATCHDOG=1");
    }
}

fn send(path: &OsStr, text: &str) -> std::io::Result<()> {
    let address = match path.as_bytes().strip_prefix(b"@") {
        Some(name) => SocketAddr::from_abstract_name(name)?,
        None => SocketAddr::from_pathname(path)?,
    };
    let socket = UnixDatagram::unbound()?;
    socket.set_nonblocking(true)?;
    socket.send_to_addr(text.as_bytes(), &address).map(drop)
}
