//! What the value of a key is.

use std::fmt;

/// What the value of a key is. In any place that takes text, numbers and booleans
/// are taken as they are written.
#[derive(Debug, Clone, Copy)]
pub enum Type {
    /// Text.
    Text,
    /// Text that says something: `path`, `URL`...
    As(&'static str),
    /// True or false, in any of YAML 1.1's words.
    Flag,
    /// A whole number.
    Number,
    /// One of some words.
    Word(&'static [&'static str]),
    /// A list.
    List(&'static Type),
    /// A mapping; its keys are in the table of keys, below this one's name.
    Table,
    /// A mapping of text whose keys are these, with spaces between them.
    Names(&'static str),
    /// A mapping whose keys are the user's.
    Map(&'static Type),
    /// One of several.
    Either(&'static [Type]),
    /// Nothing: `null`.
    Null,
    /// Anything.
    Any,
}

/// A list of mappings.
pub(crate) const TABLES: Type = Type::List(&Type::Table);
/// A list of words, or words with commas or spaces between them.
pub(crate) const WORDS: Type =
    Type::Either(&[Type::List(&Type::Text), Type::As("words with commas")]);
/// Commands: text for sh, or lists of words; or one script.
pub(crate) const COMMANDS: Type = Type::Either(&[
    Type::List(&Type::Either(&[Type::Text, Type::List(&Type::Text)])),
    Type::Text,
]);

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Type::Text => f.write_str("text"),
            Type::As(what) => f.write_str(what),
            Type::Flag => f.write_str("true|false"),
            Type::Number => f.write_str("number"),
            Type::Word(words) => f.write_str(&words.join("|")),
            Type::List(Type::Either(kinds)) => {
                f.write_str("list of ")?;
                join(f, kinds)
            }
            Type::List(kind) => write!(f, "list of {}", Plural(kind)),
            Type::Table => f.write_str("mapping"),
            Type::Names(_) => f.write_str("mapping of text"),
            Type::Map(Type::Any) => f.write_str("mapping"),
            Type::Map(kind) => write!(f, "mapping of NAME to {kind}"),
            Type::Either(kinds) => join(f, kinds),
            Type::Null => f.write_str("null"),
            Type::Any => f.write_str("anything"),
        }
    }
}

fn join(f: &mut fmt::Formatter<'_>, kinds: &[Type]) -> fmt::Result {
    for (i, kind) in kinds.iter().enumerate() {
        if i > 0 {
            f.write_str(" or ")?;
        }
        write!(f, "{kind}")?;
    }
    Ok(())
}

/// Many of one kind.
struct Plural<'a>(&'a Type);

impl fmt::Display for Plural<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Type::Table => f.write_str("mappings"),
            Type::List(kind) => write!(f, "lists of {}", Plural(kind)),
            other => write!(f, "{other}"),
        }
    }
}
