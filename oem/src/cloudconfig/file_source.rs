//! `write_files[].source`: content that is not in `content`.

use super::node::{Kind, Node};
use super::read::{Fields, Reader};
use super::shell::quote;
use super::tasks::{Frequency, Phase, Task};
use super::write_files::{Base, Encoding, SECTION, WriteFile};
use crate::userdata::data_url;

/// Where content comes from.
pub(super) enum Source {
    /// It is in the text.
    Data(Vec<u8>),
    /// Options and address for curl.
    Web(String),
}

/// A task that fetches a file. In every boot, for the network may fail; what is there
/// is not fetched again.
pub(super) fn fetched(
    file: &WriteFile,
    request: &str,
    f: &Fields<'_>,
    r: &mut Reader,
) -> Option<Task> {
    let path = &file.path.value;
    let owner = file.owner.as_ref().map_or("root", |o| o.value.as_str());
    if file.base != Base::Nothing || path.contains('$') || owner.contains('$') {
        let why = "what is fetched can neither be appended nor have placeholders in its path";
        r.error(f.spot, &f.path, why, "");
        return None;
    }
    let decode = match file.encoding {
        Encoding::Plain | Encoding::Credential => "cat \"$raw\"",
        Encoding::Base64 => "base64 -d \"$raw\"",
        Encoding::Gzip => "gzip -dc < \"$raw\"",
        Encoding::GzipBase64 => "base64 -d \"$raw\" | gzip -dc",
    };
    let body = format!(
        "set -eu\npath={}\nraw=$path.fetched\nnew=$path.new\n[ ! -e \"$path\" ] || exit 0\n\
         mkdir -p \"$(dirname \"$path\")\"\numask 077\n\
         curl -fsSL --retry 5 --retry-connrefused --max-time 600 -o \"$raw\" {request}\n\
         {decode} > \"$new\"\nrm -f \"$raw\"\n\
         chown {} \"$new\"\nchmod {:04o} \"$new\"\nsync \"$new\"\nmv \"$new\" \"$path\"\n",
        quote(path),
        quote(owner),
        file.mode.unwrap_or(0o644),
    );
    let about = format!("Fetch {path}").replace('%', "%%");
    Some(Task::shell(
        "fetch",
        &about,
        &body,
        Frequency::Boot,
        Phase::Late,
    ))
}

/// Reads `source`.
pub(super) fn source(node: &Node, at: &str, r: &mut Reader) -> Option<Source> {
    let f = r.table(node, at, SECTION.keys, "write_files[].source.")?;
    let Some(uri) = f.line("uri", r) else {
        r.error(f.spot, at, "a source needs a `uri`", "");
        return None;
    };
    let address = uri.value.as_str();
    let is = |scheme: &str| {
        address
            .get(..scheme.len())
            .is_some_and(|start| start.eq_ignore_ascii_case(scheme))
    };
    if is("data:") {
        let bytes = data_url::decode(address);
        if bytes.is_none() {
            let hint = "RFC 2397: `data:;base64,aGk=`";
            r.error(uri.spot, &f.key("uri"), "not a data URI", hint);
        }
        return bytes.map(Source::Data);
    }
    if !is("https://") && !is("http://") {
        let hint = "one of https://, http://, data:";
        r.error(
            uri.spot,
            &f.key("uri"),
            "not an address to fetch from",
            hint,
        );
        return None;
    }
    let mut request = String::new();
    for (name, value) in headers(&f, r) {
        request += &format!("-H {} ", quote(&format!("{name}: {value}")));
    }
    Some(Source::Web(request + &quote(address)))
}

fn headers(f: &Fields<'_>, r: &mut Reader) -> Vec<(String, String)> {
    let path = f.key("headers");
    let Some(node) = f.get("headers") else {
        return Vec::new();
    };
    let Kind::Map(entries) = &node.kind else {
        let why = format!("expected a mapping, found {}", node.describe());
        r.error(node.spot, &path, why, "write each as `Name: value`");
        return Vec::new();
    };
    let mut out = Vec::new();
    for (name, value) in entries {
        if let (Some(name), Some(value)) = (r.line(name, &path), r.line(value, &path)) {
            out.push((name.value, value.value));
        }
    }
    out
}
