//! X.509 certificates of RSA keys.

use std::fmt;
use std::time::Duration;

use der::asn1::{BitString, ObjectIdentifier, OctetString};
use der::{Decode, Document, Encode, Sequence};
use rsa::pkcs8::{DecodePublicKey, EncodePublicKey};
use rsa::traits::PublicKeyParts;
use rsa::{RsaPrivateKey, RsaPublicKey};
use sha2::{Digest, Sha256};
use x509_cert::ext::Extension;
use x509_cert::name::Name;
use x509_cert::serial_number::SerialNumber;
use x509_cert::spki::{AlgorithmIdentifierOwned, SubjectPublicKeyInfoOwned};
use x509_cert::time::{Time, Validity};

use super::{pkcs7, scheme};
use crate::hex;

const LABEL: &str = "CERTIFICATE";
/// `sha256WithRSAEncryption`.
const SHA256_RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.11");
/// Firmware does not look at it; some other readers do.
const LIFE: Duration = Duration::from_secs(20 * 365 * 24 * 3600);

/// A certificate, as it was read: its own bytes are what firmware compares.
#[derive(Clone, PartialEq, Eq)]
pub struct Certificate {
    der: Vec<u8>,
    parsed: x509_cert::Certificate,
    public: RsaPublicKey,
}

impl Certificate {
    /// Reads one certificate in PEM.
    pub fn from_pem(text: &str) -> Result<Self, String> {
        let (label, document) = Document::from_pem(text).map_err(|e| e.to_string())?;
        if label != LABEL {
            return Err(format!("it is a {label}"));
        }
        Self::from_der(document.as_bytes())
    }

    /// Reads a certificate in DER.
    pub fn from_der(der: &[u8]) -> Result<Self, String> {
        let parsed = x509_cert::Certificate::from_der(der).map_err(|e| e.to_string())?;
        let key = parsed.tbs_certificate().subject_public_key_info();
        let key = key.to_der().map_err(|e| e.to_string())?;
        let public = RsaPublicKey::from_public_key_der(&key)
            .map_err(|_| "its key is not an RSA key".to_owned())?;
        Ok(Certificate {
            der: der.to_vec(),
            parsed,
            public,
        })
    }

    /// A certificate that `key` signs for itself: `name` as common name, good from
    /// `now`, in seconds since the epoch.
    pub fn for_own_key(key: &RsaPrivateKey, name: &str, now: Duration) -> Result<Self, String> {
        issue(key, name, now)
            .map_err(|e| e.to_string())
            .and_then(|der| Self::from_der(&der))
    }

    /// The certificate's bytes.
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// The certificate in PEM.
    pub fn pem(&self) -> String {
        der::pem::encode_string(LABEL, der::pem::LineEnding::LF, &self.der).unwrap_or_default()
    }

    /// Whose it is, as RFC 4514 writes names.
    pub fn subject(&self) -> String {
        self.parsed.tbs_certificate().subject().to_string()
    }

    /// SHA-256 of its bytes, in hexadecimal.
    pub fn fingerprint(&self) -> String {
        hex::encode(&Sha256::digest(&self.der))
    }

    /// Length of its key in bits.
    pub fn bits(&self) -> usize {
        self.public.size() * 8
    }

    /// Its key.
    pub fn public(&self) -> &RsaPublicKey {
        &self.public
    }

    /// From when it is good, in seconds since the epoch.
    pub fn not_before(&self) -> Duration {
        let validity = self.parsed.tbs_certificate().validity();
        validity.not_before.to_unix_duration()
    }

    /// Whether `signature` is its key's over `message`.
    pub fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        let hash = Sha256::digest(message);
        self.public.verify(scheme(), &hash, signature).is_ok()
    }

    /// Issuer and number, by which a signature names it.
    pub(super) fn identity(&self) -> pkcs7::Identity {
        let certificate = self.parsed.tbs_certificate();
        pkcs7::Identity {
            issuer: certificate.issuer().clone(),
            serial: certificate.serial_number().clone(),
        }
    }
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Certificate({}, {})", self.subject(), self.fingerprint())
    }
}

/// `TBSCertificate` (RFC 5280), version 3.
#[derive(Sequence)]
struct Tbs {
    #[asn1(context_specific = "0")]
    version: u8,
    serial: SerialNumber,
    signature: AlgorithmIdentifierOwned,
    issuer: Name,
    validity: Validity,
    subject: Name,
    key: SubjectPublicKeyInfoOwned,
    #[asn1(context_specific = "3")]
    extensions: Vec<Extension>,
}

#[derive(Sequence)]
struct Whole {
    tbs: Tbs,
    algorithm: AlgorithmIdentifierOwned,
    signature: BitString,
}

fn issue(key: &RsaPrivateKey, name: &str, now: Duration) -> der::Result<Vec<u8>> {
    let failed = || der::Error::from(der::ErrorKind::Failed);
    let public = key
        .to_public_key()
        .to_public_key_der()
        .map_err(|_| failed())?;
    let subject: Name = format!("CN={}", escaped(name)).parse()?;
    let algorithm = AlgorithmIdentifierOwned {
        oid: SHA256_RSA,
        parameters: Some(der::Any::null()),
    };
    // Its number comes from the key, so that no two keys' have the same.
    let mut serial = Sha256::digest(public.as_bytes()).to_vec();
    serial.truncate(16);
    serial[0] = serial[0] & 0x7f | 0x40;
    let extension = |oid: &str, value: &[u8]| {
        Ok::<_, der::Error>(Extension {
            extn_id: ObjectIdentifier::new(oid).map_err(|_| failed())?,
            critical: true,
            extn_value: OctetString::new(value)?,
        })
    };
    let time = |at: Duration| Time::try_from(std::time::UNIX_EPOCH + at);
    let tbs = Tbs {
        version: 2,
        serial: SerialNumber::new(&serial)?,
        signature: algorithm.clone(),
        issuer: subject.clone(),
        validity: Validity::new(time(now)?, time(now + LIFE)?),
        subject,
        key: SubjectPublicKeyInfoOwned::from_der(public.as_bytes())?,
        extensions: vec![
            // Basic constraints: no authority. Key usage: digital signatures.
            extension("2.5.29.19", &[0x30, 0x00])?,
            extension("2.5.29.15", &[0x03, 0x02, 0x07, 0x80])?,
        ],
    };
    let signature = key
        .sign(scheme(), &Sha256::digest(tbs.to_der()?))
        .map_err(|_| failed())?;
    Whole {
        tbs,
        algorithm,
        signature: BitString::from_bytes(&signature)?,
    }
    .to_der()
}

/// A value in a name (RFC 4514).
fn escaped(name: &str) -> String {
    name.chars()
        .flat_map(|c| {
            ",+\"\\<>;=#"
                .contains(c)
                .then_some('\\')
                .into_iter()
                .chain([c])
        })
        .collect()
}
