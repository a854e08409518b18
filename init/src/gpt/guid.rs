use std::fmt;
use std::str::FromStr;

/// A GUID, held in the order its text form shows the bytes.
///
/// On disk GPT stores the first three fields little-endian: see [`Guid::from_disk`] and [`Guid::to_disk`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Guid([u8; 16]);

impl Guid {
    /// All zeros: the type of an unused entry.
    pub const ZERO: Self = Self([0; 16]);

    /// From 16 bytes in text order, for example one half of a verity root hash.
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The bytes in text order.
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }

    /// Makes a version 4 (random) GUID out of 16 random bytes.
    pub const fn from_random(mut bytes: [u8; 16]) -> Self {
        bytes[6] = (bytes[6] & 0x0f) | 0x40;
        bytes[8] = (bytes[8] & 0x3f) | 0x80;
        Self(bytes)
    }

    /// From the bytes of a GPT header or entry.
    pub const fn from_disk(disk: [u8; 16]) -> Self {
        Self(swap(disk))
    }

    /// The bytes as a GPT header or entry stores them.
    pub const fn to_disk(self) -> [u8; 16] {
        swap(self.0)
    }

    /// Parses the text form in a constant; a mistake is a compile error there.
    pub(crate) const fn literal(text: &str) -> Self {
        let text = text.as_bytes();
        let mut bytes = [0u8; 16];
        let (mut digits, mut at) = (0, 0);
        while at < text.len() {
            let value = match text[at] {
                digit @ b'0'..=b'9' => digit - b'0',
                digit @ b'a'..=b'f' => digit - b'a' + 10,
                _ => {
                    at += 1;
                    continue;
                }
            };
            bytes[digits / 2] = bytes[digits / 2] << 4 | value;
            digits += 1;
            at += 1;
        }
        assert!(digits == 32);
        Self(bytes)
    }
}

const fn swap(b: [u8; 16]) -> [u8; 16] {
    [
        b[3], b[2], b[1], b[0], b[5], b[4], b[7], b[6], b[8], b[9], b[10], b[11], b[12], b[13],
        b[14], b[15],
    ]
}

impl fmt::Display for Guid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, byte) in self.0.iter().enumerate() {
            if matches!(at, 4 | 6 | 8 | 10) {
                f.write_str("-")?;
            }
            write!(f, "{byte:02x}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Guid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The text is not a GUID of 32 hexadecimal digits in the groups 8-4-4-4-12.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotAGuid;

impl fmt::Display for NotAGuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a GUID (want 8-4-4-4-12 hexadecimal digits)")
    }
}

impl std::error::Error for NotAGuid {}

impl FromStr for Guid {
    type Err = NotAGuid;

    fn from_str(text: &str) -> Result<Self, NotAGuid> {
        let text = text.as_bytes();
        if text.len() != 36 {
            return Err(NotAGuid);
        }
        let mut bytes = [0u8; 16];
        let mut digits = 0;
        for (at, &c) in text.iter().enumerate() {
            if matches!(at, 8 | 13 | 18 | 23) {
                if c != b'-' {
                    return Err(NotAGuid);
                }
                continue;
            }
            let value = (c as char).to_digit(16).ok_or(NotAGuid)? as u8;
            bytes[digits / 2] = bytes[digits / 2] << 4 | value;
            digits += 1;
        }
        Ok(Self(bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_disk_forms() {
        let guid: Guid = "c12a7328-f81f-11d2-ba4b-00a0c93ec93b".parse().unwrap();
        assert_eq!(guid.to_string(), "c12a7328-f81f-11d2-ba4b-00a0c93ec93b");
        assert_eq!(
            guid.to_disk()[..8],
            [0x28, 0x73, 0x2a, 0xc1, 0x1f, 0xf8, 0xd2, 0x11]
        );
        assert_eq!(Guid::from_disk(guid.to_disk()), guid);
        assert_eq!("C12A7328-F81F-11D2-BA4B-00A0C93EC93B".parse(), Ok(guid));
    }

    #[test]
    fn refuses_other_text() {
        for text in [
            "",
            "c12a7328f81f11d2ba4b00a0c93ec93b",
            "c12a7328-f81f-11d2-ba4b-00a0c93ec93g",
            "ü2a7328-f81f-11d2-ba4b-00a0c93ec93b",
        ] {
            assert_eq!(text.parse::<Guid>(), Err(NotAGuid), "{text}");
        }
    }

    #[test]
    fn random_has_version_and_variant() {
        let guid = Guid::from_random([0xff; 16]).to_string();
        assert_eq!(guid, "ffffffff-ffff-4fff-bfff-ffffffffffff");
    }
}
