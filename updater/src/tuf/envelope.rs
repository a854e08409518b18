//! A document and its signatures, before anyone trusts it.

use super::json::{self, BadJson, Value};
use super::key::Signers;

/// A document that was read and not verified: nothing of its content can be had
/// without naming who must have signed it.
#[derive(Debug, Clone)]
pub struct Envelope {
    signed: Value,
    message: Vec<u8>,
    signatures: Vec<(String, String)>,
}

/// Why bytes are no signed document.
#[derive(Debug, thiserror::Error)]
pub enum BadEnvelope {
    /// They are not strict JSON.
    #[error(transparent)]
    Json(#[from] BadJson),
    /// They are JSON of another form.
    #[error("not of the form {{\"signed\": {{..}}, \"signatures\": [{{\"keyid\", \"sig\"}}, ..]}}")]
    Form,
}

/// Too few good signatures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("signed by {have} of the {need} keys needed")]
pub struct BelowThreshold {
    /// Distinct keys with a good signature.
    pub have: u64,
    /// The role's threshold.
    pub need: u64,
}

impl Envelope {
    /// Reads bytes. No caller may use the content before [`Envelope::verified`].
    pub fn decode(bytes: &[u8]) -> Result<Self, BadEnvelope> {
        let Value::Object(mut members) = json::decode(bytes)? else {
            return Err(BadEnvelope::Form);
        };
        let (Some(signed @ Value::Object(_)), Some(Value::List(list))) =
            (members.remove("signed"), members.remove("signatures"))
        else {
            return Err(BadEnvelope::Form);
        };
        let signatures = list
            .iter()
            .map(|item| {
                let id = item.get("keyid")?.text()?;
                let signature = item.get("sig")?.text()?;
                Some((id.to_owned(), signature.to_owned()))
            })
            .collect::<Option<_>>()
            .ok_or(BadEnvelope::Form)?;
        let message = json::canonical(&signed);
        Ok(Envelope {
            signed,
            message,
            signatures,
        })
    }

    /// The content, if enough of `signers` have signed it.
    pub fn verified(&self, signers: &Signers) -> Result<&Value, BelowThreshold> {
        let have = signers.count(&self.message, &self.signatures);
        if have < signers.threshold.max(1) {
            return Err(BelowThreshold {
                have,
                need: signers.threshold,
            });
        }
        Ok(&self.signed)
    }

    /// The content of a document that says itself who must sign it: a root that was
    /// handed over, or anything a person looks at. Prove it by
    /// [`Envelope::verified`] afterwards.
    pub fn unverified(&self) -> &Value {
        &self.signed
    }
}
