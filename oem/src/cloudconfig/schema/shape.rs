//! What the table of keys alone can tell about a value, and where a key that
//! stands in a wrong place belongs.

use super::{Fate, Key, Type, keys};
use crate::cloudconfig::node::{Kind, Node};
use crate::cloudconfig::read::{Fields, Reader};

/// Looks over what is accepted and of no use in `fields`, whose keys are below
/// `prefix`: what is wrong in it is told all the same.
pub(crate) fn look(fields: &Fields<'_>, keys: &[Key], prefix: &str, r: &mut Reader) {
    for (name, _, node) in fields.iter().filter(|(.., node)| !node.is_null()) {
        let full = |k: &&Key| k.name.strip_prefix(prefix) == Some(name);
        if let Some(key) = keys.iter().find(full)
            && key.fate == Fate::Accepted
        {
            look_at(node, key.kind, key.name, &fields.key(name), keys, r);
        }
    }
}

fn look_at(node: &Node, kind: Type, name: &str, path: &str, keys: &[Key], r: &mut Reader) {
    match kind {
        Type::Text | Type::As(_) => {
            r.string(node, path);
        }
        Type::Flag => {
            r.boolean(node, path);
        }
        Type::Number => {
            r.number(node, path);
        }
        // Its fields are accepted, too, and looked over in their turn.
        Type::Table => {
            r.table(node, path, keys, &format!("{name}."));
        }
        Type::List(Type::Text) => {
            r.lines(node, path);
        }
        Type::Either(kinds) => {
            // Of several, that which it looks like.
            let like = |k: &&Type| {
                matches!(
                    (&node.kind, k),
                    (Kind::Seq(_), Type::List(_))
                        | (Kind::Map(_), Type::Table | Type::Map(_))
                        | (Kind::Scalar { .. }, Type::Text | Type::As(_) | Type::Flag)
                )
            };
            match kinds.iter().find(like) {
                Some(kind) => look_at(node, *kind, name, path, keys, r),
                None => {
                    let why = format!("expected {kind}, found {}", node.describe());
                    r.error(node.spot, path, why, "");
                }
            }
        }
        Type::Word(_) | Type::List(_) | Type::Names(_) | Type::Map(_) | Type::Null | Type::Any => {}
    }
}

/// The key of this name, or the only one whose last word it is: what someone meant
/// who wrote it in the wrong table.
pub(crate) fn place_of(word: &str) -> Option<&'static str> {
    if let Some(key) = keys().find(|k| k.name == word) {
        return Some(key.name);
    }
    let mut found = keys().filter(|k| k.name.rsplit('.').next() == Some(word));
    let only = found.next()?;
    found.next().is_none().then_some(only.name)
}
