//! What logind knows: who inhibits a shutdown, who is logged in.

use std::time::Duration;

use serde::de::DeserializeOwned;
use zbus::zvariant::Type;
use zbus::{Connection, OwnedObjectPath, OwnedVariant};

const NAME: &str = "org.freedesktop.login1";
const PATH: &str = "/org/freedesktop/login1";
const MANAGER: &str = "org.freedesktop.login1.Manager";
const SESSION: &str = "org.freedesktop.login1.Session";
const TIMEOUT: Duration = Duration::from_secs(5);

/// What, who, why, mode, user, process.
type Inhibitor = (String, String, String, String, u32, u32);
/// Id, user, name, seat, object.
type Session = (String, u32, String, String, OwnedObjectPath);

/// Who inhibits a shutdown, in words, and the terminals of users who are logged in
/// (`""` for a session without). Without logind nobody does and nobody is.
pub(in super::super) async fn look(connection: &Connection) -> (Vec<String>, Vec<String>) {
    let both = async {
        let inhibitors: Vec<Inhibitor> =
            call(connection, PATH, MANAGER, "ListInhibitors", &()).await?;
        let sessions: Vec<Session> = call(connection, PATH, MANAGER, "ListSessions", &()).await?;
        let mut terminals = Vec::new();
        for (.., path) in sessions {
            // A session may end between the two calls.
            if let Ok(Some(terminal)) = terminal(connection, path.as_str()).await {
                terminals.push(terminal);
            }
        }
        zbus::Result::Ok((blocking(&inhibitors), terminals))
    };
    match tokio::time::timeout(TIMEOUT, both).await {
        Ok(Ok(known)) => known,
        Ok(Err(e)) => {
            tracing::debug!("logind does not answer: {e}");
            (Vec::new(), Vec::new())
        }
        Err(_) => {
            tracing::debug!("logind does not answer in time");
            (Vec::new(), Vec::new())
        }
    }
}

/// Those that block; those that delay are logind's own affair.
fn blocking(all: &[Inhibitor]) -> Vec<String> {
    all.iter()
        .filter(|(what, _, _, mode, ..)| {
            mode == "block" && what.split(':').any(|w| w == "shutdown")
        })
        .map(|(_, who, why, ..)| format!("{who} ({why})"))
        .collect()
}

/// The terminal of a session, if it is a user's.
async fn terminal(connection: &Connection, path: &str) -> zbus::Result<Option<String>> {
    let get = async |name: &str| {
        let value: OwnedVariant = call(
            connection,
            path,
            "org.freedesktop.DBus.Properties",
            "Get",
            &(SESSION, name),
        )
        .await?;
        String::try_from(value)
    };
    let class = get("Class").await?;
    if !matches!(class.as_str(), "user" | "user-early") {
        return Ok(None);
    }
    get("TTY").await.map(Some)
}

async fn call<B, R>(
    connection: &Connection,
    path: &str,
    interface: &str,
    method: &str,
    body: &B,
) -> zbus::Result<R>
where
    B: serde::Serialize + zbus::zvariant::DynamicType,
    R: DeserializeOwned + Type,
{
    let reply = connection
        .call_method(Some(NAME), path, Some(interface), method, body)
        .await?;
    reply.body().deserialize()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// F11: only what blocks a shutdown counts.
    #[test]
    fn f11_inhibitors() {
        let inhibitor = |what: &str, who: &str, mode: &str| {
            let text = |t: &str| t.to_owned();
            (text(what), text(who), text("work"), text(mode), 0, 1)
        };
        let all = [
            inhibitor("sleep:shutdown", "backup", "block"),
            inhibitor("shutdown", "docker", "delay"),
            inhibitor("idle:sleep", "video", "block"),
        ];
        assert_eq!(blocking(&all), ["backup (work)"]);
    }

    /// F11: no logind, or a bus that went away: nobody inhibits, nobody is logged in, and
    /// nothing waits.
    #[tokio::test]
    async fn f11_without_logind_nothing_is_in_the_way() {
        use std::os::unix::net::UnixStream;
        use zbus::{Guid, connection::Builder};

        let (ours, theirs) = UnixStream::pair().unwrap();
        let server = Builder::unix_stream(ours).server(Guid::generate()).p2p();
        let client = Builder::unix_stream(theirs).p2p();
        let (server, client) = tokio::join!(server.build(), client.build());
        let client = client.unwrap();
        assert_eq!(look(&client).await, (Vec::new(), Vec::new()));
        drop(server);
        let begun = std::time::Instant::now();
        assert_eq!(look(&client).await, (Vec::new(), Vec::new()));
        assert!(begun.elapsed() < 2 * TIMEOUT);
    }
}
