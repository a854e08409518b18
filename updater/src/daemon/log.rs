//! Events to standard error, one line each: `message key=value ...`. Below systemd with
//! the priority prefix that the journal understands (sd-daemon(3)).

use std::fmt::{Debug, Write as _};
use std::io::Write as _;

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

struct Log {
    prefixed: bool,
    most: Level,
}

/// Sends `tracing` events of this program to standard error; debug ones too when
/// `HOLDFAST_DEBUG` is set.
pub fn start() {
    let log = Log {
        prefixed: std::env::var_os("JOURNAL_STREAM").is_some(),
        most: match std::env::var_os("HOLDFAST_DEBUG") {
            Some(_) => Level::DEBUG,
            None => Level::INFO,
        },
    };
    // Fails when a subscriber is there already, which then does the work.
    let _ = tracing::subscriber::set_global_default(log);
}

impl Subscriber for Log {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        let ours = metadata.target().starts_with("updater");
        *metadata.level() <= if ours { self.most } else { Level::WARN }
    }

    fn event(&self, event: &Event<'_>) {
        let mut line = Line::default();
        event.record(&mut line);
        let priority = match *event.metadata().level() {
            Level::ERROR => 3,
            Level::WARN => 4,
            Level::INFO => 6,
            _ => 7,
        };
        let prefix = if self.prefixed {
            format!("<{priority}>")
        } else {
            String::new()
        };
        let _ = writeln!(
            std::io::stderr().lock(),
            "{prefix}{}{}",
            line.message,
            line.fields
        );
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

#[derive(Default)]
struct Line {
    message: String,
    fields: String,
}

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        let text = format!("{value:?}");
        // What came over the network starts no lines of its own.
        let text: String = text
            .chars()
            .map(|c| if c.is_control() { ' ' } else { c })
            .collect();
        if field.name() == "message" {
            self.message = text;
        } else {
            let _ = write!(self.fields, " {}={text}", field.name());
        }
    }
}
