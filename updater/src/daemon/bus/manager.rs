//! `com.coreos.update1.Manager`, as CoreOS's update_engine had it: three methods and a
//! signal, nothing else. What it lacks is in `org.holdfast.Updater1`.

use zbus::fdo;
use zbus::message::Header;
use zbus::object_server::SignalEmitter;
use zbus::{Connection, interface};

use super::super::Handle;
use super::super::engine::is_busy;
use super::{ask, authorize};
use crate::state::{Request, Wish};

pub(super) struct Manager(pub(super) Handle);

#[interface(name = "com.coreos.update1.Manager")]
impl Manager {
    /// Looks for a release and installs it. No error when that is being done already,
    /// or was done.
    async fn attempt_update(
        &self,
        #[zbus(connection)] connection: &Connection,
        #[zbus(header)] header: Header<'_>,
    ) -> fdo::Result<()> {
        if is_busy(&self.0.snapshot().state.phase) {
            return authorize(connection, &header).await;
        }
        ask(
            &self.0,
            connection,
            &header,
            Request::Update(Wish::default()),
        )
        .await
    }

    /// Forgets errors; what is staged is made unbootable (CoreOS left it bootable).
    async fn reset_status(
        &self,
        #[zbus(connection)] connection: &Connection,
        #[zbus(header)] header: Header<'_>,
    ) -> fdo::Result<()> {
        ask(&self.0, connection, &header, Request::Reset).await
    }

    // The type is written out, for the macro makes one argument of a name.
    #[zbus(out_args(
        "last_checked_time",
        "progress",
        "current_operation",
        "new_version",
        "new_size"
    ))]
    async fn get_status(
        &self,
        #[zbus(connection)] connection: &Connection,
        #[zbus(header)] header: Header<'_>,
    ) -> fdo::Result<(i64, f64, String, String, i64)> {
        authorize(connection, &header).await?;
        Ok(self.0.snapshot().legacy())
    }

    /// The same five values whenever one of them changes.
    #[zbus(signal)]
    pub(super) async fn status_update(
        emitter: &SignalEmitter<'_>,
        last_checked_time: i64,
        progress: f64,
        current_operation: &str,
        new_version: &str,
        new_size: i64,
    ) -> zbus::Result<()>;
}
