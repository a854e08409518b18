//! QEMU's machine protocol (QMP): commands as JSON lines over a socket.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::error::{Context, Error, Result};

const TIMEOUT: Duration = Duration::from_secs(30);

#[derive(Debug, Default)]
struct State {
    greeted: bool,
    replies: Vec<Value>,
    events: Vec<Value>,
    closed: bool,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until `pick` finds something.
    fn wait<T>(
        &self,
        timeout: Duration,
        mut pick: impl FnMut(&mut State) -> Option<T>,
    ) -> Option<T> {
        let deadline = Instant::now() + timeout;
        let mut state = self.lock();
        loop {
            if let Some(out) = pick(&mut state) {
                return Some(out);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if state.closed || left.is_zero() {
                return None;
            }
            state = self
                .changed
                .wait_timeout(state, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
    }
}

/// A connection to a running QEMU.
#[derive(Debug)]
pub(super) struct Qmp {
    writer: Mutex<UnixStream>,
    shared: Arc<Shared>,
}

impl Qmp {
    /// Takes the socket QEMU connected to.
    pub(super) fn new(stream: UnixStream) -> Result<Self> {
        let reader = stream
            .try_clone()
            .environment(|| "using QEMU's control socket".to_owned())?;
        let shared = Arc::new(Shared::default());
        let theirs = Arc::clone(&shared);
        std::thread::spawn(move || {
            for line in BufReader::new(reader).lines() {
                let Ok(line) = line else { break };
                let Ok(value) = serde_json::from_str::<Value>(&line) else {
                    continue;
                };
                let mut state = theirs.lock();
                if value.get("event").is_some() {
                    state.events.push(value);
                } else if value.get("QMP").is_some() {
                    state.greeted = true;
                } else {
                    state.replies.push(value);
                }
                theirs.changed.notify_all();
            }
            theirs.lock().closed = true;
            theirs.changed.notify_all();
        });
        let qmp = Qmp {
            writer: Mutex::new(stream),
            shared,
        };
        if qmp
            .shared
            .wait(TIMEOUT, |s| s.greeted.then_some(()))
            .is_none()
        {
            return Err(Error::environment("QEMU's control socket does not answer"));
        }
        qmp.execute("qmp_capabilities", json!({}))?;
        Ok(qmp)
    }

    /// Runs a command and returns its result.
    pub(super) fn execute(&self, command: &str, arguments: Value) -> Result<Value> {
        // Held until the reply is there: one command at a time.
        let mut writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        let line = format!("{}\n", json!({"execute": command, "arguments": arguments}));
        writer
            .write_all(line.as_bytes())
            .environment(|| format!("sending `{command}` to QEMU"))?;
        let mut reply = self
            .shared
            .wait(TIMEOUT, |s| {
                (!s.replies.is_empty()).then(|| s.replies.remove(0))
            })
            .ok_or_else(|| Error::environment(format!("QEMU did not answer `{command}`")))?;
        match reply.get("error") {
            Some(error) => Err(Error::environment(format!(
                "QEMU refused `{command}`: {}",
                error["desc"]
            ))),
            None => Ok(reply["return"].take()),
        }
    }

    /// The data of the first event called `name`, waiting for it if need be.
    pub(super) fn event(&self, name: &str, timeout: Duration) -> Option<Value> {
        self.shared.wait(timeout, |s| {
            s.events
                .iter()
                .find(|e| e["event"] == name)
                .map(|e| e["data"].clone())
        })
    }

    /// How often the event `name` came.
    pub(super) fn count(&self, name: &str) -> usize {
        self.shared
            .lock()
            .events
            .iter()
            .filter(|e| e["event"] == name)
            .count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_and_events() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let qemu = std::thread::spawn(move || {
            let mut writer = theirs.try_clone().unwrap();
            writer.write_all(b"{\"QMP\": {}}\n").unwrap();
            for line in BufReader::new(theirs).lines().map_while(|l| l.ok()) {
                let answer: &[u8] = if line.contains("bad") {
                    b"{\"error\": {\"desc\": \"no such\"}}\n"
                } else {
                    b"{\"event\": \"SHUTDOWN\", \"data\": {\"guest\": true}}\n{\"return\": {\"a\": 1}}\n"
                };
                writer.write_all(answer).unwrap();
            }
        });
        let qmp = Qmp::new(ours).unwrap();
        assert_eq!(qmp.execute("x", json!({})).unwrap()["a"], 1);
        assert!(
            qmp.execute("bad", json!({}))
                .unwrap_err()
                .chain()
                .contains("no such")
        );
        assert_eq!(
            qmp.event("SHUTDOWN", Duration::from_secs(5)).unwrap()["guest"],
            true
        );
        assert_eq!((qmp.count("SHUTDOWN"), qmp.count("RESET")), (2, 0));
        drop(qmp);
        drop(qemu);
    }
}
