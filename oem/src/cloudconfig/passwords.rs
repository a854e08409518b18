//! `password` and `chpasswd`: set once on an instance, so that what a user
//! changed later stays.

use super::CloudConfig;
use super::credential::{Reference, reference};
use super::diag::{At, Spot};
use super::node::Kind;
use super::read::{Fields, Reader};
use super::schema::Type::{Either, Flag, List, Table, Text, Word};
use super::schema::{Section, TABLES, key};
use super::tasks::Frequency;
use super::users::is_name;
use std::fmt;

/// One password to set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Password {
    /// Whose.
    pub user: String,
    /// The password.
    pub secret: Secret,
    /// It must be changed at the first login.
    pub expire: bool,
}

/// A password as it was written.
#[derive(Clone, PartialEq, Eq)]
pub enum Secret {
    /// Hash in crypt(5) format.
    Hash(String),
    /// The password itself.
    Plain(String),
    /// Name of the credential that is the password, or its hash: told by its looks, unless
    /// `hashed` says what it is.
    Credential {
        /// Of the credential.
        name: String,
        /// What was said of it.
        hashed: Option<bool>,
    },
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

const TYPES: &[&str] = &["hash", "text"];

pub(super) const SECTION: Section = Section {
    title: "Passwords",
    keys: &[
        key(
            "password",
            Text,
            "password of core, plain or hashed; sshd takes it only with `ssh_pwauth: true`",
        )
        .or_credential()
        .each(Frequency::Instance),
        key("chpasswd", Table, "passwords of users that exist").each(Frequency::Instance),
        key("chpasswd.users", TABLES, "whose, and which"),
        key("chpasswd.users[].name", Text, "login name").required(),
        key(
            "chpasswd.users[].password",
            Text,
            "the password, or its hash",
        )
        .or_credential()
        .required(),
        key(
            "chpasswd.users[].type",
            Word(TYPES),
            "what `password` is; told apart by its looks unless given",
        ),
        key(
            "chpasswd.list",
            Either(&[List(&Text), Text]),
            "older form: `NAME:PASSWORD`, in a list or one a line",
        ),
        key(
            "chpasswd.expire",
            Flag,
            "to be changed at the first login; default true",
        ),
    ],
    example: EXAMPLE,
    read,
};

const EXAMPLE: &str = "\
password: $6$salt$hash                 # made by mkpasswd
chpasswd:
  expire: false
  users:
    - {name: alice, password: $6$salt$hash, type: hash}
  list:
    - bob:$6$salt$hash
";

fn read(f: &Fields<'_>, config: &mut CloudConfig, r: &mut Reader) {
    let table = f
        .get("chpasswd")
        .and_then(|n| r.table(n, "chpasswd", SECTION.keys, "chpasswd."));
    let expire = table
        .as_ref()
        .and_then(|t| t.boolean("expire", r))
        .unwrap_or(true);
    let mut out = Vec::new();
    if let Some(text) = f.line("password", r) {
        take(&mut out, "core", &text, None, "password", r);
    }
    if let Some(table) = table {
        items(&table, &mut out, r);
    }
    let found = out.into_iter().map(|(spot, user, secret)| At {
        spot,
        value: Password {
            user,
            secret,
            expire,
        },
    });
    config.passwords.extend(found);
}

type Found = (Spot, String, Secret);

fn items(table: &Fields<'_>, out: &mut Vec<Found>, r: &mut Reader) {
    if let Some(n) = table.get("users") {
        let path = table.key("users");
        for (i, n) in r.list(n, &path).iter().enumerate() {
            let at = format!("{path}[{i}]");
            let Some(f) = r.table(n, &at, SECTION.keys, "chpasswd.users[].") else {
                continue;
            };
            let kind = f.line("type", r);
            if let Some(kind) = kind
                .as_ref()
                .filter(|k| k.value.eq_ignore_ascii_case("random"))
            {
                random(kind.spot, &f.key("type"), r);
                continue;
            }
            let hashed = match &kind {
                None => None,
                Some(kind) => match r.word(kind, &f.key("type"), TYPES, "unknown type") {
                    Some(word) => Some(word == "hash"),
                    None => continue,
                },
            };
            let (Some(name), Some(text)) = (f.line("name", r), f.line("password", r)) else {
                r.error(f.spot, &at, "needs a `name` and a `password`", "");
                continue;
            };
            take(out, &name.value, &text, hashed, &f.key("password"), r);
        }
    }
    if let Some(n) = table.get("list") {
        let path = table.key("list");
        // One text with a line for each, or a list.
        let lines = match &n.kind {
            Kind::Scalar { text, .. } => text
                .lines()
                .map(|l| At {
                    spot: n.spot,
                    value: l.trim().to_owned(),
                })
                .collect(),
            _ => r.lines(n, &path),
        };
        for line in lines.iter().filter(|l| !l.value.is_empty()) {
            let Some((name, text)) = line.value.split_once(':') else {
                r.error(line.spot, &path, "expected `NAME:PASSWORD`", "");
                continue;
            };
            if text == "RANDOM" || text == "R" {
                random(line.spot, &path, r);
                continue;
            }
            let text = At {
                spot: line.spot,
                value: text.to_owned(),
            };
            take(out, name, &text, None, &path, r);
        }
    }
}

fn random(spot: Spot, path: &str, r: &mut Reader) {
    r.error(
        spot,
        path,
        "random passwords are not made here: they would have to be shown on the console",
        "give a hash (`mkpasswd`), or use `ssh_authorized_keys`",
    );
}

fn take(
    out: &mut Vec<Found>,
    user: &str,
    text: &At<String>,
    hashed: Option<bool>,
    path: &str,
    r: &mut Reader,
) {
    if !is_name(user) {
        r.error(text.spot, path, "not a user name", "");
        return;
    }
    match reference(text, path, r) {
        Reference::To(name) => {
            let secret = Secret::Credential { name, hashed };
            return out.push((text.spot, user.to_owned(), secret));
        }
        Reference::Wrong => return,
        Reference::Text => {}
    }
    let hashed = hashed.unwrap_or_else(|| looks_hashed(&text.value));
    if let Some(why) = fault(&text.value, hashed) {
        r.error(text.spot, path, why, "");
        return;
    }
    let secret = if hashed { Secret::Hash } else { Secret::Plain };
    out.push((text.spot, user.to_owned(), secret(text.value.clone())));
}

/// What is wrong with a password or hash.
pub fn fault(text: &str, hashed: bool) -> Option<&'static str> {
    if text.is_empty() {
        Some("must not be empty")
    } else if hashed && text.contains(|c: char| c == ':' || c.is_whitespace()) {
        Some("not a hash: must not contain `:` or spaces")
    } else if text.len() > 512 {
        Some("longer than 512 bytes")
    } else {
        None
    }
}

/// The forms of crypt(5) that mkpasswd(1) makes.
pub fn looks_hashed(text: &str) -> bool {
    [
        "$1$", "$2a$", "$2b$", "$2y$", "$5$", "$6$", "$7$", "$y$", "$gy$",
    ]
    .iter()
    .any(|p| text.starts_with(p))
}
