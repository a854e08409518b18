//! `write_files`.

use super::diag::At;
use super::node::Node;
use super::read::{Reader, shorten};

/// One file to write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WriteFile {
    /// Absolute path.
    pub path: At<String>,
    /// Content as written, still encoded.
    pub content: Vec<u8>,
    /// How `content` is encoded.
    pub encoding: Encoding,
    /// Permission bits.
    pub mode: u32,
    /// `user`, `user:group`, or numbers.
    pub owner: Option<At<String>>,
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
}

/// Fields of an item.
pub const FIELDS: &[&str] = &["path", "content", "permissions", "owner", "encoding"];
/// cloud-init's further fields.
const LATER: &[&str] = &["append", "defer", "source"];

pub(super) fn read(node: &Node, path: &str, r: &mut Reader) -> Vec<At<WriteFile>> {
    let items = r.list(node, path);
    items
        .iter()
        .enumerate()
        .filter_map(|(i, n)| item(n, &format!("{path}[{i}]"), r))
        .collect()
}

fn item(node: &Node, at: &str, r: &mut Reader) -> Option<At<WriteFile>> {
    let f = r.fields(node, at, FIELDS, LATER)?;
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
    let content = match f.get("content") {
        Some(n) => r.bytes(n, &f.key("content"))?.value,
        None => Vec::new(),
    };
    let encoding = match f.get("encoding") {
        None => Encoding::Plain,
        Some(n) => {
            let word = r.line(n, &f.key("encoding"))?;
            match word.value.to_ascii_lowercase().as_str() {
                "text/plain" => Encoding::Plain,
                "b64" | "base64" => Encoding::Base64,
                "gz" | "gzip" => Encoding::Gzip,
                "gz+b64" | "gz+base64" | "gzip+b64" | "gzip+base64" => Encoding::GzipBase64,
                _ => {
                    r.error(
                        word.spot,
                        &f.key("encoding"),
                        "unknown encoding",
                        "one of b64, base64, gz, gzip, gz+b64, gz+base64, gzip+b64, gzip+base64",
                    );
                    return None;
                }
            }
        }
    };
    let mode = match f.get("permissions") {
        None => 0o644,
        Some(n) => {
            let text = r.line(n, &f.key("permissions"))?;
            match mode(&text.value) {
                Some(m) => m,
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
    let owner = match f.get("owner") {
        Some(n) => Some(r.line(n, &f.key("owner"))?),
        None => None,
    };
    Some(At {
        spot: f.spot,
        value: WriteFile {
            path,
            content,
            encoding,
            mode,
            owner,
        },
    })
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
