//! Keys for Secure Boot and what they sign besides programs.
//!
//! | part | does |
//! |---|---|
//! | [`certificate`] | reads and makes X.509 certificates of RSA keys |
//! | [`signer`] | a private key, in a file or behind a program, with its certificate |
//! | [`pkcs7`] | signed messages |
//! | [`enrolment`] | what a firmware in setup mode takes its keys from |
//! | [`keyset`] | makes the three keys of a firmware |

pub mod certificate;
pub mod enrolment;
pub mod keyset;
pub mod pkcs7;
pub mod signer;

#[cfg(test)]
pub mod testing;
#[cfg(test)]
mod tests;

/// DER of `DigestInfo` for SHA-256 up to the hash (RFC 8017, 9.2).
const SHA256_INFO: [u8; 19] = [
    0x30, 0x31, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01, 0x05,
    0x00, 0x04, 0x20,
];

/// RSA signatures as all firmware knows them: PKCS#1 v1.5 with SHA-256.
fn scheme() -> rsa::Pkcs1v15Sign {
    rsa::Pkcs1v15Sign {
        hash_len: Some(32),
        prefix: SHA256_INFO.into(),
    }
}
