//! Passwords that are set once: a mark keeps what was set, and what a user changed
//! later stays until the wish is another.

use super::{Action, Builder, Holds, Input, Layer, Origin, Sealed, crypt, hex};
use crate::cloudconfig::{Secret, credential};
use sha2::{Digest as _, Sha256};

pub(super) fn add(b: &mut Builder<'_>, inputs: &[&Input]) {
    for input in inputs {
        for password in &input.config.passwords {
            let origin = Origin::at(input.sender, password.spot);
            let p = &password.value;
            let salt = crypt::salt(format!("{}\n{}", b.instance.id, p.user).as_bytes());
            // Of what a mark tells that this very password was set.
            let (hash, told) = match &p.secret {
                Secret::Hash(hash) => (hash.clone(), hash.clone()),
                // Never from the password: a fast hash would give it away.
                Secret::Plain(text) => {
                    let hash = crypt::sha512(text.as_bytes(), &salt);
                    (hash.clone(), hash)
                }
                Secret::Credential { name, .. } => (String::new(), credential::shown(name)),
            };
            // Beside the user's own wish, not in its place: that must not come back at
            // the next boot.
            let (kind, by) = match input.sender == Layer::Metadata {
                true => ("given-", " given by the provider"),
                false => ("", ""),
            };
            let mark = (
                format!("{}/password-{kind}{}", b.instance.marks, p.user),
                hex(&Sha256::digest(&told))
                    + "
",
            );
            let action = Action::Password {
                user: p.user.clone(),
                hash,
                expire: p.expire,
                mark,
            };
            // The strongest layer comes last, and only one may win.
            let resource = format!("password of {}{by}", p.user);
            b.steps.retain(|s| s.resource != resource);
            let Secret::Credential { name, hashed } = &p.secret else {
                b.push(resource, origin, action);
                continue;
            };
            let holds = match hashed {
                Some(true) => Holds::Hash,
                _ => Holds::Password {
                    salt,
                    or_hash: hashed.is_none(),
                },
            };
            let sealed = Sealed {
                credential: name.clone(),
                holds,
                action,
            };
            b.seal(resource, origin, sealed);
        }
    }
}
