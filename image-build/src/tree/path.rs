//! Paths inside a tree, as text.

use crate::error::{Error, Result};

/// Top-level directories that are links into /usr on a merged system.
const MERGED: [&str; 6] = ["bin", "sbin", "lib", "lib32", "lib64", "libx32"];

/// Brings a path to the tree's form: no leading `/` or `./`, no trailing or
/// doubled slash. Refuses `..`, NUL bytes and the root itself.
pub fn clean(path: &str) -> Result<String> {
    let bad = |why: &str| Error::input(format!("path {path:?} {why}"));
    if path.contains('\0') {
        return Err(bad("has a NUL byte"));
    }
    if path.len() > 4095 {
        return Err(bad("is longer than 4095 bytes"));
    }
    let mut out = String::with_capacity(path.len());
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => return Err(bad("leads out of the tree")),
            _ if part.len() > 255 => return Err(bad("has a name longer than 255 bytes")),
            _ => {
                if !out.is_empty() {
                    out.push('/');
                }
                out.push_str(part);
            }
        }
    }
    if out.is_empty() {
        return Err(bad("names no file"));
    }
    Ok(out)
}

/// The path on a merged-/usr system: `bin/sh` is `usr/bin/sh`. Takes a clean path.
pub fn canonical(path: &str) -> String {
    let first = path.split('/').next().unwrap_or(path);
    if MERGED.contains(&first) {
        format!("usr/{path}")
    } else {
        path.to_owned()
    }
}

/// The directory a path is in; `None` at the top level.
pub fn parent(path: &str) -> Option<&str> {
    path.rsplit_once('/').map(|(dir, _)| dir)
}

/// Shell-like match of a whole path: `*` and `?` stop at a slash, `**` does not.
/// `dir/**` matches everything below `dir`, not `dir` itself.
pub fn matches(pattern: &str, path: &str) -> bool {
    glob(pattern.as_bytes(), path.as_bytes())
}

fn glob(pattern: &[u8], text: &[u8]) -> bool {
    // Where to go on after a mismatch: the last `*` seen (stays in one name) and
    // the last `**` seen (crosses slashes). Linear memory, no recursion.
    let (mut p, mut t) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    let mut deep: Option<(usize, usize)> = None;
    loop {
        if t == text.len()
            && pattern
                .get(p..)
                .is_some_and(|rest| rest.iter().all(|b| *b == b'*'))
        {
            return true;
        }
        let step = match (pattern.get(p), text.get(t)) {
            (Some(b'*'), _) if pattern.get(p + 1) == Some(&b'*') => {
                deep = Some((p + 2, t));
                star = None;
                p += 2;
                true
            }
            (Some(b'*'), _) => {
                star = Some((p + 1, t));
                p += 1;
                true
            }
            (Some(b'?'), Some(c)) if *c != b'/' => {
                (p, t) = (p + 1, t + 1);
                true
            }
            (Some(a), Some(b)) if a == b && *a != b'?' => {
                (p, t) = (p + 1, t + 1);
                true
            }
            _ => false,
        };
        if step {
            continue;
        }
        if let Some((back, at)) = star
            && text.get(at).is_some_and(|c| *c != b'/')
        {
            star = Some((back, at + 1));
            (p, t) = (back, at + 1);
        } else if let Some((back, at)) = deep
            && at < text.len()
        {
            deep = Some((back, at + 1));
            star = None;
            (p, t) = (back, at + 1);
        } else {
            return false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn cleans() {
        assert_eq!(clean("./usr//bin/").unwrap(), "usr/bin");
        assert_eq!(clean("/etc/passwd").unwrap(), "etc/passwd");
        for bad in ["", "/", "./", "../x", "a/../b", "a\0b"] {
            assert!(clean(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn merges_usr() {
        assert_eq!(canonical("bin/sh"), "usr/bin/sh");
        assert_eq!(canonical("lib64"), "usr/lib64");
        assert_eq!(canonical("libexec/x"), "libexec/x");
        assert_eq!(canonical("usr/lib/x"), "usr/lib/x");
    }

    #[test]
    fn globs() {
        for (pattern, path, want) in [
            ("usr/share/doc/**", "usr/share/doc/a/b", true),
            ("usr/share/doc/**", "usr/share/doc", false),
            ("usr/lib/*.a", "usr/lib/libc.a", true),
            ("usr/lib/*.a", "usr/lib/x/libc.a", false),
            ("usr/**/*.a", "usr/lib/x/libc.a", true),
            ("usr/**/*.a", "usr/lib/x/libc.so", false),
            ("a?c", "abc", true),
            ("a?c", "a/c", false),
            ("**/copyright", "usr/share/doc/x/copyright", true),
            ("*", "a/b", false),
            ("a*b*c", "axxbyyc", true),
            ("**", "", true),
        ] {
            assert_eq!(matches(pattern, path), want, "{pattern} {path}");
        }
    }

    proptest! {
        #[test]
        fn never_panics(pattern in "[a*?/]{0,12}", path in "[a/b]{0,20}", any in ".{0,40}") {
            let _ = matches(&pattern, &path);
            if let Ok(c) = clean(&any) {
                prop_assert_eq!(clean(&c).unwrap(), c.clone());
                prop_assert!(matches(&c, &c) || c.contains(['*', '?']));
            }
        }
    }
}
