//! The texts of XML documents whose shape does not matter: which element has which
//! text, whatever its namespace and place.

use quick_xml::Reader;
use quick_xml::events::Event;
use std::collections::BTreeMap;

/// Most elements a document may have.
const MAX_ELEMENTS: usize = 20_000;

/// The text of the first element of each name that has any, without surrounding
/// blanks. Names are without their namespace's prefix.
///
/// # Errors
/// What is wrong with the document, in words.
pub(crate) fn texts(document: &str) -> Result<BTreeMap<String, String>, String> {
    let mut reader = Reader::from_str(document.trim_start_matches('\u{feff}'));
    let mut found = BTreeMap::new();
    let mut open: Vec<(String, String)> = Vec::new();
    let mut elements = 0;
    loop {
        let event = reader.read_event().map_err(|e| e.to_string())?;
        match event {
            Event::Start(start) => {
                elements += 1;
                if elements > MAX_ELEMENTS {
                    return Err("too many elements".into());
                }
                open.push((start.local_name().into_inner().to_owned(), String::new()));
            }
            Event::Text(text) => add(&mut open, &text.xml10_content()),
            Event::CData(text) => add(&mut open, &text.xml10_content()),
            Event::GeneralRef(reference) => {
                let number = reference.resolve_char_ref().map_err(|e| e.to_string())?;
                let character = match number {
                    Some(character) => character,
                    None => named(&reference.xml10_content())?,
                };
                add(&mut open, character.encode_utf8(&mut [0; 4]));
            }
            Event::End(_) => {
                let Some((name, text)) = open.pop() else {
                    return Err("an element ends that did not begin".into());
                };
                let text = text.trim();
                if !text.is_empty() {
                    found.entry(name).or_insert_with(|| text.to_owned());
                }
            }
            Event::Eof if open.is_empty() && elements > 0 => return Ok(found),
            Event::Eof => return Err("it ends too early".into()),
            _ => {}
        }
    }
}

/// Adds to the text of the innermost element.
fn add(open: &mut [(String, String)], text: &str) {
    if let Some((_, all)) = open.last_mut() {
        all.push_str(text);
    }
}

/// The entities every document may use.
fn named(name: &str) -> Result<char, String> {
    match name {
        "lt" => Ok('<'),
        "gt" => Ok('>'),
        "amp" => Ok('&'),
        "quot" => Ok('"'),
        "apos" => Ok('\''),
        _ => Err(format!("unknown entity `{name}`")),
    }
}

/// A text inside an element.
pub(crate) fn escaped(text: &str) -> String {
    text.chars()
        .map(|c| match c {
            '<' => "&lt;".to_owned(),
            '>' => "&gt;".to_owned(),
            '&' => "&amp;".to_owned(),
            c if c.is_control() => " ".to_owned(),
            c => c.to_string(),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn first_texts_of_any_namespace() {
        let all = texts(
            "\u{feff}<?xml version=\"1.0\"?><a xmlns:w=\"x\"><w:b> one &amp; &#65; </w:b><b>two</b>\
             <c><![CDATA[<raw>]]></c><empty/><d></d></a>",
        )
        .unwrap();
        assert_eq!(all["b"], "one & A");
        assert_eq!(all["c"], "<raw>");
        assert_eq!(all.len(), 2);
        for wrong in [
            "",
            "text",
            "<a>",
            "<a></b>",
            "<a>&unknown;</a>",
            "<html><body>hi",
        ] {
            assert!(texts(wrong).is_err(), "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn never_panics(text in "\\PC{0,40}", near in "[<>/a:&;#x0-9\\]\\[!-]{0,40}") {
            let _ = texts(&text);
            let _ = texts(&near);
        }

        #[test]
        fn escaped_text_comes_back(text in "[ -~]{0,40}") {
            let all = texts(&format!("<a>x{}x</a>", escaped(&text))).unwrap();
            prop_assert_eq!(&all["a"], &format!("x{text}x"));
        }
    }
}
