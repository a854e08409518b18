//! SHA-512 of crypt(3): "Unix crypt using SHA-256 and SHA-512", U. Drepper, version
//! 0.6. 5000 rounds, a salt of 16 characters.

use sha2::{Digest as _, Sha256, Sha512};

const ROUNDS: usize = 5000;
const ALPHABET: &[u8; 64] = b"./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// A salt from a seed that is another for each machine and user.
pub fn salt(seed: &[u8]) -> String {
    let digest = Sha256::digest(seed);
    let letter = |b: &u8| char::from(ALPHABET[usize::from(b & 63)]);
    digest.iter().take(16).map(letter).collect()
}

/// The hash of a password, with its `$6$SALT$` in front.
pub fn sha512(password: &[u8], salt: &str) -> String {
    let salt = salt.as_bytes();
    let b = Sha512::new()
        .chain_update(password)
        .chain_update(salt)
        .chain_update(password)
        .finalize();
    let mut a = Sha512::new().chain_update(password).chain_update(salt);
    a.update(stretched(&b, password.len()));
    let mut bits = password.len();
    while bits > 0 {
        if bits & 1 == 1 {
            a.update(&b[..]);
        } else {
            a.update(password);
        }
        bits >>= 1;
    }
    let a = a.finalize();

    let mut p = Sha512::new();
    for _ in 0..password.len() {
        p.update(password);
    }
    let p = stretched(&p.finalize(), password.len());
    let mut s = Sha512::new();
    for _ in 0..16 + usize::from(a[0]) {
        s.update(salt);
    }
    let s = stretched(&s.finalize(), salt.len());

    let mut now = a;
    for round in 0..ROUNDS {
        let mut c = Sha512::new();
        if round % 2 == 1 {
            c.update(&p);
        } else {
            c.update(&now[..]);
        }
        if round % 3 != 0 {
            c.update(&s);
        }
        if round % 7 != 0 {
            c.update(&p);
        }
        if round % 2 == 1 {
            c.update(&now[..]);
        } else {
            c.update(&p);
        }
        now = c.finalize();
    }
    format!("$6${}${}", String::from_utf8_lossy(salt), encode(&now))
}

/// A digest as often as it takes for `len` bytes.
fn stretched(digest: &[u8], len: usize) -> Vec<u8> {
    digest.iter().copied().cycle().take(len).collect()
}

/// Base64 of crypt(3): its own alphabet, and the bytes in its own order.
fn encode(digest: &[u8]) -> String {
    let mut out = String::with_capacity(86);
    let mut put = |bytes: [u8; 3], letters: usize| {
        let mut bits = u32::from(bytes[0]) << 16 | u32::from(bytes[1]) << 8 | u32::from(bytes[2]);
        for _ in 0..letters {
            out.push(char::from(ALPHABET[(bits & 63) as usize]));
            bits >>= 6;
        }
    };
    // Each group takes one byte of each third of the digest, in turning order.
    for i in 0..21 {
        let (a, b, c) = (digest[i], digest[i + 21], digest[i + 42]);
        put([[a, b, c], [b, c, a], [c, a, b]][i % 3], 4);
    }
    put([0, 0, digest[63]], 2);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vector_of_the_specification() {
        assert_eq!(
            sha512(b"Hello world!", "saltstring"),
            "$6$saltstring$svn8UoSVapNtMuq1ukKS4tPQd8iKwSMHWjl/O817G3uBnIFNjnQJuesI68u4OTLiBFdcbYEdFCoEOfaS35inz1"
        );
        assert_eq!(
            sha512(b"x", "abcdefghijklmnop"),
            "$6$abcdefghijklmnop$4MjOne1jVRKP4IuHRPFedC4vlQHNjvcBfQJVlfB8ciQ5YUzW2g81Pyw4sptw4femJ071/eApI0WDsBAOOCmTl0"
        );
    }

    #[test]
    fn salts_are_of_crypts_alphabet() {
        let salt = salt(b"i-1\ncore");
        assert_eq!(salt.len(), 16);
        assert!(salt.bytes().all(|b| ALPHABET.contains(&b)));
    }
}
