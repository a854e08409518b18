//! Replies of the D-Bus wire protocol, as far as the manager's are concerned:
//! no value, or one text. zbus refuses the ones on the private socket, because
//! systemd names itself there as only a bus may. Pure.

/// Length of the fixed part of a header.
pub const FIXED: usize = 16;
/// Longest message taken; the manager's replies are short.
pub const MAX: usize = 1 << 20;

/// A message, taken apart.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Reply {
    /// Serial number of the call it answers; 0 when it answers none.
    pub to: u32,
    /// Name of the error, if it is one.
    pub error: Option<String>,
    /// The first value, if it is text (or a variant of text).
    pub text: Option<String>,
}

/// Bytes that follow the fixed part.
pub fn rest_len(fixed: &[u8; FIXED]) -> Option<usize> {
    if fixed[0] != b'l' {
        return None;
    }
    let mut at = Cursor {
        bytes: fixed,
        at: 4,
    };
    let body = at.number()?;
    at.at = 12;
    let fields = at.number()?;
    let len = fields.checked_next_multiple_of(8)?.checked_add(body)?;
    (len <= MAX).then_some(len)
}

/// Takes a whole little-endian message apart.
pub fn parse(message: &[u8]) -> Option<Reply> {
    let mut reply = Reply::default();
    let mut signature = String::new();
    let mut at = Cursor {
        bytes: message,
        at: 12,
    };
    let end = at.number()?.checked_add(FIXED)?;
    while at.align(8) < end {
        let code = at.byte()?;
        let kind = at.signature()?;
        match (code, kind.as_str()) {
            (4, "s") => reply.error = Some(at.text()?),
            (5, "u") => reply.to = u32::try_from(at.number()?).ok()?,
            (8, "g") => signature = at.signature()?,
            (_, "s" | "o") => drop(at.text()?),
            (_, "u") => drop(at.number()?),
            (_, "g") => drop(at.signature()?),
            _ => return None,
        }
    }
    at.at = end;
    at.align(8);
    let kind = match signature.strip_prefix('v') {
        Some(_) => at.signature()?,
        None => signature,
    };
    if kind.starts_with(['s', 'o']) {
        reply.text = Some(at.text()?);
    }
    Some(reply)
}

struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Cursor<'_> {
    fn align(&mut self, to: usize) -> usize {
        self.at = self.at.next_multiple_of(to);
        self.at
    }
    fn take(&mut self, len: usize) -> Option<&[u8]> {
        let taken = self.bytes.get(self.at..self.at.checked_add(len)?)?;
        self.at += len;
        Some(taken)
    }
    fn byte(&mut self) -> Option<u8> {
        self.take(1)?.first().copied()
    }
    fn number(&mut self) -> Option<usize> {
        self.align(4);
        let bytes = self.take(4)?.try_into().ok()?;
        usize::try_from(u32::from_le_bytes(bytes)).ok()
    }
    fn string(&mut self, len: usize) -> Option<String> {
        let text = String::from_utf8(self.take(len)?.to_vec()).ok()?;
        (self.byte()? == 0).then_some(text)
    }
    fn text(&mut self) -> Option<String> {
        let len = self.number()?;
        self.string(len)
    }
    fn signature(&mut self) -> Option<String> {
        let len = self.byte()?;
        self.string(len.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::num::NonZeroU32;
    use zbus::{Message, Variant};

    fn call() -> Message {
        Message::method_call("/a", "B")
            .serial(NonZeroU32::new(7).unwrap())
            .build(&())
            .unwrap()
    }

    #[test]
    fn reads_what_zbus_writes() {
        let call = call();
        let header = call.header();
        let bytes = |m: Message| m.data().bytes().to_vec();
        let cases = [
            (
                bytes(Message::method_return(&header).build(&()).unwrap()),
                None,
                None,
            ),
            (
                bytes(Message::method_return(&header).build(&"text").unwrap()),
                None,
                Some("text"),
            ),
            (
                bytes(
                    Message::method_return(&header)
                        .build(&Variant::from("active"))
                        .unwrap(),
                ),
                None,
                Some("active"),
            ),
            (
                bytes(Message::error(&header, "a.b.C").build(&"why").unwrap()),
                Some("a.b.C"),
                Some("why"),
            ),
        ];
        for (bytes, error, text) in cases {
            let fixed: &[u8; FIXED] = bytes.first_chunk().unwrap();
            assert_eq!(rest_len(fixed), Some(bytes.len() - FIXED));
            let reply = parse(&bytes).unwrap();
            assert_eq!(
                (reply.to, reply.error.as_deref(), reply.text.as_deref()),
                (7, error, text)
            );
        }
    }

    proptest! {
        #[test]
        fn never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..80), cut in 0usize..200) {
            let _ = parse(&bytes);
            if let Some(fixed) = bytes.first_chunk() {
                let _ = rest_len(fixed);
            }
            let mut real = Message::method_return(&call().header()).build(&"text").unwrap().data().bytes().to_vec();
            real.truncate(cut);
            for (i, b) in bytes.iter().enumerate().take(real.len()) {
                real[i] ^= b;
            }
            let _ = parse(&real);
        }
    }
}
