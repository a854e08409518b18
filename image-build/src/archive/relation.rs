//! Relations between packages: `Depends`, `Provides`, `Conflicts` and the like
//! (Debian Policy 7.1), and `deb-version(7)` comparison.

use std::cmp::Ordering;

use debversion::Version;

/// How versions must compare.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Op {
    /// `<<`
    Less,
    /// `<=`
    AtMost,
    /// `=`
    Equal,
    /// `>=`
    AtLeast,
    /// `>>`
    More,
}

/// One name of a relation, borrowed from the index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Atom<'a> {
    /// Package name without an architecture qualifier.
    pub name: &'a str,
    /// Version condition.
    pub version: Option<(Op, &'a str)>,
    /// Architecture qualifier (`any`, `native`, `arm64`).
    pub qualifier: Option<&'a str>,
    /// The whole text, for messages.
    pub text: &'a str,
}

/// The alternatives of each clause of a relation field. What cannot be parsed is
/// an alternative that nothing satisfies.
pub(crate) fn clauses(field: &str) -> impl Iterator<Item = impl Iterator<Item = Atom<'_>>> {
    field
        .split(',')
        .map(str::trim)
        .filter(|c| !c.is_empty())
        .map(|c| c.split('|').map(|a| atom(a.trim())))
}

fn atom(text: &str) -> Atom<'_> {
    let end = text.find([' ', '(', '[', '<']).unwrap_or(text.len());
    let (name, rest) = text.split_at(end);
    let (name, qualifier) = match name.split_once(':') {
        Some((name, qualifier)) => (name, Some(qualifier)),
        None => (name, None),
    };
    let inside = rest
        .split_once('(')
        .and_then(|(_, r)| r.split_once(')'))
        .map(|(c, _)| c.trim());
    let version = inside.map(|c| {
        let end = c
            .find(|c: char| !matches!(c, '<' | '=' | '>'))
            .unwrap_or(c.len());
        let (op, version) = c.split_at(end);
        let op = match op {
            "<<" => Op::Less,
            // Policy 7.1: `<` and `>` once meant these and still do.
            "<=" | "<" => Op::AtMost,
            ">=" | ">" => Op::AtLeast,
            ">>" => Op::More,
            _ => Op::Equal,
        };
        (op, version.trim())
    });
    Atom {
        name,
        version,
        qualifier,
        text,
    }
}

impl Op {
    /// True if `version OP bound`.
    pub fn holds(self, version: &Version, bound: &Version) -> bool {
        let order = version.cmp(bound);
        match self {
            Op::Less => order == Ordering::Less,
            Op::AtMost => order != Ordering::Greater,
            Op::Equal => order == Ordering::Equal,
            Op::AtLeast => order != Ordering::Less,
            Op::More => order == Ordering::Greater,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(field: &str) -> Vec<Vec<Atom<'_>>> {
        clauses(field).map(Iterator::collect).collect()
    }

    #[test]
    fn reads_policy_syntax() {
        let c = parsed("libc6 (>= 2.41), python3:any, awk | gawk (<<1:2~), x(=3)");
        assert_eq!(c.len(), 4);
        assert_eq!(
            (c[0][0].name, c[0][0].version),
            ("libc6", Some((Op::AtLeast, "2.41")))
        );
        assert_eq!((c[1][0].name, c[1][0].qualifier), ("python3", Some("any")));
        assert_eq!(
            (c[2][1].name, c[2][1].version),
            ("gawk", Some((Op::Less, "1:2~")))
        );
        assert_eq!(
            (c[3][0].name, c[3][0].version),
            ("x", Some((Op::Equal, "3")))
        );
        assert!(parsed(" , ").is_empty());
    }

    #[test]
    fn compares_versions() {
        let v = |s: &str| s.parse::<Version>().unwrap();
        assert!(Op::Less.holds(&v("1.0~rc1"), &v("1.0")));
        assert!(Op::More.holds(&v("1:0.1"), &v("9.9")));
        assert!(Op::AtLeast.holds(&v("26.1.5+dfsg1-9+b4"), &v("26.1.5")));
        assert!(Op::Equal.holds(&v("1.0-0"), &v("1.0")));
    }

    proptest::proptest! {
        #[test]
        fn never_panics(field in ".{0,80}") {
            let _ = parsed(&field);
        }
    }
}
