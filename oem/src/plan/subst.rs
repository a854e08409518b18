//! The placeholders `$public_ipv4`, `$private_ipv4`, `$public_ipv6` and
//! `$private_ipv6`, also as `${...}`; `\$` keeps one as it is written.

use crate::error::Result;
use crate::metadata::Metadata;
use crate::root::SystemView;
use std::fmt;

/// Names in the text and in /etc/environment, in the order of [`Metadata::addresses`].
pub const NAMES: [(&str, &str); 4] = [
    ("public_ipv4", "COREOS_PUBLIC_IPV4"),
    ("private_ipv4", "COREOS_PRIVATE_IPV4"),
    ("public_ipv6", "COREOS_PUBLIC_IPV6"),
    ("private_ipv6", "COREOS_PRIVATE_IPV6"),
];

/// What the placeholders stand for on this machine.
#[derive(Debug, Clone, Default)]
pub struct Values([Option<String>; 4]);

/// A placeholder without a value.
#[derive(Debug, PartialEq, Eq)]
pub struct Unset(&'static str);

impl fmt::Display for Unset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "${} has no value: the provider tells no such address",
            self.0
        )
    }
}

impl Unset {
    /// What to do.
    pub fn hint(&self) -> String {
        format!(
            "write the address out, or write \\${} to keep the text as it is",
            self.0
        )
    }
}

impl Values {
    /// Takes the provider's values, else what /etc/environment already says.
    pub fn new(metadata: &Metadata, view: &dyn SystemView) -> Result<Values> {
        let mut values = metadata.addresses();
        let file = view.read("/etc/environment")?.unwrap_or_default();
        let file = String::from_utf8_lossy(&file);
        for (slot, (_, variable)) in values.iter_mut().zip(NAMES) {
            if slot.is_none() {
                let found = file
                    .lines()
                    .filter_map(|l| l.strip_prefix(variable)?.strip_prefix('='))
                    .next_back();
                *slot = found
                    .map(|v| v.trim().trim_matches('"').to_owned())
                    .filter(|v| !v.is_empty());
            }
        }
        Ok(Values(values))
    }

    /// Replaces the placeholders in `text`. One pass: what a value contains is
    /// not looked at again.
    pub fn expand(&self, text: &str) -> std::result::Result<String, Unset> {
        let mut out = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(at) = rest.find('$') {
            let (before, from) = rest.split_at(at);
            match placeholder(from) {
                None => {
                    out.push_str(before);
                    out.push('$');
                    rest = &from[1..];
                }
                Some((index, len)) => {
                    if let Some(kept) = before.strip_suffix('\\') {
                        out.push_str(kept);
                        out.push_str(&from[..len]);
                    } else {
                        out.push_str(before);
                        out.push_str(self.0[index].as_deref().ok_or(Unset(NAMES[index].0))?);
                    }
                    rest = &from[len..];
                }
            }
        }
        out.push_str(rest);
        Ok(out)
    }
}

/// A text that [`Values::expand`] leaves as this is: no placeholder in it counts.
pub fn literal(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        let (before, from) = rest.split_at(at);
        out.push_str(before);
        if placeholder(from).is_some() {
            out.push('\\');
        }
        out.push('$');
        rest = &from[1..];
    }
    out + rest
}

/// The placeholder `text` starts with: index and length.
fn placeholder(text: &str) -> Option<(usize, usize)> {
    let word = text.strip_prefix('$')?;
    NAMES.iter().enumerate().find_map(|(i, (name, _))| {
        if let Some(braced) = word.strip_prefix('{') {
            return braced
                .strip_prefix(name)?
                .starts_with('}')
                .then_some((i, name.len() + 3));
        }
        let after = word.strip_prefix(name)?;
        let ends = !after.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_');
        ends.then_some((i, name.len() + 1))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn values() -> Values {
        Values([
            Some("1.2.3.4".into()),
            Some("10.0.0.1".into()),
            Some("::1".into()),
            None,
        ])
    }

    #[test]
    fn replaces_words_only() {
        for (text, want) in [
            ("$public_ipv4", "1.2.3.4"),
            ("$public_ipv4$private_ipv4", "1.2.3.410.0.0.1"),
            ("$public_ipv4 $public_ipv4", "1.2.3.4 1.2.3.4"),
            ("http://$private_ipv4:80/", "http://10.0.0.1:80/"),
            ("[${public_ipv6}]x", "[::1]x"),
            ("${public_ipv4}x", "1.2.3.4x"),
            (
                "$public_ipv4x $public_ipv44 $public",
                "$public_ipv4x $public_ipv44 $public",
            ),
            (
                "\\$public_ipv4 \\${private_ipv6}",
                "$public_ipv4 ${private_ipv6}",
            ),
            ("cost $5 $$public_ipv4 $", "cost $5 $1.2.3.4 $"),
        ] {
            assert_eq!(values().expand(text).as_deref(), Ok(want), "{text}");
        }
        assert_eq!(
            values().expand("a $private_ipv6"),
            Err(Unset("private_ipv6"))
        );
    }

    proptest! {
        #[test]
        fn literal_text_is_kept(text in "(\\$|\\\\|\\{|\\}|public_ipv4|private_ipv6|x|é)*") {
            prop_assert_eq!(values().expand(&literal(&text)).unwrap(), text);
        }
        #[test]
        fn text_without_dollar_is_kept(text in "[^$]*") {
            prop_assert_eq!(values().expand(&text).unwrap(), text);
        }
        #[test]
        fn never_panics(text in "(\\$|\\\\|\\{|\\}|public_ipv4|x|é)*") {
            let _ = values().expand(&text);
        }
    }
}
