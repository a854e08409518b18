//! Actions with a secret in them that is not in the text: a plan has its name, and only
//! `apply` the value, for as long as it runs.

use super::{Action, crypt};
use crate::cloudconfig::{credential, password_fault, password_looks_hashed};

/// An action whose secret is not known yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sealed {
    /// Name of the credential.
    pub credential: String,
    /// What the value is.
    pub holds: Holds,
    /// What to do, with nothing in the place of the value.
    pub action: Action,
}

/// What the value of a credential is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Holds {
    /// The content of a file.
    Content,
    /// A password's hash.
    Hash,
    /// A password; the salt is for its hash.
    Password {
        /// In crypt(5)'s letters.
        salt: String,
        /// It may be a hash all the same, told by its looks.
        or_hash: bool,
    },
}

impl Sealed {
    /// The reference as it is written.
    pub fn shown(&self) -> String {
        credential::shown(&self.credential)
    }

    /// Whether it is done once, and a mark tells that it was.
    pub fn is_once(&self) -> bool {
        matches!(self.action, Action::Password { .. })
    }

    /// The action with the value in it.
    ///
    /// # Errors
    /// The value cannot be what it is to be: says why, without it.
    pub fn opened(&self, value: Vec<u8>) -> Result<Action, &'static str> {
        let mut action = self.action.clone();
        let secret = match &self.holds {
            Holds::Content => {
                if let Action::File { content, .. } = &mut action {
                    *content = value;
                }
                return Ok(action);
            }
            Holds::Hash => hash(value, None)?,
            Holds::Password { salt, or_hash } => hash(value, Some((salt, *or_hash)))?,
        };
        match &mut action {
            Action::Password { hash, .. } => *hash = secret,
            Action::Account(account) => account.password = Some(secret),
            _ => {}
        }
        Ok(action)
    }
}

fn hash(value: Vec<u8>, plain: Option<(&str, bool)>) -> Result<String, &'static str> {
    let mut text = String::from_utf8(value).map_err(|_| "not UTF-8 text")?;
    // Of the editor that wrote it.
    text.truncate(text.trim_end_matches(['\r', '\n']).len());
    let hashed = plain.is_none_or(|(_, or_hash)| or_hash && password_looks_hashed(&text));
    if let Some(why) = password_fault(&text, hashed) {
        return Err(why);
    }
    Ok(match plain {
        Some((salt, _)) if !hashed => crypt::sha512(text.as_bytes(), salt),
        _ => text,
    })
}
