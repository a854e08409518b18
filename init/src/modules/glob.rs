/// Whether `text` matches the shell pattern of an alias: `*`, `?` and `[abc]`, `[a-f]`, `[!a]`.
///
/// An unclosed `[` stands for itself. Linear in the text for patterns with one `*`, never exponential.
pub fn matches(pattern: &str, text: &str) -> bool {
    let (pattern, text) = (pattern.as_bytes(), text.as_bytes());
    let (mut p, mut t) = (0, 0);
    // Where to go on when a match fails: after the last star, one character later.
    let mut retry: Option<(usize, usize)> = None;
    loop {
        if pattern.get(p) == Some(&b'*') {
            p += 1;
            retry = Some((p, t));
            continue;
        }
        if t == text.len() && p == pattern.len() {
            return true;
        }
        match text.get(t).and_then(|c| one(&pattern[p..], *c)) {
            Some(length) => {
                p += length;
                t += 1;
            }
            None => match retry {
                Some((after_star, from)) if from < text.len() => {
                    p = after_star;
                    t = from + 1;
                    retry = Some((after_star, from + 1));
                }
                _ => return false,
            },
        }
    }
}

/// Matches one character against the start of the pattern; gives the length of the pattern's part.
fn one(pattern: &[u8], c: u8) -> Option<usize> {
    match *pattern.first()? {
        b'?' => Some(1),
        b'[' => match class(pattern, c) {
            Some((length, hit)) => hit.then_some(length),
            None => (c == b'[').then_some(1),
        },
        literal => (literal == c).then_some(1),
    }
}

/// A bracket class at the start of the pattern: its length and whether `c` is in it. None if it is not closed.
fn class(pattern: &[u8], c: u8) -> Option<(usize, bool)> {
    let negated = matches!(pattern.get(1), Some(b'!' | b'^'));
    let first = if negated { 2 } else { 1 };
    let mut at = first;
    let mut hit = false;
    loop {
        let low = *pattern.get(at)?;
        if low == b']' && at > first {
            return Some((at + 1, hit != negated));
        }
        match (pattern.get(at + 1), pattern.get(at + 2)) {
            (Some(b'-'), Some(high)) if *high != b']' => {
                hit |= (low..=*high).contains(&c);
                at += 3;
            }
            _ => {
                hit |= low == c;
                at += 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::matches;

    #[test]
    fn patterns() {
        for (pattern, text, want) in [
            ("virtio:d00000002v*", "virtio:d00000002v00001AF4", true),
            ("virtio:d00000002v*", "virtio:d00000008v00001AF4", false),
            (
                "pci:v*d*sv*sd*bc01sc06i01*",
                "pci:v00008086d00002922sv00001AF4sd00001100bc01sc06i01",
                true,
            ),
            (
                "pci:v*d*sv*sd*bc01sc06i01*",
                "pci:v00008086d00002922sv00001AF4sd00001100bc01sc08i02",
                false,
            ),
            ("usb:v0781p*d0[0-4]*", "usb:v0781p5151d03", true),
            ("usb:v0781p*d0[0-4]*", "usb:v0781p5151d05", false),
            ("a[!0-9]", "ax", true),
            ("a[!0-9]", "a7", false),
            ("a[]x]", "a]", true),
            ("a[b", "a[b", true),
            ("???", "abc", true),
            ("???", "ab", false),
            ("*", "", true),
            ("", "", true),
            ("", "x", false),
            ("**b*", "aab", true),
        ] {
            assert_eq!(matches(pattern, text), want, "{pattern} {text}");
        }
    }

    proptest! {
        #[test]
        fn never_panics(pattern in "[a-c*?\\[\\]!-]{0,20}", text in "[a-c\\[\\]-]{0,20}") {
            let _ = matches(&pattern, &text);
        }

        #[test]
        fn star_takes_anything(before in "[a-c]{0,5}", middle in ".{0,8}", after in "[a-c]{0,5}") {
            let (pattern, text) = (format!("{before}*{after}"), format!("{before}{middle}{after}"));
            prop_assert!(matches(&pattern, &text));
        }
    }
}
