//! GRUB's environment block: a line of signature, `name=value` lines, `#` up to
//! 1024 bytes. In values, backslash and newline are escaped with a backslash.

use std::collections::BTreeMap;

/// Length of an environment block in bytes.
pub const ENV_SIZE: usize = 1024;
const SIGNATURE: &[u8] = b"# GRUB Environment Block\n";
/// All variables stay inside the first sector, so that a change is atomic.
const SECTOR: usize = 512;

/// Variables of an environment block.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Env {
    /// Name to value.
    pub vars: BTreeMap<String, String>,
}

/// Why bytes are not an environment block, or variables do not make one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadEnv {
    /// Not 1024 bytes.
    #[error("a GRUB environment block has 1024 bytes, this has {0}")]
    Size(usize),
    /// The first line is wrong.
    #[error("the signature of a GRUB environment block is missing")]
    Signature,
    /// Not `name=value`, or not UTF-8.
    #[error("line {0} of the GRUB environment block is not `name=value`")]
    Line(usize),
    /// A name GRUB could not read back.
    #[error("`{0}` is not a name of a GRUB variable")]
    Name(String),
    /// The variables do not fit into the first sector.
    #[error("the variables of the GRUB environment block need {0} bytes; 512 is the limit")]
    Full(usize),
}

impl Env {
    /// Reads a block.
    pub fn parse(block: &[u8]) -> Result<Self, BadEnv> {
        if block.len() != ENV_SIZE {
            return Err(BadEnv::Size(block.len()));
        }
        let mut rest = block.strip_prefix(SIGNATURE).ok_or(BadEnv::Signature)?;
        let mut vars = BTreeMap::new();
        let mut number = 2;
        while !rest.is_empty() {
            let (line, after) = take_line(rest);
            rest = after;
            if !line.starts_with(b"#") && !line.is_empty() {
                let text = String::from_utf8(line).map_err(|_| BadEnv::Line(number))?;
                let (name, value) = text.split_once('=').ok_or(BadEnv::Line(number))?;
                vars.insert(name.to_owned(), value.to_owned());
            }
            number += 1;
        }
        Ok(Env { vars })
    }

    /// The block for these variables.
    pub fn encode(&self) -> Result<[u8; ENV_SIZE], BadEnv> {
        let mut out = SIGNATURE.to_vec();
        for (name, value) in &self.vars {
            let plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
            if name.is_empty() || !name.chars().all(plain) {
                return Err(BadEnv::Name(name.clone()));
            }
            out.extend_from_slice(name.as_bytes());
            out.push(b'=');
            for &byte in value.as_bytes() {
                if byte == b'\\' || byte == b'\n' {
                    out.push(b'\\');
                }
                out.push(byte);
            }
            out.push(b'\n');
        }
        if out.len() > SECTOR {
            return Err(BadEnv::Full(out.len()));
        }
        let mut block = [b'#'; ENV_SIZE];
        for (to, from) in block.iter_mut().zip(out) {
            *to = from;
        }
        Ok(block)
    }
}

/// The line without its escapes, and what follows its newline.
fn take_line(bytes: &[u8]) -> (Vec<u8>, &[u8]) {
    let mut line = Vec::new();
    let mut rest = bytes;
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        match (byte, rest.split_first()) {
            (b'\n', _) => break,
            (b'\\', Some((&next, after))) => {
                line.push(next);
                rest = after;
            }
            _ => line.push(byte),
        }
    }
    (line, rest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reads_what_grub_writes() {
        let mut block =
            b"# GRUB Environment Block\norder=b a\nb_left=2\nodd=x\\\\y\\\nz\n".to_vec();
        block.resize(ENV_SIZE, b'#');
        let env = Env::parse(&block).unwrap();
        assert_eq!(env.vars["order"], "b a");
        assert_eq!(env.vars["b_left"], "2");
        assert_eq!(env.vars["odd"], "x\\y\nz");
        assert_eq!(Env::parse(&env.encode().unwrap()).unwrap(), env);
    }

    #[test]
    fn refuses_what_is_not_a_block() {
        assert_eq!(Env::parse(b""), Err(BadEnv::Size(0)));
        assert_eq!(Env::parse(&[b'#'; ENV_SIZE]), Err(BadEnv::Signature));
        let env = Env {
            vars: [("a".to_owned(), "x".repeat(500))].into(),
        };
        assert_eq!(env.encode(), Err(BadEnv::Full(528)));
        let env = Env {
            vars: [("a b".to_owned(), String::new())].into(),
        };
        assert_eq!(env.encode(), Err(BadEnv::Name("a b".to_owned())));
    }

    proptest! {
        #[test]
        fn never_panics(mut block in proptest::collection::vec(any::<u8>(), ENV_SIZE)) {
            block[..SIGNATURE.len()].copy_from_slice(SIGNATURE);
            let _ = Env::parse(&block);
        }
    }
}
