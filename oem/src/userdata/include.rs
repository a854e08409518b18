//! `#include`, `#include-once`: a list of URLs, one a line.

use super::fetch::Wanted;

/// One line of the list: its number, and what it asks for or what is wrong with it.
pub type Line = (u32, Result<Wanted, String>);

/// Reads the list. Each line may have a header of its own, as cloud-init has it;
/// lines that start with `#` are comments. `once` is for what comes before any header.
pub fn read(text: &str, mut once: bool) -> Vec<Line> {
    let mut out = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        let mut line = line.trim();
        let lower = line.to_ascii_lowercase();
        for (header, is_once) in [("#include-once", true), ("#include", false)] {
            let rest = lower.strip_prefix(header);
            if rest.is_some_and(|r| r.is_empty() || r.starts_with(char::is_whitespace)) {
                once = is_once;
                line = line.get(header.len()..).unwrap_or_default().trim();
                break;
            }
        }
        if !line.is_empty() && !line.starts_with('#') {
            out.push((number, Wanted::parse(line, once)));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_hold_for_what_follows() {
        let text = "#include http://a/1\n# comment\nhttp://a/2\n\n#include-once\n  https://a/3 \nftp://a\n#INCLUDE\nhttp://a/4\n";
        let seen: Vec<(u32, Option<(String, bool)>)> = read(text, false)
            .into_iter()
            .map(|(n, w)| (n, w.ok().map(|w| (w.url, w.once))))
            .collect();
        let url = |i: u32, once| {
            Some((
                format!("http{}://a/{i}", if i == 3 { "s" } else { "" }),
                once,
            ))
        };
        assert_eq!(
            seen,
            [
                (1, url(1, false)),
                (3, url(2, false)),
                (6, url(3, true)),
                (7, None),
                (9, url(4, false))
            ]
        );
    }
}
