//! Signatures of EFI programs, as firmware with Secure Boot wants them.
//!
//! | part | does |
//! |---|---|
//! | [`hash`] | what is signed of a PE file |
//! | [`signature`] | how that is said in PKCS#7 |
//! | [`table`] | where the signature goes in the file |

pub mod hash;
pub mod signature;
pub mod table;

#[cfg(test)]
pub mod tests;

use super::pe::{BadPe, Layout};
use super::secure_boot::certificate::Certificate;
use super::secure_boot::pkcs7;
use super::secure_boot::signer::Signer;
use crate::error::{Context, Error, Result};

/// Signs an EFI program. The same program and key give the same bytes.
pub fn sign(program: &[u8], signer: &Signer) -> Result<Vec<u8>> {
    let what = || "signing an EFI program".to_owned();
    let program = table::padded(program);
    let layout = Layout::parse(&program).input(what)?;
    if !layout.certificates.is_empty() {
        return Err(Error::input("the EFI program is signed already"));
    }
    let content = signature::content(&hash::hash(&program, &layout)).input(what)?;
    let pkcs7 = pkcs7::attached(signer, signature::INDIRECT_DATA, content)?;
    table::append(program, &layout, &pkcs7).input(what)
}

/// Who signed a program. Whether the signer is one to trust is not this function's to say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signed {
    /// The certificate of the key that signed.
    pub certificate: Certificate,
    /// Whether the signature is one over this very program.
    pub intact: bool,
}

/// Why a signature cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum Unreadable {
    /// The program is none.
    #[error(transparent)]
    Pe(#[from] BadPe),
    /// A signature is not made as ours are.
    #[error("a signature cannot be read: {0}")]
    Pkcs7(#[from] pkcs7::Bad),
}

/// The signatures of a program.
pub fn read(program: &[u8]) -> std::result::Result<Vec<Signed>, Unreadable> {
    let layout = Layout::parse(program)?;
    let hash = hash::hash(program, &layout);
    table::read(program, &layout)?
        .into_iter()
        .map(|bytes| {
            let message = pkcs7::open(bytes)?;
            let same = message.content.as_ref().and_then(signature::hash_of) == Some(hash);
            Ok(Signed {
                intact: message.intact && same,
                certificate: message.certificate,
            })
        })
        .collect()
}
