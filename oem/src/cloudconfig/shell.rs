//! Text for sh(1) and for unit files.

/// A word as sh takes it, whatever is in it.
pub fn quote(word: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_./:=@%+,".contains(&b);
    if !word.is_empty() && word.bytes().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

/// The name systemd gives to the unit of a path (`systemd-escape --path`).
pub fn unit_of_path(path: &str, kind: &str) -> String {
    let words: Vec<&str> = path.split('/').filter(|w| !w.is_empty()).collect();
    if words.is_empty() {
        return format!("-.{kind}");
    }
    let mut out = String::new();
    for (i, b) in words.join("/").bytes().enumerate() {
        match b {
            b'/' => out.push('-'),
            b'.' if i == 0 => out.push_str("\\x2e"),
            _ if b.is_ascii_alphanumeric() || b":_.".contains(&b) => out.push(char::from(b)),
            _ => out.push_str(&format!("\\x{b:02x}")),
        }
    }
    out + "." + kind
}

/// A value of an `Environment=` assignment, in quotes, as a line of a unit file.
pub fn environment(name: &str, value: &str) -> String {
    let value = value
        .replace(char::is_control, " ")
        .replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('%', "%%");
    format!("Environment=\"{name}={value}\"\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_stay_words() {
        for (word, want) in [
            ("a", "a"),
            ("", "''"),
            ("a b", "'a b'"),
            ("it's", r"'it'\''s'"),
            ("$(x)`y`", "'$(x)`y`'"),
        ] {
            assert_eq!(quote(word), want);
        }
    }

    #[test]
    fn paths_are_escaped_as_systemd_does() {
        for (path, want) in [
            ("/mnt/data", "mnt-data.mount"),
            ("/", "-.mount"),
            ("//srv//a-b/", "srv-a\\x2db.mount"),
            ("/.x/é", "\\x2ex-\\xc3\\xa9.mount"),
        ] {
            assert_eq!(unit_of_path(path, "mount"), want);
        }
    }

    #[test]
    fn environment_keeps_quotes_and_percents() {
        assert_eq!(environment("A", "b\nc"), "Environment=\"A=b c\"\n");
        assert_eq!(
            environment("A", "b\"c%d\\"),
            "Environment=\"A=b\\\"c%%d\\\\\"\n"
        );
    }
}
