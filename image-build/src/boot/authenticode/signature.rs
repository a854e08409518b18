//! What an Authenticode signature says: `SpcIndirectDataContent`, the hash of a PE
//! file in PKCS#7.

use der::asn1::{ObjectIdentifier, OctetString};
use der::{Any, Decode, Encode, Sequence};
use x509_cert::spki::AlgorithmIdentifierOwned;

use crate::boot::secure_boot::pkcs7::{self, sha256};

/// `SPC_INDIRECT_DATA_OBJID`.
pub const INDIRECT_DATA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.311.2.1.4");

/// `SpcAttributeTypeAndOptionalValue` for PE files: `SPC_PE_IMAGE_DATA_OBJID`, no flags,
/// and as file name the text `<<<Obsolete>>>` that the specification wants.
const PE_IMAGE: &[u8] = b"\x30\x33\x06\x0a\x2b\x06\x01\x04\x01\x82\x37\x02\x01\x0f\
    \x30\x25\x03\x01\x00\xa0\x20\xa2\x1e\x80\x1c\
    \0<\0<\0<\0O\0b\0s\0o\0l\0e\0t\0e\0>\0>\0>";

/// `SpcIndirectDataContent`.
#[derive(Debug, Clone, PartialEq, Eq, Sequence)]
struct IndirectData {
    data: Any,
    digest: DigestInfo,
}

#[derive(Debug, Clone, PartialEq, Eq, Sequence)]
struct DigestInfo {
    algorithm: AlgorithmIdentifierOwned,
    digest: OctetString,
}

/// What is signed for a PE file with this hash.
pub fn content(hash: &[u8; 32]) -> der::Result<Any> {
    Any::encode_from(&IndirectData {
        data: Any::from_der(PE_IMAGE)?,
        digest: DigestInfo {
            algorithm: sha256(),
            digest: OctetString::new(&hash[..])?,
        },
    })
}

/// The hash in what [`content`] made, if it is one of SHA-256.
pub fn hash_of(content: &Any) -> Option<[u8; 32]> {
    let data: IndirectData = IndirectData::from_der(&content.to_der().ok()?).ok()?;
    if data.digest.algorithm.oid != pkcs7::SHA256 {
        return None;
    }
    data.digest.digest.as_bytes().try_into().ok()
}
