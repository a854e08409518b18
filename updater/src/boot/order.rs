//! How systemd-boot orders versions: the comparison of the UAPI group's Version
//! Format Specification.

use std::cmp::Ordering;

use crate::version::Version;

/// Compares two versions; the greater one is booted first.
pub fn compare(a: &Version, b: &Version) -> Ordering {
    compare_text(a.as_str().as_bytes(), b.as_str().as_bytes())
}

fn compare_text(mut a: &[u8], mut b: &[u8]) -> Ordering {
    loop {
        // `~` is older than the end of the text, the other separators are newer.
        let order = separator(&mut a, &mut b, b'~');
        if order.is_ne() {
            return order;
        }
        if a.is_empty() || b.is_empty() {
            return a.len().cmp(&b.len());
        }
        for mark in [b'-', b'^', b'.'] {
            let order = separator(&mut a, &mut b, mark);
            if order.is_ne() {
                return order;
            }
        }
        let digits = |text: &[u8]| text.first().is_some_and(u8::is_ascii_digit);
        let order = if digits(a) || digits(b) {
            // A number is newer than letters; more digits are a greater number.
            let (x, y) = (
                take(&mut a, u8::is_ascii_digit),
                take(&mut b, u8::is_ascii_digit),
            );
            let plain = |n: &[u8]| {
                n.iter()
                    .skip_while(|d| **d == b'0')
                    .copied()
                    .collect::<Vec<u8>>()
            };
            let (n, m) = (plain(x), plain(y));
            (!x.is_empty())
                .cmp(&!y.is_empty())
                .then(n.len().cmp(&m.len()))
                .then(n.cmp(&m))
        } else {
            take(&mut a, u8::is_ascii_alphabetic).cmp(take(&mut b, u8::is_ascii_alphabetic))
        };
        if order.is_ne() {
            return order;
        }
    }
}

/// Takes `mark` off both texts; a text that has it alone is the older one.
fn separator(a: &mut &[u8], b: &mut &[u8], mark: u8) -> Ordering {
    let (x, y) = (a.strip_prefix(&[mark]), b.strip_prefix(&[mark]));
    let order = x.is_none().cmp(&y.is_none());
    if let (Some(x), Some(y)) = (x, y) {
        (*a, *b) = (x, y);
    }
    order
}

/// Takes what `of` matches off the front.
fn take<'a>(text: &mut &'a [u8], of: impl Fn(&u8) -> bool) -> &'a [u8] {
    let len = text.iter().take_while(|c| of(c)).count();
    let (front, rest) = text.split_at(len);
    *text = rest;
    front
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The specification's examples, and versions as we make them; oldest first.
    #[test]
    fn orders_as_the_specification_says() {
        let order = [
            "1~rc1",
            "1",
            "11",
            "11.0",
            "122.1",
            "123~rc1-1",
            "123",
            "123-a",
            "123-a.1",
            "123-1",
            "123-1.1",
            "123^post1",
            "123.a-1",
            "123.1-1",
            "123a-1",
            "124-1",
            "20261122.1412",
        ];
        for (at, a) in order.iter().enumerate() {
            for (other, b) in order.iter().enumerate() {
                let found = compare(&a.parse().unwrap(), &b.parse().unwrap());
                assert_eq!(found, at.cmp(&other), "{a} and {b}");
            }
        }
        let equal = |a: &str, b: &str| compare(&a.parse().unwrap(), &b.parse().unwrap());
        assert_eq!(equal("1.01", "1.1"), Ordering::Equal);
    }

    proptest! {
        #[test]
        fn is_an_order(a in "[0-2a-b.~^-]{1,8}", b in "[0-2a-b.~^-]{1,8}") {
            let (a, b): (Version, Version) = (a.parse().unwrap(), b.parse().unwrap());
            prop_assert_eq!(compare(&a, &b), compare(&b, &a).reverse());
            prop_assert_eq!(compare(&a, &a), Ordering::Equal);
        }
    }
}
