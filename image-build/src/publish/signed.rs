//! Releases stay signed: a machine with Secure Boot that got a kernel image without a
//! signature would stop in its firmware.

use crate::boot::authenticode::{self, Signed};
use crate::error::{Error, Result};

/// Refuses a kernel image without a signature after one that has it. The answer is a
/// warning, if one is due.
pub fn check(before: &[u8], now: &[u8]) -> Result<Option<String>> {
    let (before, now) = (signatures(before), signatures(now));
    let Some(old) = before.first() else {
        return Ok(None);
    };
    let Some(new) = now.first() else {
        return Err(Error::refused(format!(
            "the newest release is signed for Secure Boot ({}), and this build is not",
            old.certificate.subject()
        ))
        .hint("build it with the recipe's `secure_boot` keys: machines that enforce signatures would not start it"));
    };
    let same = now
        .iter()
        .any(|new| before.iter().any(|old| old.certificate == new.certificate));
    Ok((!same).then(|| {
        format!(
            "this build is signed by {}, the newest release by {}: machines must know both keys",
            new.certificate.subject(),
            old.certificate.subject()
        )
    }))
}

/// The signatures that hold.
fn signatures(program: &[u8]) -> Vec<Signed> {
    let mut found = authenticode::read(program).unwrap_or_default();
    found.retain(|signed| signed.intact);
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::boot::authenticode::sign;
    use crate::boot::authenticode::tests::program;
    use crate::boot::secure_boot::testing::signer;

    #[test]
    fn signed_stays_signed() {
        let plain = program();
        let signed = sign(&plain, &signer()).unwrap();
        assert_eq!(check(&plain, &plain).unwrap(), None);
        assert_eq!(check(&plain, &signed).unwrap(), None);
        assert_eq!(check(&signed, &signed).unwrap(), None);
        let e = check(&signed, &plain).unwrap_err();
        assert!(e.hint_text().is_some());
        let mut changed = signed.clone();
        changed[0x400] ^= 1;
        assert!(check(&signed, &changed).is_err());
    }
}
