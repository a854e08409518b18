//! How several cloud-configs of one layer come together.
//!
//! Each part is read whole. What a later part says once (`hostname`) wins; items
//! with a name of their own (files, units, users) win over earlier ones of that
//! name; lists (keys, commands) add up. cloud-init lets a later part's key replace
//! an earlier one's instead, and so parts for it say `merge_how`: where that asks
//! for something else than the above, it is obeyed.

use crate::cloudconfig::{Kind, Node, parse_yaml};
use crate::userdata::{Content, Part};
use std::collections::BTreeMap;
use std::rc::Rc;

/// Top-level keys of a part that are not applied, and why.
pub type LeftOut = BTreeMap<String, String>;

/// What a part wants done with the keys that earlier parts have too.
#[derive(Debug, Default, PartialEq, Eq)]
struct Policy {
    /// Its keys replace theirs.
    replace: bool,
    /// Their single values stay.
    keep: bool,
    /// Their lists stay, too.
    keep_lists: bool,
    /// What cannot be had.
    wrong: Option<String>,
}

/// Reads `list(append)+dict(no_replace,recurse_list)+str()`.
fn policy(text: &str) -> Policy {
    let mut out = Policy::default();
    let mut appends = false;
    let mut recurses = false;
    for word in text.split('+').map(str::trim).filter(|w| !w.is_empty()) {
        let (name, settings) = word.split_once('(').unwrap_or((word, ""));
        let settings = settings.trim_end_matches(')').split(',').map(str::trim);
        for setting in settings.filter(|s| !s.is_empty()) {
            match (name.trim(), setting) {
                ("dict", "replace") => out.replace = true,
                ("dict", "no_replace") => out.keep = true,
                ("dict" | "list", "recurse_list" | "recurse_array") => recurses = true,
                ("list", "append") => appends = true,
                ("list", "prepend") => {
                    appends = true;
                    out.wrong = Some(
                        "`prepend` is not obeyed: items come in the order of the parts".to_owned(),
                    );
                }
                ("list", "replace" | "no_replace")
                | ("dict" | "list" | "str", "recurse_dict" | "recurse_str" | "allow_delete")
                | ("str", "append") => {}
                _ => out.wrong = Some(format!("{word:?} is not a way to merge that is known")),
            }
        }
        if !matches!(name.trim(), "dict" | "list" | "str") {
            out.wrong = Some(format!("{word:?} is not a way to merge that is known"));
        }
    }
    out.replace &= !appends && !out.keep;
    out.keep_lists = out.keep && !(recurses && appends);
    out
}

/// For each part of a layer: which keys are left out, and what is wrong with its
/// wish.
pub fn left_out(parts: &[Part]) -> Vec<(LeftOut, Option<String>)> {
    let mut out: Vec<(LeftOut, Option<String>)> = vec![Default::default(); parts.len()];
    let text_of = |p: &'_ Part| match &p.content {
        Content::CloudConfig(text) => Some(text.clone()),
        _ => None,
    };
    let wishes = |p: &Part| {
        p.merge.is_some()
            || matches!(&p.content, Content::CloudConfig(t) if t.contains("merge_how") || t.contains("merge_type"))
    };
    // Reading twice is for those who ask for it.
    if parts.len() < 2 || !parts.iter().any(wishes) {
        return out;
    }
    let mut before: Vec<(usize, BTreeMap<String, Rc<Node>>)> = Vec::new();
    for (number, part) in parts.iter().enumerate() {
        let Some(text) = text_of(part) else { continue };
        let keys = keys(&text);
        let own = ["merge_how", "merge_type"]
            .iter()
            .find_map(|k| keys.get(*k));
        let wish = own.map(|n| written(n)).or_else(|| part.merge.clone());
        let wish = wish.map(|w| policy(&w)).unwrap_or_default();
        for (earlier, theirs) in &before {
            for (key, value) in &keys {
                let name = |n: usize| match parts[n].name.as_str() {
                    "" => "another part".to_owned(),
                    name => name.to_owned(),
                };
                let stays = match value.kind {
                    Kind::Scalar { .. } => wish.keep,
                    Kind::Seq(_) => wish.keep_lists,
                    Kind::Map(_) => false,
                };
                if !theirs.contains_key(key) || key.starts_with("merge_") {
                    continue;
                }
                if wish.replace {
                    let why = format!("replaced by {}, as its merge_how says", name(number));
                    out[*earlier].0.insert(key.clone(), why);
                } else if stays {
                    let why = format!("{} has it, and merge_how says no_replace", name(*earlier));
                    out[number].0.insert(key.clone(), why);
                }
            }
        }
        out[number].1 = wish.wrong;
        before.push((number, keys));
    }
    out
}

fn keys(text: &str) -> BTreeMap<String, Rc<Node>> {
    let root = parse_yaml(text, &mut Vec::new()).ok().flatten();
    let Some(Kind::Map(entries)) = root.as_ref().map(|r| &r.kind) else {
        return BTreeMap::new();
    };
    let pair = |(k, v): &(Rc<Node>, Rc<Node>)| match &k.kind {
        Kind::Scalar { text, .. } => Some((text.replace('-', "_"), v.clone())),
        _ => None,
    };
    entries.iter().filter_map(pair).collect()
}

/// `merge_how` as text; also from its form as a list of names and settings.
fn written(node: &Node) -> String {
    match &node.kind {
        Kind::Scalar { text, .. } => text.clone(),
        Kind::Seq(items) => {
            let items: Vec<String> = items.iter().map(|i| written(i)).collect();
            items.join("+")
        }
        Kind::Map(fields) => {
            let field = |name: &str| {
                let named = |(k, _): &&(Rc<Node>, Rc<Node>)| written(k) == name;
                fields.iter().find(named).map(|(_, v)| v)
            };
            let name = field("name").map(|n| written(n)).unwrap_or_default();
            let settings = field("settings").map(|n| written(n)).unwrap_or_default();
            format!("{name}({})", settings.replace('+', ","))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::userdata::Format;

    fn part(name: &str, merge: Option<&str>, text: &str) -> Part {
        Part {
            name: name.to_owned(),
            format: Format::CloudConfig,
            line: 1,
            merge: merge.map(str::to_owned),
            content: Content::CloudConfig(format!("#cloud-config\n{text}")),
            notes: Vec::new(),
        }
    }

    #[test]
    fn only_explicit_wishes_leave_something_out() {
        let first = part(
            "a",
            None,
            "hostname: a\nruncmd: [x]\nntp: {enabled: true}\n",
        );
        let second = "hostname: b\nruncmd: [y]\nntp: {enabled: true}\nusers: []\n";
        let out = |merge: Option<&str>, text: &str| {
            let parts = [first.clone(), part("b", merge, text)];
            let names = |l: &LeftOut| l.keys().cloned().collect::<Vec<_>>().join(" ");
            let left = left_out(&parts);
            (names(&left[0].0), names(&left[1].0), left[1].1.is_some())
        };
        let none = (String::new(), String::new(), false);
        assert_eq!(out(None, second), none);
        assert_eq!(
            out(Some("list(append)+dict(recurse_array)+str()"), second),
            none
        );
        let replaced = ("hostname ntp runcmd".to_owned(), String::new(), false);
        assert_eq!(out(Some("dict(replace)+list()+str()"), second), replaced);
        let kept = (String::new(), "hostname".to_owned(), false);
        let how = "dict(no_replace,recurse_list)+list(append)";
        assert_eq!(out(Some(how), second), kept);
        let listed = "merge_how:\n- {name: list, settings: [append]}\n- {name: dict, settings: [no_replace, recurse_list]}\n";
        assert_eq!(out(None, &format!("{second}{listed}")), kept);
        let kept = (String::new(), "hostname runcmd".to_owned(), false);
        assert_eq!(out(Some("dict(no_replace)"), second), kept);
        assert!(out(Some("list(prepend)"), second).2 && out(Some("set(x)"), second).2);
    }
}
