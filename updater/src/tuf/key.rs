//! Keys of documents, and who may sign a role.

use std::collections::{BTreeMap, BTreeSet};

use ed25519_dalek::{Signature, VerifyingKey};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::json;

/// A public key as documents hold it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Key {
    /// `ed25519`; keys of other kinds are kept and not used.
    pub keytype: String,
    /// `ed25519`.
    pub scheme: String,
    /// The public part: `{"public": "<64 hexadecimal digits>"}`.
    pub keyval: serde_json::Value,
}

impl Key {
    /// The document's form of an ed25519 key.
    pub fn ed25519(key: &VerifyingKey) -> Self {
        Key {
            keytype: "ed25519".into(),
            scheme: "ed25519".into(),
            keyval: serde_json::json!({ "public": super::hex(key.as_bytes()) }),
        }
    }

    /// The key, if it is of the one kind that is used here, well formed, and not one
    /// of the weak points under which anything verifies.
    pub fn verifying(&self) -> Option<VerifyingKey> {
        if self.keytype != "ed25519" || self.scheme != "ed25519" {
            return None;
        }
        let bytes = super::unhex(self.keyval.get("public")?.as_str()?)?;
        let key = VerifyingKey::from_bytes(&bytes).ok()?;
        (!key.is_weak()).then_some(key)
    }

    /// The identifier securesystemslib gives a key: SHA-256 of its canonical form.
    pub fn id(&self) -> String {
        let value = json::Value::Object(BTreeMap::from([
            ("keytype".into(), json::Value::Text(self.keytype.clone())),
            ("scheme".into(), json::Value::Text(self.scheme.clone())),
            ("keyval".into(), member(&self.keyval)),
        ]));
        super::hex(&Sha256::digest(json::canonical(&value)))
    }
}

/// A value that came through [`json::decode`], or that this code made.
fn member(value: &serde_json::Value) -> json::Value {
    serde_json::to_vec(value)
        .ok()
        .and_then(|bytes| json::decode(&bytes).ok())
        .unwrap_or(json::Value::Null)
}

/// The usable keys of a role and how many of them must sign.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signers {
    keys: BTreeMap<String, VerifyingKey>,
    /// Keys that must sign.
    pub threshold: u64,
}

impl Signers {
    pub(super) fn new(keys: BTreeMap<String, VerifyingKey>, threshold: u64) -> Self {
        Signers { keys, threshold }
    }

    /// Counts the distinct keys with a good signature over `message`. However often
    /// a key signs, and under however many identifiers, it counts once.
    pub fn count(&self, message: &[u8], signatures: &[(String, String)]) -> u64 {
        let mut signed = BTreeSet::new();
        for (id, signature) in signatures {
            let Some(key) = self.keys.get(id) else {
                continue;
            };
            // Two spellings of one point are one key.
            let point = key.to_edwards().compress().to_bytes();
            if signed.contains(&point) {
                continue;
            }
            let good = super::unhex::<64>(signature)
                .map(|bytes| Signature::from_bytes(&bytes))
                .is_some_and(|signature| key.verify_strict(message, &signature).is_ok());
            if good {
                signed.insert(point);
            }
        }
        signed.len() as u64
    }

    /// True if a key of `self` is not among `other`'s.
    pub fn lost_a_key_in(&self, other: &Signers) -> bool {
        let kept: BTreeSet<_> = other.keys.values().map(VerifyingKey::as_bytes).collect();
        self.keys.values().any(|key| !kept.contains(key.as_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the specification, section 4.3.
    #[test]
    fn identifiers_are_those_of_securesystemslib() {
        for (public, id) in [
            (
                "72378e5bc588793e58f81c8533da64a2e8f1565c1fcc7f253496394ffc52542c",
                "1bf1c6e3cdd3d3a8420b19199e27511999850f4b376c4547b2f32fba7e80fca3",
            ),
            (
                "68ead6e54a43f8f36f9717b10669d1ef0ebb38cee6b05317669341309f1069cb",
                "135c2f50e57ff11e744d234a62cebad8c38daf399604a7655661cc9199c69164",
            ),
        ] {
            let key = Key {
                keytype: "ed25519".into(),
                scheme: "ed25519".into(),
                keyval: serde_json::json!({ "public": public }),
            };
            assert_eq!(key.id(), id);
        }
    }

    #[test]
    fn a12_weak_and_foreign_keys_are_not_used() {
        let key = |keytype: &str, scheme: &str, public: &str| Key {
            keytype: keytype.into(),
            scheme: scheme.into(),
            keyval: serde_json::json!({ "public": public }),
        };
        let good = "72378e5bc588793e58f81c8533da64a2e8f1565c1fcc7f253496394ffc52542c";
        assert!(key("ed25519", "ed25519", good).verifying().is_some());
        assert!(key("rsa", "ed25519", good).verifying().is_none());
        assert!(key("ed25519", "ecdsa", good).verifying().is_none());
        assert!(key("ed25519", "ed25519", &good[2..]).verifying().is_none());
        assert!(
            key("ed25519", "ed25519", &good.to_uppercase())
                .verifying()
                .is_none()
        );
        // The neutral element, and a point of order 8.
        let neutral = format!("01{}", "00".repeat(31));
        let eight = "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a";
        assert!(key("ed25519", "ed25519", &neutral).verifying().is_none());
        assert!(key("ed25519", "ed25519", eight).verifying().is_none());
    }
}
