//! `credential:NAME` in the place of a secret: the value is among the machine's
//! credentials (<https://systemd.io/CREDENTIALS/>), and known only when it is applied.

use super::diag::At;
use super::read::{Reader, shorten};

const PREFIX: &str = "credential:";

/// What a text says.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Reference {
    /// Itself.
    Text,
    /// The name of a credential.
    To(String),
    /// It was meant to be one, which was told.
    Wrong,
}

/// A reference as it is written.
pub fn shown(name: &str) -> String {
    format!("{PREFIX}{name}")
}

/// Reads a value that may be a reference.
pub(super) fn reference(text: &At<String>, path: &str, r: &mut Reader) -> Reference {
    let line = text.value.trim_end();
    let Some(name) = line.strip_prefix(PREFIX).filter(|n| !n.contains('\n')) else {
        return Reference::Text;
    };
    if is_name(name) {
        return Reference::To(name.to_owned());
    }
    let why = format!("{:?} is not the name of a credential", shorten(name));
    let hint = "a file name of at most 255 ASCII characters, without `/` and `:`";
    r.error(text.spot, path, why, hint);
    Reference::Wrong
}

/// What systemd takes for a name.
fn is_name(name: &str) -> bool {
    (1..=255).contains(&name.len())
        && name
            .bytes()
            .all(|b| (b' '..=b'~').contains(&b) && !b"/:".contains(&b))
        && ![".", ".."].contains(&name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cloudconfig::Spot;

    #[test]
    fn only_one_line_is_a_reference() {
        let read = |text: &str| {
            let spot = Spot { line: 1, column: 1 };
            let value = text.to_owned();
            reference(&At { spot, value }, "x", &mut Reader::default())
        };
        assert_eq!(read("credential:db"), Reference::To("db".to_owned()));
        assert_eq!(
            read("credential:db.key\n"),
            Reference::To("db.key".to_owned())
        );
        for text in [
            "",
            "a credential:db",
            "credentials:x",
            "credential:a\nb: c\n",
        ] {
            assert_eq!(read(text), Reference::Text, "{text}");
        }
        for text in [
            "credential:",
            "credential:..",
            "credential:a/b",
            "credential:é",
        ] {
            assert_eq!(read(text), Reference::Wrong, "{text}");
        }
    }
}
