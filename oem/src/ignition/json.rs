//! JSON (RFC 8259) as the tree that YAML becomes, so that one reader knows the
//! place of everything in either. Names are stored in Butane's spelling
//! (`ssh_authorized_keys` for `sshAuthorizedKeys`). Linear, bounded.

use crate::cloudconfig::{Diagnostic, Kind, MAX_NODES, Node, Spot};
use std::rc::Rc;

/// Deepest nesting accepted; Ignition needs 8.
const MAX_DEPTH: usize = 64;

/// Parses one document.
///
/// # Errors
/// It is not JSON, or too much of it: what, and where.
pub fn parse(text: &str) -> Result<Rc<Node>, Diagnostic> {
    let mut p = Parser {
        rest: text,
        spot: Spot { line: 1, column: 1 },
        nodes: 0,
    };
    let root = p.value(0)?;
    p.space();
    match p.rest.is_empty() {
        true => Ok(root),
        false => Err(p.broken("something follows the document")),
    }
}

struct Parser<'a> {
    rest: &'a str,
    spot: Spot,
    nodes: usize,
}

type Entries = Vec<(Rc<Node>, Rc<Node>)>;

impl<'a> Parser<'a> {
    fn broken(&self, what: &str) -> Diagnostic {
        Diagnostic::error(self.spot, "", format!("not valid JSON: {what}"))
            .hint("check the file with e.g. `jq . FILE`")
    }

    /// Goes on by `len` bytes.
    fn take(&mut self, len: usize) -> &'a str {
        let (taken, rest) = self.rest.split_at_checked(len).unwrap_or((self.rest, ""));
        self.rest = rest;
        for c in taken.chars() {
            if c == '\n' {
                self.spot.line = self.spot.line.saturating_add(1);
                self.spot.column = 1;
            } else {
                self.spot.column = self.spot.column.saturating_add(1);
            }
        }
        taken
    }

    fn space(&mut self) {
        let text = self.rest.trim_start_matches([' ', '\t', '\r', '\n']);
        self.take(self.rest.len() - text.len());
    }

    /// Takes a mark, if it comes next after white space.
    fn mark(&mut self, mark: char) -> bool {
        self.space();
        let there = self.rest.starts_with(mark);
        if there {
            self.take(mark.len_utf8());
        }
        there
    }

    fn value(&mut self, depth: usize) -> Result<Rc<Node>, Diagnostic> {
        self.space();
        let spot = self.spot;
        self.nodes += 1;
        if depth > MAX_DEPTH {
            return Err(self.broken(&format!("nested deeper than {MAX_DEPTH} levels")));
        }
        if self.nodes > MAX_NODES {
            return Err(self.broken(&format!("more than {MAX_NODES} values")));
        }
        let kind = match self.rest.bytes().next() {
            Some(b'{') => Kind::Map(self.object(depth)?),
            Some(b'[') => Kind::Seq(self.array(depth)?),
            Some(b'"') => scalar(self.string()?, false),
            Some(_) => scalar(self.word()?, true),
            None => return Err(self.broken("it ends too early")),
        };
        Ok(Rc::new(Node::new(spot, kind)))
    }

    fn object(&mut self, depth: usize) -> Result<Entries, Diagnostic> {
        self.take(1);
        let mut out = Vec::new();
        if self.mark('}') {
            return Ok(out);
        }
        loop {
            self.space();
            let spot = self.spot;
            if !self.rest.starts_with('"') {
                return Err(self.broken("expected a name in quotes"));
            }
            let name = snake(&self.string()?);
            if !self.mark(':') {
                return Err(self.broken("expected `:`"));
            }
            let value = self.value(depth + 1)?;
            out.push((Rc::new(Node::new(spot, scalar(name, false))), value));
            if self.mark('}') {
                return Ok(out);
            }
            if !self.mark(',') {
                return Err(self.broken("expected `,` or `}`"));
            }
        }
    }

    fn array(&mut self, depth: usize) -> Result<Vec<Rc<Node>>, Diagnostic> {
        self.take(1);
        let mut out = Vec::new();
        if self.mark(']') {
            return Ok(out);
        }
        loop {
            out.push(self.value(depth + 1)?);
            if self.mark(']') {
                return Ok(out);
            }
            if !self.mark(',') {
                return Err(self.broken("expected `,` or `]`"));
            }
        }
    }

    /// A number, `true`, `false` or `null`, as it is written.
    fn word(&mut self) -> Result<String, Diagnostic> {
        let inside = |c: char| c.is_ascii_alphanumeric() || "+-.".contains(c);
        let end = self.rest.find(|c| !inside(c)).unwrap_or(self.rest.len());
        let word = self.rest.get(..end).unwrap_or_default();
        let number = word.starts_with(|c: char| c == '-' || c.is_ascii_digit())
            && word.parse::<f64>().is_ok();
        if !number && !matches!(word, "true" | "false" | "null") {
            return Err(self.broken("expected a value"));
        }
        Ok(self.take(end).to_owned())
    }

    fn string(&mut self) -> Result<String, Diagnostic> {
        self.take(1);
        let mut out = String::new();
        loop {
            let stop = |c: char| c == '"' || c == '\\' || c < ' ';
            let end = self.rest.find(stop).unwrap_or(self.rest.len());
            out.push_str(self.take(end));
            match self.rest.bytes().next() {
                Some(b'"') => {
                    self.take(1);
                    return Ok(out);
                }
                Some(b'\\') => out.push(self.escape()?),
                Some(_) => return Err(self.broken("a line break or control character in a text")),
                None => return Err(self.broken("a text without its closing quote")),
            }
        }
    }

    fn escape(&mut self) -> Result<char, Diagnostic> {
        let code = self.rest.as_bytes().get(1).copied();
        let c = match code {
            Some(b'n') => '\n',
            Some(b't') => '\t',
            Some(b'r') => '\r',
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(c @ (b'"' | b'\\' | b'/')) => char::from(c),
            Some(b'u') => return self.unicode(),
            _ => return Err(self.broken("an unknown escape")),
        };
        self.take(2);
        Ok(c)
    }

    /// `\u00e9`, or two of them that make one character.
    fn unicode(&mut self) -> Result<char, Diagnostic> {
        let unit = |text: &str| {
            let hex = text.strip_prefix("\\u")?.get(..4)?;
            let right = hex.bytes().all(|b| b.is_ascii_hexdigit());
            right.then(|| u16::from_str_radix(hex, 16).ok()).flatten()
        };
        let Some(first) = unit(self.rest) else {
            return Err(self.broken("an unknown escape"));
        };
        let second = self.rest.get(6..).and_then(unit);
        if let Some(second) = second
            && let Some(Ok(c)) = char::decode_utf16([first, second]).next()
            && (0xd800..0xdc00).contains(&first)
        {
            self.take(12);
            return Ok(c);
        }
        self.take(6);
        Ok(char::from_u32(first.into()).unwrap_or(char::REPLACEMENT_CHARACTER))
    }
}

fn scalar(text: String, plain: bool) -> Kind {
    Kind::Scalar {
        text,
        plain,
        binary: false,
    }
}

/// `noCreateHome` as `no_create_home`; `sizeMiB` as `size_mib`.
fn snake(name: &str) -> String {
    let mut out = String::with_capacity(name.len() + 4);
    let mut after_lower = false;
    for c in name.chars() {
        if c.is_ascii_uppercase() && after_lower {
            out.push('_');
        }
        after_lower = c.is_ascii_lowercase() || c.is_ascii_digit();
        out.push(c.to_ascii_lowercase());
    }
    out.replace("mi_b", "mib")
}

/// The other way, for messages.
pub fn camel(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    let mut upper = false;
    for c in name.chars() {
        match c {
            '_' => upper = true,
            c if upper => {
                out.push(c.to_ascii_uppercase());
                upper = false;
            }
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn shown(node: &Node) -> String {
        match &node.kind {
            Kind::Scalar {
                text, plain: true, ..
            } => text.clone(),
            Kind::Scalar { text, .. } => format!("{text:?}"),
            Kind::Seq(items) => {
                let items: Vec<String> = items.iter().map(|i| shown(i)).collect();
                format!("[{}]", items.join(","))
            }
            Kind::Map(entries) => {
                let entries: Vec<String> = entries
                    .iter()
                    .map(|(k, v)| format!("{}:{}", shown(k), shown(v)))
                    .collect();
                format!("{{{}}}", entries.join(","))
            }
        }
    }

    #[test]
    fn values_names_and_places() {
        let text = "{\n \"noCreateHome\": true, \"wipeTable\" : null,\n\t\"sizeMiB\":-1.5e3, \"é\": [\"a\\u00e9\\ud83d\\ude00\\/\\n\", {}, []]}\n";
        let root = parse(text).unwrap();
        assert_eq!(
            shown(&root),
            "{\"no_create_home\":true,\"wipe_table\":null,\"size_mib\":-1.5e3,\"é\":[\"aé😀/\\n\",{},[]]}"
        );
        let Kind::Map(entries) = &root.kind else {
            panic!()
        };
        let spots: Vec<_> = entries
            .iter()
            .map(|(k, v)| (k.spot.line, k.spot.column, v.spot.column))
            .collect();
        assert_eq!(spots, [(2, 2, 18), (2, 24, 38), (3, 2, 12), (3, 20, 25)]);
        assert_eq!(camel("users[0].no_create_home"), "users[0].noCreateHome");
    }

    #[test]
    fn what_is_not_json_is_told_with_its_place() {
        for (text, line, column) in [
            ("", 1, 1),
            ("{", 1, 2),
            ("{\"a\": 1,\n }", 2, 2),
            ("[1 2]", 1, 4),
            ("{\"a\"; 1}", 1, 5),
            ("\"a\nb\"", 1, 3),
            ("\"\\x\"", 1, 2),
            ("\"a", 1, 3),
            ("nul", 1, 1),
            ("01x", 1, 1),
            ("{} {}", 1, 4),
        ] {
            let d = parse(text).unwrap_err();
            assert_eq!(
                (d.spot.line, d.spot.column),
                (line, column),
                "{text:?}: {}",
                d.message
            );
        }
        assert!(
            parse(&"[".repeat(100_000))
                .unwrap_err()
                .message
                .contains("deeper")
        );
        let many = format!("[{}1]", "1,".repeat(300_000));
        assert!(parse(&many).unwrap_err().message.contains("values"));
    }

    proptest! {
        #[test]
        fn agrees_with_serde(text in "([\\[\\]{},:\" ]|\"[a-z]{0,2}\"|\\\\u[d0][89ac]00|\\\\n|-?[0-9.]{1,3}|true|null|é){0,24}") {
            let ours = parse(&text).is_ok();
            let theirs = serde_json::from_str::<serde_json::Value>(&text).is_ok();
            // We take what it refuses in numbers (`01`) and lone surrogates, nothing else.
            prop_assert!(ours || !theirs, "{}", text);
        }
    }
}
