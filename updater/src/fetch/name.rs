//! Which names a source takes: the one gate between foreign text and a URL or a
//! path. Whoever builds a name from metadata need not check it first.

use super::Error;

/// Longest name, in bytes.
pub const LONGEST: usize = 1024;
/// Longest part between two `/`, in bytes; what file systems allow.
const LONGEST_PART: usize = 255;

/// Accepts plain relative paths: parts of `A-Z a-z 0-9 . _ ~ ^ + -` separated by
/// single `/`. No part is empty or begins with a dot, so there is no `..`, no
/// absolute path and nothing that a URL or a shell would read otherwise.
pub fn check(name: &str) -> Result<(), Error> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._~^+-".contains(&byte);
    let good = |part: &str| {
        !part.is_empty()
            && part.len() <= LONGEST_PART
            && !part.starts_with('.')
            && part.bytes().all(plain)
    };
    if name.len() <= LONGEST && name.split('/').all(good) {
        return Ok(());
    }
    Err(Error::Name(name.chars().take(120).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a3_names_are_plain_relative_paths() {
        for good in [
            "timestamp.json",
            "metadata/12.root.json",
            "targets/docker/amd64/1.2.3~rc1^x+y/0a.usr.full.zst",
            "a_b-c",
            &"a".repeat(255),
        ] {
            assert!(check(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "/",
            "/etc/passwd",
            "a//b",
            "a/",
            "..",
            "../a",
            "a/../b",
            "a/./b",
            ".hidden",
            "a/.git/config",
            "a\\b",
            "a b",
            "a%2e",
            "a?b",
            "a#b",
            "a:b",
            "http://example.org/",
            "a\0b",
            "a\nb",
            "é",
            &"a".repeat(256),
            &"a/".repeat(600),
        ] {
            let refused = matches!(check(bad), Err(Error::Name(n)) if n.len() <= 480);
            assert!(refused, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn a3_what_is_accepted_never_leaves_its_folder(name in ".{0,40}") {
            if check(&name).is_ok() {
                let path = std::path::Path::new(&name);
                prop_assert!(path.components().all(|c| matches!(c, std::path::Component::Normal(_))));
            }
        }
    }
}
