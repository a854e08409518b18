//! PKCS#7 signed messages (RFC 2315) of one signer, with RSA and SHA-256.
//!
//! They carry no time, so the same message and key give the same bytes.

use der::asn1::{ObjectIdentifier, OctetString, SetOfVec};
use der::{Any, Decode, Encode, Sequence};
use sha2::{Digest, Sha256};
use x509_cert::attr::Attribute;
use x509_cert::name::Name;
use x509_cert::serial_number::SerialNumber;
use x509_cert::spki::AlgorithmIdentifierOwned;

use super::certificate::Certificate;
use super::signer::Signer;
use crate::error::{Context, Result};

const fn oid(text: &str) -> ObjectIdentifier {
    ObjectIdentifier::new_unwrap(text)
}

/// SHA-256.
pub const SHA256: ObjectIdentifier = oid("2.16.840.1.101.3.4.2.1");
const RSA: ObjectIdentifier = oid("1.2.840.113549.1.1.1");
const DATA: ObjectIdentifier = oid("1.2.840.113549.1.7.1");
const SIGNED_DATA: ObjectIdentifier = oid("1.2.840.113549.1.7.2");
const CONTENT_TYPE: ObjectIdentifier = oid("1.2.840.113549.1.9.3");
const MESSAGE_DIGEST: ObjectIdentifier = oid("1.2.840.113549.1.9.4");

#[derive(Debug, Clone, PartialEq, Eq, Sequence)]
struct ContentInfo {
    content_type: ObjectIdentifier,
    #[asn1(context_specific = "0", tag_mode = "EXPLICIT", optional = "true")]
    content: Option<Any>,
}

#[derive(Debug, Clone, PartialEq, Eq, Sequence)]
struct SignedData {
    version: u8,
    digest_algorithms: SetOfVec<AlgorithmIdentifierOwned>,
    content: ContentInfo,
    #[asn1(
        context_specific = "0",
        tag_mode = "IMPLICIT",
        constructed = "true",
        optional = "true"
    )]
    certificates: Option<SetOfVec<Any>>,
    #[asn1(
        context_specific = "1",
        tag_mode = "IMPLICIT",
        constructed = "true",
        optional = "true"
    )]
    revoked: Option<SetOfVec<Any>>,
    signers: SetOfVec<Any>,
}

/// How a signature names its certificate.
#[derive(Debug, Clone, PartialEq, Eq, Sequence)]
pub(super) struct Identity {
    pub issuer: Name,
    pub serial: SerialNumber,
}

#[derive(Debug, Clone, PartialEq, Eq, Sequence)]
struct SignerInfo {
    version: u8,
    signer: Identity,
    digest_algorithm: AlgorithmIdentifierOwned,
    #[asn1(
        context_specific = "0",
        tag_mode = "IMPLICIT",
        constructed = "true",
        optional = "true"
    )]
    signed: Option<SetOfVec<Attribute>>,
    algorithm: AlgorithmIdentifierOwned,
    signature: OctetString,
    #[asn1(
        context_specific = "1",
        tag_mode = "IMPLICIT",
        constructed = "true",
        optional = "true"
    )]
    unsigned: Option<SetOfVec<Any>>,
}

/// SHA-256, as messages name it.
pub fn sha256() -> AlgorithmIdentifierOwned {
    algorithm(SHA256)
}

fn algorithm(oid: ObjectIdentifier) -> AlgorithmIdentifierOwned {
    AlgorithmIdentifierOwned {
        oid,
        parameters: Some(Any::null()),
    }
}

/// A message with its content in it: DER of `ContentInfo`.
pub fn attached(signer: &Signer, content_type: ObjectIdentifier, content: Any) -> Result<Vec<u8>> {
    let what = || "putting a signature together".to_owned();
    let attributes = attributes(content_type, &content).input(what)?;
    let signature = signer.sign(&attributes.to_der().input(what)?)?;
    let content = ContentInfo {
        content_type,
        content: Some(content),
    };
    signed_data(signer, content, Some(attributes), &signature)
        .and_then(|data| Any::encode_from(&data))
        .and_then(|data| {
            ContentInfo {
                content_type: SIGNED_DATA,
                content: Some(data),
            }
            .to_der()
        })
        .input(what)
}

/// A signature over bytes that lie elsewhere: DER of `SignedData` alone, as
/// firmware wants it for its variables.
pub fn detached(signer: &Signer, message: &[u8]) -> Result<Vec<u8>> {
    let signature = signer.sign(message)?;
    let content = ContentInfo {
        content_type: DATA,
        content: None,
    };
    signed_data(signer, content, None, &signature)
        .and_then(|data| data.to_der())
        .input(|| "putting a signature together".to_owned())
}

/// What is signed instead of the content: its type and its hash.
fn attributes(content_type: ObjectIdentifier, content: &Any) -> der::Result<SetOfVec<Attribute>> {
    let digest = Sha256::digest(content.value());
    let attribute = |oid, value| {
        der::Result::Ok(Attribute {
            oid,
            values: SetOfVec::try_from([value])?,
        })
    };
    SetOfVec::try_from([
        attribute(CONTENT_TYPE, Any::encode_from(&content_type)?)?,
        attribute(
            MESSAGE_DIGEST,
            Any::encode_from(&OctetString::new(&digest[..])?)?,
        )?,
    ])
}

fn signed_data(
    signer: &Signer,
    content: ContentInfo,
    attributes: Option<SetOfVec<Attribute>>,
    signature: &[u8],
) -> der::Result<SignedData> {
    let info = SignerInfo {
        version: 1,
        signer: signer.certificate().identity(),
        digest_algorithm: sha256(),
        signed: attributes,
        algorithm: algorithm(RSA),
        signature: OctetString::new(signature)?,
        unsigned: None,
    };
    Ok(SignedData {
        version: 1,
        digest_algorithms: SetOfVec::try_from([sha256()])?,
        content,
        certificates: Some(SetOfVec::try_from([Any::from_der(
            signer.certificate().der(),
        )?])?),
        revoked: None,
        signers: SetOfVec::try_from([Any::encode_from(&info)?])?,
    })
}

/// A message that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// The certificate that the signature names.
    pub certificate: Certificate,
    /// The content, if it is in the message.
    pub content: Option<Any>,
    /// Whether the signature is the certificate's over the content.
    pub intact: bool,
}

/// Why a message cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Bad {
    /// It is not DER of the kind.
    #[error(transparent)]
    Der(#[from] der::Error),
    /// It has another number of signers than one.
    #[error("it has {0} signers")]
    Signers(usize),
    /// The certificate is missing or none of RSA.
    #[error("it lacks its signer's certificate, or that is not one of an RSA key")]
    Certificate,
}

/// Reads a message with its content in it. Bytes may follow it.
pub fn open(bytes: &[u8]) -> std::result::Result<Message, Bad> {
    let (outer, _) = ContentInfo::from_der_partial(bytes)?;
    let data = outer.content.ok_or(Bad::Signers(0))?.to_der()?;
    check(&data, None)
}

/// Reads a signature over `message`, which lies elsewhere.
pub fn open_detached(bytes: &[u8], message: &[u8]) -> std::result::Result<Message, Bad> {
    check(bytes, Some(message))
}

fn check(data: &[u8], elsewhere: Option<&[u8]>) -> std::result::Result<Message, Bad> {
    let data = SignedData::from_der(data)?;
    let [info] = data.signers.as_slice() else {
        return Err(Bad::Signers(data.signers.len()));
    };
    let info = SignerInfo::from_der(&info.to_der()?)?;
    let certificate = data
        .certificates
        .iter()
        .flat_map(SetOfVec::iter)
        .filter_map(|der| Certificate::from_der(&der.to_der().ok()?).ok())
        .find(|certificate| certificate.identity() == info.signer)
        .ok_or(Bad::Certificate)?;
    let content = data.content.content;
    let message = match (&info.signed, &content, elsewhere) {
        // The attributes stand for the content, so they must be those of this content.
        (Some(given), Some(content), _) => attributes(data.content.content_type, content)?
            .iter()
            .all(|wanted| given.iter().any(|have| have == wanted))
            .then(|| given.to_der())
            .transpose()?,
        (None, Some(content), _) => Some(content.value().to_vec()),
        (None, None, Some(message)) => Some(message.to_vec()),
        _ => None,
    };
    let known = info.digest_algorithm.oid == SHA256;
    let signature = info.signature.as_bytes();
    Ok(Message {
        intact: known && message.is_some_and(|message| certificate.verify(&message, signature)),
        certificate,
        content,
    })
}
