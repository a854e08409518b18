//! Parsing of a package's control file (deb-control(5): one deb822 stanza).

use std::collections::BTreeMap;

use crate::error::{Error, Result};

/// Fields of the first stanza; continuation lines are joined with newlines.
pub fn fields(text: &str) -> Result<BTreeMap<String, String>> {
    let mut out: BTreeMap<String, String> = BTreeMap::new();
    let mut last: Option<String> = None;
    for line in text.lines() {
        if line.trim().is_empty() {
            if out.is_empty() {
                continue;
            }
            break;
        }
        if line.starts_with([' ', '\t']) {
            let value = last.as_ref().and_then(|name| out.get_mut(name));
            let value = value
                .ok_or_else(|| Error::refused("control file starts with a continuation line"))?;
            value.push('\n');
            value.push_str(line.trim());
            continue;
        }
        let (name, value) = line.split_once(':').ok_or_else(|| {
            Error::refused(format!(
                "control file has the line {line:?}, which is no field"
            ))
        })?;
        out.insert(name.to_owned(), value.trim().to_owned());
        last = Some(name.to_owned());
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reads_a_stanza() {
        let f = fields("Package: a\nDescription: one\n two\n .\n\nPackage: b\n").unwrap();
        assert_eq!(f["Package"], "a");
        assert_eq!(f["Description"], "one\ntwo\n.");
        assert!(fields(" x").is_err());
        assert!(fields("no field").is_err());
    }

    proptest! {
        #[test]
        fn never_panics(text in "[a: \n\t.]{0,60}") {
            let _ = fields(&text);
        }
    }
}
