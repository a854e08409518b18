//! How large the values of a template can become, told from its text alone. Filling it in
//! is limited in steps and in what it writes, but not in memory: twenty lines that each
//! double a text would take all there is.
//!
//! No value is larger than all that it is made of, and each name counts with the largest
//! that is given to it. So that this holds there is no `*`, no block whose output becomes
//! a value, and no loop that calls itself.

use std::collections::HashMap;

/// Largest value, in bytes.
pub(super) const MAX: usize = 1 << 20;
/// Largest text that a filter which can make much of little gives.
pub(super) const MAX_FILTERED: usize = 64 << 10;

/// What cannot be filled in within bounds.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Refused {
    pub line: u32,
    pub what: &'static str,
    pub hint: &'static str,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Token<'a> {
    /// A name, a number, a keyword.
    Word(&'a str),
    /// A text in quotes: its bytes.
    Text(usize),
    Mark(char),
}

/// Looks a template through; `given` is the size of all values it starts with.
pub(super) fn check(source: &str, given: usize) -> Result<(), Refused> {
    let mut sizes: HashMap<&str, usize> = HashMap::new();
    let mut line = 1;
    let mut rest = source;
    let mut raw = false;
    while let Some(at) = rest.find('{') {
        let (before, from) = rest.split_at(at);
        line += lines(before);
        let close = match from.as_bytes().get(1) {
            Some(b'%') => "%}",
            Some(b'{') if !raw => "}}",
            Some(b'#') if !raw => {
                let end = from.find("#}").map_or(from.len(), |e| e + 2);
                line += lines(&from[..end]);
                rest = &from[end..];
                continue;
            }
            _ => {
                rest = &from[1..];
                continue;
            }
        };
        let (tokens, after) = tokens(&from[2..], close);
        let first = match tokens.first() {
            Some(Token::Word(word)) if close == "%}" => *word,
            _ => "",
        };
        match first {
            "raw" => raw = true,
            "endraw" => raw = false,
            _ => {}
        }
        if raw {
            rest = &from[2..];
            continue;
        }
        let refused = |(what, hint)| Refused { line, what, hint };
        statement(first, &tokens, given, &mut sizes).map_err(refused)?;
        line += lines(&from[..from.len() - after.len()]);
        rest = after;
    }
    Ok(())
}

fn lines(text: &str) -> u32 {
    let count = text.bytes().filter(|b| *b == b'\n').count();
    u32::try_from(count).unwrap_or(u32::MAX)
}

fn statement<'a>(
    first: &str,
    tokens: &[Token<'a>],
    given: usize,
    sizes: &mut HashMap<&'a str, usize>,
) -> Result<(), (&'static str, &'static str)> {
    let has = |token: Token<'_>| tokens.contains(&token);
    if has(Token::Mark('*')) {
        return Err(("`*` is not available", "write the text out"));
    }
    let place = |mark: char| tokens.iter().position(|t| *t == Token::Mark(mark));
    // What is given comes before any filter; `=` behind one names its argument.
    let gives = place('=').is_some_and(|at| place('|').is_none_or(|bar| at < bar));
    if first == "filter" || first == "set" && !gives {
        let hint = "write the filter after the value: `{{ value | upper }}`";
        return Err(("a block cannot become a value", hint));
    }
    if first == "for" && tokens.last() == Some(&Token::Word("recursive")) {
        return Err(("a loop cannot call itself", "write one loop in another"));
    }
    let values = tokens.iter().skip(usize::from(!first.is_empty()));
    let mut size = values.fold(0usize, |sum, token| {
        let one = match token {
            Token::Text(bytes) => *bytes,
            Token::Word(word) if word.starts_with(|c: char| c.is_ascii_digit()) => word.len(),
            Token::Word(word) => sizes.get(word).copied().unwrap_or(given),
            Token::Mark(_) => 1,
        };
        sum.saturating_add(one)
    });
    if has(Token::Mark('|')) {
        // Capitals of a letter may be three.
        size = size.saturating_mul(3);
        if has(Token::Word("replace")) || has(Token::Word("join")) {
            size = size.max(MAX_FILTERED);
        }
    }
    if size > MAX {
        let hint = "write long texts once, and outside of `{% set %}`";
        return Err(("a value grows over 1 MiB", hint));
    }
    // Also names that are only read here: that makes it more, never less.
    if matches!(first, "set" | "for" | "with") {
        for token in tokens {
            if let Token::Word(word) = token {
                let known = sizes.entry(word).or_insert(given);
                *known = size.max(*known);
            }
        }
    }
    Ok(())
}

/// What stands up to `close`, and what follows.
fn tokens<'a>(text: &'a str, close: &str) -> (Vec<Token<'a>>, &'a str) {
    let mut out = Vec::new();
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        if let Some(after) = rest.strip_prefix(close) {
            return (out, after);
        }
        let is_word = |c: char| c.is_alphanumeric() || c == '_';
        let len = if c == '"' || c == '\'' {
            let mut escaped = false;
            let end = rest[1..].find(|d: char| {
                let ends = d == c && !escaped;
                escaped = d == '\\' && !escaped;
                ends
            });
            let len = end.map_or(rest.len(), |e| e + 2);
            out.push(Token::Text(len));
            len
        } else if is_word(c) {
            let len = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
            out.push(Token::Word(&rest[..len]));
            len
        } else {
            // `{%-` and `{%+` belong to the brace.
            if !c.is_whitespace() && !(out.is_empty() && "-+".contains(c)) {
                out.push(Token::Mark(c));
            }
            c.len_utf8()
        };
        rest = &rest[len..];
    }
    (out, rest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check_of(text: &str) -> Result<(), Refused> {
        check(text, 1000)
    }

    #[test]
    fn ordinary_templates_pass() {
        for text in [
            "plain {text} { % #} {{ v1.local_hostname }}",
            "{% set name = v1.region ~ '-' ~ v1.zone %}{{ name | upper }}",
            "{%- for k in v1.public_ssh_keys -%}- {{ k }}{% endfor %}",
            "{% raw %}{{ 'x' * 9 }}{% filter upper %}{% endraw %}{{ a | join(',') }}",
            "{# {{ 2 * 2 }} #}{{ '2 * 2' }}",
            "{% if a == b %}{% set x = 1 %}{% else %}{% set x = 'it\\'s *' %}{% endif %}",
        ] {
            assert_eq!(check_of(text), Ok(()), "{text}");
        }
    }

    #[test]
    fn what_can_grow_without_bound_is_refused() {
        let doubled: String = (0..20)
            .map(|i| format!("{{% set a{} = a{i} ~ a{i} %}}\n", i + 1))
            .collect();
        for (text, line) in [
            ("a\n{{ 'x' * 99 }}", 2),
            ("{% set x %}a{% endset %}", 1),
            ("{% filter upper %}a{% endfilter %}", 1),
            ("\n\n{% for a in b recursive %}{% endfor %}", 3),
            (doubled.as_str(), 10),
            (
                "{% for a in b %}{% for a in [a,a,a,a] %}{% set b = [a,a,a,a] %}{% with b=[b,b,b,b] %}\
              {% set c = [b,b,b,b] %}{% set d = [c,c,c,c] %}{{ d ~ d }}",
                1,
            ),
        ] {
            assert_eq!(check_of(text).map_err(|r| r.line), Err(line), "{text}");
        }
    }

    proptest! {
        #[test]
        fn never_panics(text in "(\\{\\{|\\}\\}|\\{%|%\\}|\\{#|#\\}|raw|endraw|set|for|in|=|~|[-+*|()'\"\\\\ \n]|x|é)*") {
            let _ = check_of(&text);
        }
    }
}
