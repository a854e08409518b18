//! Who signed a program: certificates (RFC 5280) and signatures (RFC 2315), read and
//! not verified.

use super::der::{CONTEXT_0, Element, Elements, INTEGER, OID, SEQUENCE, SET};
use crate::uki::{self, BadUki};

/// `WIN_CERT_REVISION_2_0`, `WIN_CERT_TYPE_PKCS_SIGNED_DATA`.
const PKCS7: [u8; 4] = [0x00, 0x02, 0x02, 0x00];
/// `WIN_CERTIFICATE` without its content.
const HEADER: usize = 8;
/// 2.5.4.3, the common name.
const COMMON_NAME: [u8; 3] = [0x55, 0x04, 0x03];

/// Who somebody is, and who says so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Certificate {
    /// DER of the name.
    issuer: Vec<u8>,
    serial: Vec<u8>,
    /// DER of the name.
    subject: Vec<u8>,
}

impl Certificate {
    /// Reads one in DER.
    pub(super) fn parse(der: &[u8]) -> Option<Self> {
        let mut fields = Elements(der).enter(SEQUENCE)?.enter(SEQUENCE)?;
        fields.optional(CONTEXT_0);
        let serial = fields.expect(INTEGER)?.content.to_vec();
        fields.expect(SEQUENCE)?;
        let issuer = fields.expect(SEQUENCE)?.whole.to_vec();
        fields.expect(SEQUENCE)?;
        let subject = fields.expect(SEQUENCE)?.whole.to_vec();
        Some(Certificate {
            issuer,
            serial,
            subject,
        })
    }

    /// The common name, for people.
    pub(super) fn name(&self) -> String {
        let common = |part: Element<'_>| {
            let mut pair = Elements(part.content).enter(SEQUENCE)?;
            let is = pair.expect(OID)?.content == COMMON_NAME;
            let text = String::from_utf8_lossy(pair.next()?.content).into_owned();
            is.then_some(text)
        };
        let name = Elements(&self.subject).enter(SEQUENCE);
        let name = name.and_then(|parts| parts.filter(|p| p.tag == SET).find_map(common));
        let text = name.unwrap_or_else(|| "somebody without a name".to_owned());
        text.chars().filter(|c| !c.is_control()).take(80).collect()
    }
}

/// A signature of a program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Signature {
    pub(super) signer: Certificate,
    /// All certificates that came with it.
    enclosed: Vec<Certificate>,
}

impl Signature {
    fn parse(der: &[u8]) -> Option<Self> {
        let mut message = Elements(der).enter(SEQUENCE)?;
        message.expect(OID)?;
        let mut data = message.enter(CONTEXT_0)?.enter(SEQUENCE)?;
        data.expect(INTEGER)?;
        data.expect(SET)?;
        data.expect(SEQUENCE)?;
        let enclosed = Elements(data.optional(CONTEXT_0)?.content);
        let enclosed: Vec<_> = enclosed
            .filter_map(|element| Certificate::parse(element.whole))
            .collect();
        // Between them there may be a list of what was revoked.
        let signers = data.find(|element| element.tag == SET)?;
        let mut signer = Elements(signers.content).enter(SEQUENCE)?;
        signer.expect(INTEGER)?;
        let mut id = signer.enter(SEQUENCE)?;
        let (issuer, serial) = (id.expect(SEQUENCE)?.whole, id.expect(INTEGER)?.content);
        let signer = enclosed
            .iter()
            .find(|c| c.issuer == issuer && c.serial == serial)?;
        Some(Signature {
            signer: signer.clone(),
            enclosed,
        })
    }

    /// Whether one of `known` signed, or vouches for who did.
    pub(super) fn leads_to(&self, known: &[Certificate]) -> bool {
        let mut at = &self.signer;
        // Not more often than there are certificates: they may name each other.
        for _ in 0..=self.enclosed.len() {
            if known.iter().any(|k| k == at || k.subject == at.issuer) {
                return true;
            }
            match self.enclosed.iter().find(|c| c.subject == at.issuer) {
                Some(above) => at = above,
                None => return false,
            }
        }
        false
    }
}

/// The signatures of a program that can be read.
pub(super) fn signatures(program: &[u8]) -> Result<Vec<Signature>, BadUki> {
    let mut table = uki::certificates(program)?;
    let mut found = Vec::new();
    while let Some((header, _)) = table.split_first_chunk::<HEADER>() {
        let [a, b, c, d, kind @ ..] = *header;
        let len = u32::from_le_bytes([a, b, c, d]) as usize;
        let Some(content) = table.get(HEADER..len) else {
            break;
        };
        if kind == PKCS7 {
            found.extend(Signature::parse(content));
        }
        table = table.get(len.next_multiple_of(8)..).unwrap_or_default();
    }
    Ok(found)
}
