//! `#cloud-config-archive`: a YAML list of texts, each with a type or told by
//! its own first line.

use crate::cloudconfig::{Diagnostic, Kind, Node, parse_yaml};

/// One entry.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Entry {
    /// MIME type; empty when not given.
    pub kind: String,
    /// Name of the file.
    pub file_name: Option<String>,
    /// `Merge-Type`, as in a MIME header.
    pub merge: Option<String>,
    /// The text.
    pub content: String,
    /// Line of the list it stands on.
    pub line: u32,
}

/// Reads the list, and what is wrong with it.
pub fn read(text: &str) -> (Vec<Entry>, Vec<Diagnostic>) {
    let mut notes = Vec::new();
    let root = match parse_yaml(text, &mut notes) {
        Ok(Some(root)) => root,
        Ok(None) => return (Vec::new(), notes),
        Err(broken) => {
            notes.push(broken);
            return (Vec::new(), notes);
        }
    };
    let Kind::Seq(items) = &root.kind else {
        let message = format!("expected a list, found {}", root.describe());
        notes.push(Diagnostic::error(root.spot, "", message).hint("start each entry with `- `"));
        return (Vec::new(), notes);
    };
    let entries = items.iter().enumerate();
    let entries = entries
        .filter_map(|(i, n)| entry(n, i, &mut notes))
        .collect();
    (entries, notes)
}

fn entry(node: &Node, index: usize, notes: &mut Vec<Diagnostic>) -> Option<Entry> {
    let mut out = Entry {
        line: node.spot.line,
        ..Entry::default()
    };
    let key = format!("[{index}]");
    match &node.kind {
        Kind::Scalar { text, .. } => {
            text.clone_into(&mut out.content);
            return Some(out);
        }
        Kind::Seq(_) => {
            let message = "expected a text or a mapping, found a list".to_owned();
            notes.push(Diagnostic::error(node.spot, &key, message));
            return None;
        }
        Kind::Map(fields) => {
            for (name, value) in fields {
                let (Kind::Scalar { text: name, .. }, Kind::Scalar { text, .. }) =
                    (&name.kind, &value.kind)
                else {
                    let message = "expected a text".to_owned();
                    notes.push(Diagnostic::error(value.spot, &key, message));
                    continue;
                };
                match name.to_ascii_lowercase().as_str() {
                    "content" => {
                        text.clone_into(&mut out.content);
                        out.line = value.spot.line;
                    }
                    "type" | "content-type" => out.kind = text.trim().to_ascii_lowercase(),
                    "filename" => out.file_name = Some(text.clone()),
                    "merge-type" | "x-merge-type" => out.merge = Some(text.clone()),
                    _ => {
                        let message = "unknown field, not applied".to_owned();
                        let hint = "one of content, type, filename, merge-type";
                        notes.push(Diagnostic::warning(value.spot, &key, message).hint(hint));
                    }
                }
            }
        }
    }
    if out.content.is_empty() {
        let message = "an entry without `content`".to_owned();
        notes.push(Diagnostic::error(node.spot, &key, message));
        return None;
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_texts_or_mappings() {
        let text = "#cloud-config-archive\n- type: text/cloud-boothook\n  content: |\n    #!/bin/sh\n  filename: a\n\
            - |\n  #!/bin/sh\n  b\n- [x]\n- {type: a}\n- {content: c, tpye: d}\n";
        let (entries, notes) = read(text);
        let shown: Vec<_> = entries
            .iter()
            .map(|e| {
                (
                    e.line,
                    e.kind.as_str(),
                    e.file_name.as_deref(),
                    e.content.as_str(),
                )
            })
            .collect();
        assert_eq!(
            shown,
            [
                (4, "text/cloud-boothook", Some("a"), "#!/bin/sh\n"),
                (7, "", None, "#!/bin/sh\nb\n"),
                (11, "", None, "c"),
            ]
        );
        let lines: Vec<_> = notes.iter().map(|d| (d.spot.line, d.is_error())).collect();
        assert_eq!(lines, [(9, true), (10, true), (11, false)]);
        assert_eq!(read("#cloud-config-archive\na: b\n").1.len(), 1);
        assert_eq!(read("#cloud-config-archive\n- [\n").1.len(), 1);
    }
}
