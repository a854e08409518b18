//! Signatures of modules, kept apart.
//!
//! Checking a module's signature costs some 100 million instructions, more than all the rest of loading it. In an
//! initramfs it proves nothing new: who can change the module can change `/init`. So the modules there come without, and
//! the signature lies beside as `NAME.ko.sig` for kernels that insist on it (lockdown, `module.sig_enforce`).

use nix::errno::Errno;

/// Ends a file with an appended signature.
const MARKER: &[u8] = b"~Module signature appended~\n";
/// Bytes of the kernel's `struct module_signature`; its last four are the length of the signature, big-endian.
const DESCRIPTOR: usize = 12;

/// Splits a module file into the module and its signature. The signature, with its descriptor and marker, is empty if there
/// is none; one after the other they are the file.
pub fn split_signature(file: &[u8]) -> (&[u8], &[u8]) {
    let none = (file, &file[file.len()..]);
    let Some(rest) = file.strip_suffix(MARKER) else {
        return none;
    };
    let Some(length) = rest
        .last_chunk::<4>()
        .map(|bytes| u32::from_be_bytes(*bytes) as usize)
    else {
        return none;
    };
    match rest
        .len()
        .checked_sub(DESCRIPTOR)
        .and_then(|end| end.checked_sub(length))
    {
        Some(at) => file.split_at(at),
        None => none,
    }
}

/// What the kernel says to a module without signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// It is loaded, was before, or says that its hardware is not here.
    Fine,
    /// The kernel takes signed modules only.
    WantsSignature,
    /// Nothing of that.
    Refused(Errno),
}

impl Answer {
    /// Of `finit_module` or `init_module`.
    pub fn of(result: nix::Result<()>) -> Self {
        match result {
            Ok(()) | Err(Errno::EEXIST | Errno::ENODEV) => Self::Fine,
            // `module.sig_enforce` says the first, lockdown the second.
            Err(Errno::EKEYREJECTED | Errno::EPERM) => Self::WantsSignature,
            Err(error) => Self::Refused(error),
        }
    }
}

/// Puts a module and the signature that [`split_signature`] took off together again. Nothing if `signature` is none.
pub fn join_signature(mut module: Vec<u8>, signature: &[u8]) -> Option<Vec<u8>> {
    let length = module.len();
    module.extend_from_slice(signature);
    (split_signature(&module).0.len() == length && !signature.is_empty()).then_some(module)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn signed(module: &[u8], signature: &[u8]) -> Vec<u8> {
        let length = (signature.len() as u32).to_be_bytes();
        [
            module,
            signature,
            &[0, 0, 2, 0, 0, 0, 0, 0],
            &length,
            MARKER,
        ]
        .concat()
    }

    #[test]
    fn splits_and_joins() {
        let file = signed(b"\x7fELF module", b"PKCS7");
        let (module, signature) = split_signature(&file);
        assert_eq!(module, b"\x7fELF module");
        assert_eq!([module, signature].concat(), file);
        assert_eq!(
            split_signature(b"\x7fELF plain"),
            (&b"\x7fELF plain"[..], &b""[..])
        );
        let mut lying = signed(b"m", b"s");
        let at = lying.len() - MARKER.len() - 1;
        lying[at] = 200;
        assert_eq!(split_signature(&lying).1, b"");
    }

    /// As `sign-file` of the kernel appends it: PKCS#7, then `struct module_signature`, then the marker.
    #[test]
    fn joined_is_what_debian_signed() {
        let file = signed(&[b"\x7fELF", &[7; 5000][..]].concat(), &[0x30; 466]);
        let (module, signature) = split_signature(&file);
        assert_eq!(
            join_signature(module.to_vec(), signature).as_ref(),
            Some(&file)
        );
        for wrong in [
            &b""[..],
            MARKER,
            &signature[1..],
            &signature[..signature.len() - 1],
        ] {
            assert_eq!(join_signature(module.to_vec(), wrong), None);
        }
    }

    #[test]
    fn only_a_kernel_that_insists_gets_signatures() {
        for fine in [Ok(()), Err(Errno::EEXIST), Err(Errno::ENODEV)] {
            assert_eq!(Answer::of(fine), Answer::Fine);
        }
        for wants in [Errno::EKEYREJECTED, Errno::EPERM] {
            assert_eq!(Answer::of(Err(wants)), Answer::WantsSignature);
        }
        for no in [Errno::ENOEXEC, Errno::EINVAL, Errno::ENOMEM, Errno::ENOENT] {
            assert_eq!(Answer::of(Err(no)), Answer::Refused(no));
        }
    }

    proptest! {
        #[test]
        fn never_panics(file in prop::collection::vec(any::<u8>(), 0..64), marked: bool) {
            let file = if marked { [&file[..], MARKER].concat() } else { file };
            let (module, signature) = split_signature(&file);
            prop_assert_eq!([module, signature].concat(), file);
        }
    }
}
