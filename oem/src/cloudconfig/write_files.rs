//! `write_files`.

use super::CloudConfig;
use super::credential::{Reference, reference};
use super::diag::{At, Spot};
use super::file_source::{Source, fetched, source};
use super::node::Node;
use super::read::{Reader, shorten};
use super::schema::Type::{As, Flag, Map, Table, Text, Word};
use super::schema::{Section, TABLES, key};
use std::rc::Rc;

/// One file to write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WriteFile {
    /// Absolute path.
    pub path: At<String>,
    /// Content as written, still encoded.
    pub content: Vec<u8>,
    /// How `content` is encoded.
    pub encoding: Encoding,
    /// Permission bits; those the file has, or 0644, unless given.
    pub mode: Option<u32>,
    /// `user`, `user:group`, or numbers; that which the file has, or root, unless given.
    pub owner: Option<At<String>>,
    /// What stands before `content`.
    pub base: Base,
    /// Written after all that is not deferred.
    pub defer: bool,
    /// What must be there for the file to make sense.
    pub need: Option<Need>,
}

/// What the content of a [`WriteFile`] is added to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Base {
    /// Nothing: the content is the file.
    Nothing,
    /// The file itself, unless it has the content already.
    Itself,
    /// Another file, which belongs to the image.
    File(&'static str),
    /// The file itself; the content is the agent's own block in it.
    Block,
}

/// Something in the image that a file or link is of no use without.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Need {
    /// One of these must exist.
    pub any_of: Vec<String>,
    /// Nothing is asked where this does not exist: a tree that is no image.
    pub within: &'static str,
    /// What is wrong when none does.
    pub why: String,
    /// What to do then.
    pub hint: &'static str,
}

/// A symbolic link to make.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// Absolute path.
    pub path: String,
    /// Target as stored.
    pub target: String,
    /// What must be there for the link to make sense.
    pub need: Option<Need>,
}

/// A directory to make.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Directory {
    /// Absolute path.
    pub path: String,
    /// Permission bits; those it has, or 0755, unless given.
    pub mode: Option<u32>,
    /// `user` or `user:group`; root unless given.
    pub owner: Option<String>,
}

impl WriteFile {
    /// A file of the agent's own making.
    pub(super) fn text(
        path: impl Into<String>,
        content: impl Into<Vec<u8>>,
        spot: Spot,
    ) -> WriteFile {
        WriteFile {
            path: At {
                spot,
                value: path.into(),
            },
            content: content.into(),
            encoding: Encoding::Plain,
            mode: Some(0o644),
            owner: None,
            base: Base::Nothing,
            defer: false,
            need: None,
        }
    }
    /// A file whose content is a credential.
    pub(super) fn sealed(path: impl Into<String>, credential: String, spot: Spot) -> WriteFile {
        WriteFile {
            encoding: Encoding::Credential,
            mode: Some(0o600),
            ..WriteFile::text(path, credential, spot)
        }
    }
    /// The same, with the place it was asked for.
    pub(super) fn at(self, spot: Spot) -> At<WriteFile> {
        At { spot, value: self }
    }
}

/// Encodings of `content`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// As written; placeholders are replaced.
    Plain,
    /// Base64.
    Base64,
    /// Gzip; only a `!!binary` value can hold it.
    Gzip,
    /// Base64 of gzip.
    GzipBase64,
    /// It is the name of a credential, which has the content.
    Credential,
}

const ENCODINGS: &[&str] = &[
    "b64",
    "base64",
    "gz",
    "gzip",
    "gz+b64",
    "gz+base64",
    "gzip+b64",
    "gzip+base64",
    "text/plain",
];

pub(super) const SECTION: Section = Section {
    title: "Files",
    keys: &[
        key("write_files", TABLES, "files to write"),
        key(
            "write_files[].path",
            As("path"),
            "absolute path, not below /usr",
        )
        .required(),
        key("write_files[].content", Text, "content").or_credential(),
        key(
            "write_files[].permissions",
            As("octal number"),
            "mode; default 0644, and 0600 where `content` is a credential",
        ),
        key(
            "write_files[].owner",
            Text,
            "user or user:group; default root:root",
        ),
        key(
            "write_files[].encoding",
            Word(ENCODINGS),
            "how content is encoded; placeholders only work in plain content",
        ),
        key(
            "write_files[].append",
            Flag,
            "add to the end of the file, unless the content is in it already",
        ),
        key(
            "write_files[].defer",
            Flag,
            "write after all files that are not deferred",
        ),
        key("write_files[].source", Table, "where content comes from"),
        key(
            "write_files[].source.uri",
            As("`data:`, `http:` or `https:` address"),
            "what is on the web is fetched by curl late in a boot, while the file is not there",
        ),
        key(
            "write_files[].source.headers",
            Map(&Text),
            "headers of the request",
        ),
    ],
    example: EXAMPLE,
    read: |f, config, r| {
        let Some(n) = f.get("write_files") else {
            return;
        };
        for (i, n) in r.list(n, "write_files").iter().enumerate() {
            item(n, &format!("write_files[{i}]"), config, r);
        }
    },
};

const EXAMPLE: &str = r#"write_files:
  - path: /etc/motd
    owner: root:root
    permissions: "0644"
    content: |
      This machine is $public_ipv4.
  - path: /etc/sysctl.d/90-shop.conf
    append: true
    defer: true
    content: |
      vm.swappiness = 1
  - path: /opt/bin/hello
    permissions: "0755"
    encoding: b64
    content: IyEvYmluL3NoCmVjaG8gaGVsbG8K
  - path: /etc/shop/database.key
    owner: root:root
    content: credential:shop.database
  - path: /opt/bin/tool
    permissions: "0755"
    source:
      uri: https://example.com/tool
      headers: {Authorization: Bearer abc}
"#;

fn item(node: &Node, at: &str, config: &mut CloudConfig, r: &mut Reader) -> Option<()> {
    let f = r.table(node, at, SECTION.keys, "write_files[].")?;
    let Some(path) = f.get("path") else {
        r.error(f.spot, at, "a file needs a `path`", "");
        return None;
    };
    let path = r.line(path, &f.key("path"))?;
    if !path.value.contains('$')
        && let Err(why) = check_path(&path.value)
    {
        let message = format!("{}: {}", shorten(&path.value), why.0);
        r.error(path.spot, &f.key("path"), message, why.1);
        return None;
    }
    let mut request = None;
    let content = match (f.get("content"), f.get("source")) {
        (_, Some(n)) => match source(n, &f.key("source"), r)? {
            Source::Data(content) => content,
            Source::Web(found) => {
                request = Some(found);
                Vec::new()
            }
        },
        (Some(n), None) => r.bytes(n, &f.key("content"))?.value,
        (None, None) => Vec::new(),
    };
    let encoding = match f.get("encoding") {
        None => Encoding::Plain,
        Some(n) => {
            let word = r.line(n, &f.key("encoding"))?;
            match r.word(&word, &f.key("encoding"), ENCODINGS, "unknown encoding")? {
                "text/plain" => Encoding::Plain,
                "b64" | "base64" => Encoding::Base64,
                "gz" | "gzip" => Encoding::Gzip,
                _ => Encoding::GzipBase64,
            }
        }
    };
    let sealed = match content_reference(&content, f.get("content"), &f.key("content"), r) {
        Reference::To(name) => Some(name),
        Reference::Wrong => return None,
        Reference::Text => None,
    };
    let mode = match f.get("permissions") {
        None => None,
        Some(n) => {
            let text = r.line(n, &f.key("permissions"))?;
            match mode(&text.value) {
                Some(m) => Some(m),
                None => {
                    r.error(
                        text.spot,
                        &f.key("permissions"),
                        "not an octal mode",
                        "write e.g. `permissions: \"0644\"`",
                    );
                    return None;
                }
            }
        }
    };
    let base = match f.boolean("append", r) {
        Some(true) => Base::Itself,
        _ => Base::Nothing,
    };
    let defer = f.boolean("defer", r).unwrap_or(false);
    let owner = match f.get("owner") {
        Some(n) => Some(r.line(n, &f.key("owner"))?),
        None => None,
    };
    let (content, encoding, mode) = match sealed {
        None => (content, encoding, mode),
        Some(_) if encoding != Encoding::Plain || base != Base::Nothing => {
            let why = "a credential is the whole of a file, as it is";
            let hint = "leave `encoding` and `append` out";
            r.error(f.spot, &f.key("content"), why, hint);
            return None;
        }
        Some(name) => {
            if mode.is_some_and(|m| m & 0o004 != 0) {
                let why = "everybody may read this secret";
                let hint = "leave it out: the mode is 0600 then";
                r.warn(f.spot, &f.key("permissions"), why, hint);
            }
            (
                name.into_bytes(),
                Encoding::Credential,
                mode.or(Some(0o600)),
            )
        }
    };
    let file = WriteFile {
        path,
        content,
        encoding,
        mode,
        owner,
        base,
        defer,
        need: None,
    };
    match request {
        None => config.write_files.push(file.at(f.spot)),
        Some(request) => {
            let task = fetched(&file, &request, &f, r)?;
            config.tasks.push(task.at(f.spot));
        }
    }
    Some(())
}

/// Whether content as it is written is a reference.
fn content_reference(
    content: &[u8],
    node: Option<&Rc<Node>>,
    path: &str,
    r: &mut Reader,
) -> Reference {
    match (std::str::from_utf8(content), node) {
        // Longer is no name.
        (Ok(text), Some(n)) if text.len() < 512 => {
            let (spot, value) = (n.spot, text.to_owned());
            reference(&At { spot, value }, path, r)
        }
        _ => Reference::Text,
    }
}

/// The digits are octal however they are written: `644`, `0644`, `"0644"`,
/// `0o644`.
fn mode(text: &str) -> Option<u32> {
    let digits = text.strip_prefix("0o").unwrap_or(text);
    if !(3..=5).contains(&digits.len()) || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    u32::from_str_radix(digits, 8).ok().filter(|m| *m <= 0o7777)
}

/// Checks a path to write to: absolute, plain, and not in a place that is
/// read-only or not a real file system. Error and hint.
pub fn check_path(path: &str) -> Result<(), (String, &'static str)> {
    if !path.starts_with('/') || path.ends_with('/') || path.contains('\0') {
        return Err((
            "must be the absolute path of a file".into(),
            "start it with `/`",
        ));
    }
    if path
        .split('/')
        .any(|c| c == ".." || c == "." || c.len() > 255)
        || path.len() > 4000
    {
        return Err((
            "must not contain `.` or `..` or overlong names".into(),
            "write the path out",
        ));
    }
    let under = |dir: &str| {
        path.trim_start_matches('/')
            .split('/')
            .find(|c| !c.is_empty())
            == Some(dir)
    };
    if ["usr", "bin", "sbin", "lib", "lib64"]
        .iter()
        .any(|d| under(d))
    {
        return Err((
            "/usr is read-only".into(),
            "use /etc, /opt or /var; programs can go to /opt/bin",
        ));
    }
    if ["proc", "sys", "dev"].iter().any(|d| under(d)) {
        return Err((
            "not a place for files".into(),
            "kernel settings go to /etc/sysctl.d or /etc/tmpfiles.d",
        ));
    }
    Ok(())
}
