//! Whom to believe: OpenPGP certificates and the check of inline-signed files
//! (RFC 9580, cleartext signature framework).

use std::path::Path;

use pgp::composed::{CleartextSignedMessage, Deserializable, SignedPublicKey};
use pgp::crypto::hash::HashAlgorithm;
use pgp::packet::{Signature, SignatureType};
use pgp::types::{KeyDetails, Timestamp, VerifyingKey};

use super::date;
use crate::error::{Context, Error, Result};

/// Certificates of the Debian archive: see `keys/README.md`.
const DEBIAN: [(&str, &[u8]); 6] = [
    (
        "trixie automatic",
        include_bytes!("keys/debian-archive-trixie-automatic.gpg"),
    ),
    (
        "trixie security",
        include_bytes!("keys/debian-archive-trixie-security-automatic.gpg"),
    ),
    (
        "trixie stable",
        include_bytes!("keys/debian-archive-trixie-stable.gpg"),
    ),
    (
        "bookworm automatic",
        include_bytes!("keys/debian-archive-bookworm-automatic.gpg"),
    ),
    (
        "bookworm security",
        include_bytes!("keys/debian-archive-bookworm-security-automatic.gpg"),
    ),
    (
        "bookworm stable",
        include_bytes!("keys/debian-archive-bookworm-stable.gpg"),
    ),
];

/// A clock may be this much behind the signer's, in seconds.
const CLOCK_SLACK: i64 = 3600;

/// A set of certificates, each of which may sign alone.
#[derive(Debug, Clone)]
pub struct Trust {
    certificates: Vec<SignedPublicKey>,
}

/// What a check of one signature found.
enum Outcome {
    Good,
    /// It proves nothing: unknown, expired, weak.
    Unusable(String),
    /// By a known key, but over another text.
    Forged(String),
}

impl Trust {
    /// The Debian archive's certificates, shipped with this program.
    pub fn debian() -> Result<Self> {
        let mut certificates = Vec::new();
        for (name, bytes) in DEBIAN {
            certificates.push(
                SignedPublicKey::from_bytes(bytes)
                    .input(|| format!("reading the built-in certificate `{name}`"))?,
            );
        }
        Ok(Trust { certificates })
    }

    /// Believes the certificates in a file too, ASCII-armored or not, as `gpg --export` writes them.
    pub fn with_keyring(mut self, file: &Path) -> Result<Self> {
        const REMEDY: &str = "give the mirror's public keys as `gpg --export --armor` writes them";
        let name = || format!("reading the keyring {}", file.display());
        let bytes = std::fs::read(file)
            .input(name)
            .map_err(|e| e.hint(REMEDY))?;
        let before = self.certificates.len();
        let (found, _) = SignedPublicKey::from_reader_many(&bytes[..])
            .map_err(|e| Error::input(name()).because(e).hint(REMEDY))?;
        for certificate in found {
            let certificate =
                certificate.map_err(|e| Error::input(name()).because(e).hint(REMEDY))?;
            self.certificates.push(certificate);
        }
        if self.certificates.len() == before {
            return Err(Error::input(format!("{} holds no key", file.display())).hint(REMEDY));
        }
        Ok(self)
    }

    /// Certificates of the caller.
    pub fn new(certificates: Vec<SignedPublicKey>) -> Self {
        Trust { certificates }
    }

    /// Checks an inline-signed text and returns what was signed: unescaped, with
    /// `\n` line ends. At least one signature must be good and none by a known
    /// key may be over another text. `now` is in seconds since the epoch.
    pub fn verify(&self, name: &str, signed: &str, now: i64) -> Result<String> {
        let (message, _) =
            CleartextSignedMessage::from_string(signed).map_err(|e| not_signed(name).because(e))?;
        let text = message.signed_text();
        let mut good = false;
        let mut reasons = Vec::new();
        for signature in message.signatures() {
            match self.check(signature, &text, now) {
                Outcome::Good => good = true,
                Outcome::Unusable(reason) => reasons.push(reason),
                Outcome::Forged(reason) => {
                    good = false;
                    reasons = vec![reason];
                    break;
                }
            }
        }
        if good {
            return Ok(text.replace("\r\n", "\n"));
        }
        if reasons.is_empty() {
            return Err(not_signed(name));
        }
        Err(Error::refused(format!("{name} has no valid signature: {}", reasons.join("; "))).hint(
            "the file was changed on the way, the clock is wrong, or this is not a Debian mirror; try another mirror, or give the mirror's own keys with --keyring",
        ))
    }

    fn check(&self, signature: &Signature, text: &str, now: i64) -> Outcome {
        for certificate in &self.certificates {
            let primary = &certificate.primary_key;
            if issued_by(signature, primary) {
                let own = certificate.details.users.iter().flat_map(|u| &u.signatures);
                let own = own
                    .chain(&certificate.details.direct_signatures)
                    .filter(|s| issued_by(s, primary));
                let revoked = !certificate.details.revocation_signatures.is_empty();
                return judge(signature, primary, text, expiry(primary, own), revoked, now);
            }
            for sub in &certificate.public_subkeys {
                if !issued_by(signature, &sub.key) {
                    continue;
                }
                if let Err(e) = sub.verify_bindings(primary) {
                    return Outcome::Unusable(format!(
                        "subkey {} is not bound: {e}",
                        sub.key.legacy_key_id()
                    ));
                }
                let revoked = !certificate.details.revocation_signatures.is_empty()
                    || sub
                        .signatures
                        .iter()
                        .any(|s| s.typ() == Some(SignatureType::SubkeyRevocation));
                return judge(
                    signature,
                    &sub.key,
                    text,
                    expiry(&sub.key, sub.signatures.iter()),
                    revoked,
                    now,
                );
            }
        }
        let id = signature.issuer_key_id().first().map(|id| id.to_string());
        Outcome::Unusable(format!(
            "key {} is not trusted",
            id.as_deref().unwrap_or("(unnamed)")
        ))
    }
}

fn not_signed(name: &str) -> Error {
    Error::refused(format!("{name} is not a complete OpenPGP-signed file"))
        .hint("a proxy or login page may have answered instead of the mirror; try again or use another mirror")
}

fn issued_by(signature: &Signature, key: &impl KeyDetails) -> bool {
    signature.issuer_fingerprint().contains(&&key.fingerprint())
        || signature.issuer_key_id().contains(&&key.legacy_key_id())
}

fn seconds(t: Timestamp) -> i64 {
    i64::from(t.as_secs())
}

/// When a key ends, by the newest of its own signatures; `None` is never.
fn expiry<'a>(key: &impl KeyDetails, own: impl Iterator<Item = &'a Signature>) -> Option<i64> {
    let newest = own.max_by_key(|s| s.created().map(seconds))?;
    let life = newest
        .key_expiration_time()
        .map(|d| i64::from(d.as_secs()))
        .filter(|s| *s > 0)?;
    Some(seconds(key.created_at()) + life)
}

fn judge(
    signature: &Signature,
    key: &impl VerifyingKey,
    text: &str,
    expiry: Option<i64>,
    revoked: bool,
    now: i64,
) -> Outcome {
    let id = key.legacy_key_id();
    let strong = [
        HashAlgorithm::Sha256,
        HashAlgorithm::Sha384,
        HashAlgorithm::Sha512,
    ];
    if !signature.hash_alg().is_some_and(|h| strong.contains(&h)) {
        return Outcome::Unusable(format!("the signature by {id} uses a weak hash"));
    }
    if !matches!(
        signature.typ(),
        Some(SignatureType::Binary | SignatureType::Text)
    ) {
        return Outcome::Unusable(format!("the signature by {id} is not one over a document"));
    }
    if signature.verify(key, text.as_bytes()).is_err() {
        return Outcome::Forged(format!("the signature by {id} does not match the text"));
    }
    let Some(made) = signature.created().map(seconds) else {
        return Outcome::Unusable(format!("the signature by {id} has no date"));
    };
    if revoked {
        return Outcome::Unusable(format!("key {id} is revoked"));
    }
    if made > now + CLOCK_SLACK {
        return Outcome::Unusable(format!(
            "the signature by {id} is from the future ({})",
            date::format(made)
        ));
    }
    if let Some(end) = expiry.filter(|end| now >= *end) {
        return Outcome::Unusable(format!("key {id} expired on {}", date::format(end)));
    }
    let life = signature
        .signature_expiration_time()
        .map(|d| i64::from(d.as_secs()))
        .filter(|s| *s > 0);
    if let Some(end) = life.map(|l| made + l).filter(|end| now >= *end) {
        return Outcome::Unusable(format!(
            "the signature by {id} expired on {}",
            date::format(end)
        ));
    }
    Outcome::Good
}

#[cfg(test)]
mod tests {
    use super::super::testing::{NOW, key, sign};
    use super::*;

    fn trust(key: &pgp::composed::SignedSecretKey) -> Trust {
        Trust::new(vec![SignedPublicKey::from(key.clone())])
    }

    /// A list of the real archive, from November 2026.
    fn real() -> String {
        let xz = &include_bytes!("testdata/trixie-security.InRelease.xz")[..];
        super::super::packages::decompress("testdata", xz).unwrap()
    }

    const REAL: i64 = 1_795_300_000;

    #[test]
    fn the_archives_own_signature() {
        let trust = Trust::debian().unwrap();
        let text = trust.verify("x", &real(), REAL).unwrap();
        assert!(text.starts_with("Origin: Debian\nLabel: Debian-Security\n"));
        assert!(!text.contains("PGP"));
        let e = trust
            .verify("x", &real().replace("Version: 13", "Version: 14"), REAL)
            .unwrap_err();
        assert!(e.to_string().contains("does not match the text"), "{e}");
    }

    #[test]
    fn keys_end() {
        let trust = Trust::debian().unwrap();
        let e = trust
            .verify("x", &real(), REAL + 20 * 365 * 86400)
            .unwrap_err();
        assert!(e.to_string().contains("expired on 203"), "{e}");
        let e = trust.verify("x", &real(), REAL - 30 * 86400).unwrap_err();
        assert!(e.to_string().contains("from the future"), "{e}");
    }

    #[test]
    fn only_known_keys() {
        let (a, b) = (key(), key());
        let text = "hello\n- dash\n\nend\n";
        let signed = sign(&a, text, NOW, 0);
        assert_eq!(trust(&a).verify("x", &signed, NOW).unwrap(), text);
        assert!(
            trust(&b)
                .verify("x", &signed, NOW)
                .unwrap_err()
                .to_string()
                .contains("not trusted")
        );
        assert!(Trust::new(Vec::new()).verify("x", &signed, NOW).is_err());
    }

    #[test]
    fn keyrings_add_to_what_is_believed() {
        use pgp::ser::Serialize;
        let (a, b) = (key(), key());
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("keys");
        let public = |key: &pgp::composed::SignedSecretKey| SignedPublicKey::from(key.clone());
        let both = [
            public(&a).to_bytes().unwrap(),
            public(&b).to_bytes().unwrap(),
        ]
        .concat();
        std::fs::write(&file, both).unwrap();
        let all = Trust::debian().unwrap().with_keyring(&file).unwrap();
        for key in [&a, &b] {
            all.verify("x", &sign(key, "x\n", NOW, 0), NOW).unwrap();
        }
        all.verify("x", &real(), REAL).unwrap();
        std::fs::write(
            &file,
            public(&b).to_armored_string(Default::default()).unwrap(),
        )
        .unwrap();
        let one = Trust::new(Vec::new()).with_keyring(&file).unwrap();
        one.verify("x", &sign(&b, "x\n", NOW, 0), NOW).unwrap();
        assert!(one.verify("x", &sign(&a, "x\n", NOW, 0), NOW).is_err());
        for bad in [&b"no key"[..], b"", b"\x99\x01"] {
            std::fs::write(&file, bad).unwrap();
            let e = Trust::new(Vec::new()).with_keyring(&file).unwrap_err();
            assert!(e.hint_text().is_some(), "{e}");
        }
    }

    #[test]
    fn signatures_end() {
        let a = key();
        let signed = sign(&a, "x\n", NOW, 100);
        trust(&a).verify("x", &signed, NOW + 99).unwrap();
        assert!(
            trust(&a)
                .verify("x", &signed, NOW + 100)
                .unwrap_err()
                .to_string()
                .contains("expired")
        );
    }

    proptest::proptest! {
        #![proptest_config(proptest::prelude::ProptestConfig::with_cases(64))]
        #[test]
        fn damage_never_panics(at in 0usize..47_000, byte in 0u8..128) {
            let mut bytes = real().into_bytes();
            let at = at % bytes.len();
            bytes[at] = byte;
            if let Ok(text) = String::from_utf8(bytes) {
                let _ = Trust::debian().unwrap().verify("x", &text, REAL);
            }
        }
    }
}
