//! A key for tests, as `openssl req -x509 -newkey rsa:2048` makes them.

use std::path::Path;

use rsa::RsaPrivateKey;
use rsa::pkcs8::DecodePrivateKey;

use super::certificate::Certificate;
use super::signer::Signer;

/// The key in PEM.
pub const KEY: &str = include_str!("testdata/key.pem");
/// Its certificate in PEM.
pub const CERTIFICATE: &str = include_str!("testdata/certificate.pem");

/// The key and its certificate.
pub fn signer() -> Signer {
    let certificate = Certificate::from_pem(CERTIFICATE).expect("a certificate");
    let key = RsaPrivateKey::from_pkcs8_pem(KEY).expect("a key");
    Signer::new(certificate, key, Path::new("key.pem"))
}
