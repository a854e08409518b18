//! Which format some bytes are in: one function, by their first bytes alone.

/// Everything user-data can be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Nothing, or only white space.
    Empty,
    /// gzip.
    Gzip,
    /// Base64 of something that is known.
    Base64,
    /// Compressed in a way that is not unpacked.
    Compressed(&'static str),
    /// A MIME message.
    Mime,
    /// `#cloud-config`.
    CloudConfig,
    /// `#!`.
    Script,
    /// `#cloud-boothook`.
    Boothook,
    /// `#include` or `#include-once`.
    Include,
    /// `#cloud-config-archive`.
    Archive,
    /// `## template: jinja`.
    Template,
    /// Ignition's JSON.
    Ignition,
    /// Butane's YAML, which Ignition's JSON is made from.
    Butane,
    /// `#cloud-config-jsonp`.
    JsonPatch,
    /// `#part-handler`.
    PartHandler,
    /// `#upstart-job`.
    Upstart,
    /// JSON of another kind.
    Json,
    /// Text in UTF-16.
    Utf16,
    /// A first line that was meant to be `#cloud-config`.
    NearCloudConfig,
    /// Not text.
    Binary,
    /// Text of no known format.
    Unknown,
}

impl Format {
    /// In words, for people.
    pub fn name(self) -> &'static str {
        match self {
            Format::Empty => "empty",
            Format::Gzip => "gzip",
            Format::Base64 => "base64",
            Format::Compressed(how) => how,
            Format::Mime => "MIME message",
            Format::CloudConfig => "cloud-config",
            Format::Script => "script",
            Format::Boothook => "boothook",
            Format::Include => "include list",
            Format::Archive => "cloud-config archive",
            Format::Template => "Jinja template",
            Format::Ignition => "Ignition configuration",
            Format::Butane => "Butane configuration",
            Format::JsonPatch => "JSON patch for cloud-config",
            Format::PartHandler => "cloud-init part handler",
            Format::Upstart => "upstart job",
            Format::Json => "JSON, but not of Ignition",
            Format::Utf16 => "text in UTF-16",
            Format::NearCloudConfig => "text with a first line like, but not, `#cloud-config`",
            Format::Binary => "binary data",
            Format::Unknown => "text of no known format",
        }
    }

    /// The format a MIME type stands for; `None` when the content must tell,
    /// as cloud-init has it.
    pub fn of_mime_type(kind: &str) -> Option<Option<Format>> {
        Some(Some(match kind {
            "text/cloud-config" => Format::CloudConfig,
            "text/cloud-config-archive" => Format::Archive,
            "text/cloud-boothook" => Format::Boothook,
            "text/x-include-url" | "text/x-include-once-url" => Format::Include,
            "text/jinja2" => Format::Template,
            "text/cloud-config-jsonp" => Format::JsonPatch,
            "text/part-handler" => Format::PartHandler,
            "text/upstart-job" => Format::Upstart,
            "application/vnd.coreos.ignition+json" => Format::Ignition,
            _ if kind.starts_with("text/x-shellscript") => Format::Script,
            // cloud-init looks at these itself; JSON and YAML are for Ignition and Butane.
            ""
            | "text/plain"
            | "text/x-not-multipart"
            | "application/octet-stream"
            | "application/gzip"
            | "application/x-gzip"
            | "application/gzip-compressed"
            | "application/x-compressed"
            | "application/x-compress"
            | "application/json"
            | "application/yaml"
            | "text/yaml"
            | "text/x-yaml"
            | "application/x-yaml"
            | "message/rfc822" => return Some(None),
            _ if kind.starts_with("multipart/") => return Some(None),
            _ => return None,
        }))
    }

    /// Whether its own first line tells it beyond doubt.
    pub(super) fn has_header(self) -> bool {
        matches!(
            self,
            Format::CloudConfig
                | Format::Boothook
                | Format::Include
                | Format::Archive
                | Format::Template
                | Format::JsonPatch
                | Format::PartHandler
        )
    }
}

/// First words of the first line. The longest that fits counts.
const HEADERS: &[(&str, Format)] = &[
    ("#cloud-config", Format::CloudConfig),
    ("#cloud-config-archive", Format::Archive),
    ("#cloud-config-jsonp", Format::JsonPatch),
    ("#cloud-boothook", Format::Boothook),
    ("#include", Format::Include),
    ("#include-once", Format::Include),
    ("#part-handler", Format::PartHandler),
    ("#upstart-job", Format::Upstart),
];

const MAGIC: &[(&[u8], Format)] = &[
    (b"\x1f\x8b", Format::Gzip),
    (b"\xfd7zXZ\0", Format::Compressed("data compressed with xz")),
    (
        b"\x28\xb5\x2f\xfd",
        Format::Compressed("data compressed with zstd"),
    ),
    (b"BZh", Format::Compressed("data compressed with bzip2")),
    (b"PK\x03\x04", Format::Compressed("a ZIP archive")),
    (b"\xff\xfe", Format::Utf16),
    (b"\xfe\xff", Format::Utf16),
];

/// Bytes at the start that are looked at for what has no first line of its own.
const HEAD: usize = 8 << 10;

/// Tells the format. Never unpacks: what is inside gzip or base64 is another
/// question.
pub fn detect(bytes: &[u8]) -> Format {
    if let Some((_, format)) = MAGIC.iter().find(|(m, _)| bytes.starts_with(m)) {
        return *format;
    }
    let text = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let text = text.trim_ascii_start();
    if text.is_empty() {
        return Format::Empty;
    }
    let head = String::from_utf8_lossy(text.get(..HEAD).unwrap_or(text));
    let first = head.lines().next().unwrap_or_default().trim_end();
    if first.starts_with("#!") {
        return Format::Script;
    }
    let lower = first.to_ascii_lowercase();
    let word = lower.split_whitespace().next().unwrap_or_default();
    if let Some((_, format)) = HEADERS.iter().find(|(w, _)| *w == word) {
        return *format;
    }
    if let Some(kind) = lower.strip_prefix("##")
        && kind.trim_start().starts_with("template:")
    {
        return Format::Template;
    }
    if lower
        .replace(['-', '_', ' '], "")
        .starts_with("#cloudconfig")
    {
        return Format::NearCloudConfig;
    }
    if head.starts_with('{') {
        let is = |key: &str| text.windows(key.len()).any(|w| w == key.as_bytes());
        return match is("\"ignition\"") || is("\"ignitionVersion\"") {
            true => Format::Ignition,
            false => Format::Json,
        };
    }
    if is_mime(&head) {
        return Format::Mime;
    }
    if super::unpack::base64(text).is_some() {
        return Format::Base64;
    }
    if head.contains('\0') {
        return Format::Binary;
    }
    if head.lines().any(|l| l.starts_with("variant:")) {
        return Format::Butane;
    }
    let strange = head
        .chars()
        .filter(|c| c.is_control() && !c.is_whitespace() || *c == '\u{fffd}');
    match strange.count() * 10 > head.len() {
        true => Format::Binary,
        false => Format::Unknown,
    }
}

/// Whether the text starts with header fields, one of which is MIME's.
fn is_mime(head: &str) -> bool {
    let mut found = false;
    let mut lines = head.lines().enumerate().peekable();
    while let Some((i, line)) = lines.next() {
        if line.is_empty() {
            break;
        }
        if line.starts_with([' ', '\t']) && i > 0 || i == 0 && line.starts_with("From ") {
            continue;
        }
        let Some((name, value)) = line.split_once(':') else {
            // The last line may be half of one.
            return found && lines.peek().is_none();
        };
        if name.is_empty() || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-') {
            return false;
        }
        found |= name.eq_ignore_ascii_case("mime-version")
            || name.eq_ignore_ascii_case("content-type") && value.contains('/');
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_format_is_told() {
        let multipart = "Content-Type: multipart/mixed; boundary=\"b\"\nMIME-Version: 1.0\n\n--b\n";
        let table: &[(&[u8], Format)] = &[
            (b"", Format::Empty),
            (b" \r\n\t", Format::Empty),
            (b"\xef\xbb\xbf\n", Format::Empty),
            (b"\x1f\x8b\x08", Format::Gzip),
            (b"\xfd7zXZ\0\0", Format::Compressed("data compressed with xz")),
            (b"\x28\xb5\x2f\xfd\0", Format::Compressed("data compressed with zstd")),
            (b"I2Nsb3VkLWNvbmZpZwpob3N0bmFtZTogYQo=", Format::Base64),
            (b"I2Nsb3VkLWNv\nbmZpZwo=\n", Format::Base64),
            (b"aGVsbG8gd29ybGQ=", Format::Unknown),
            (multipart.as_bytes(), Format::Mime),
            (b"MIME-Version: 1.0\r\nContent-Type: text/x-shellscript\r\n\r\n#!/bin/sh", Format::Mime),
            (b"From nobody Sun Nov 22 2026\nSubject: x\ncontent-type: multipart/mixed;\n boundary=b\n", Format::Mime),
            (b"#cloud-config", Format::CloudConfig),
            (b"#cloud-config \r\nhostname: a", Format::CloudConfig),
            (b"\xef\xbb\xbf#cloud-config\n", Format::CloudConfig),
            (b"\n\n#Cloud-Config for web servers\n", Format::CloudConfig),
            (b"#cloud-config-archive\n- a", Format::Archive),
            (b"#cloud-config-jsonp\n[]", Format::JsonPatch),
            (b"#cloud_config\n", Format::NearCloudConfig),
            (b"# cloud-config\n", Format::NearCloudConfig),
            (b"#cloud-configs\n", Format::NearCloudConfig),
            (b"#!/bin/sh\n", Format::Script),
            (b"\n#!/bin/sh\n", Format::Script),
            (b"#cloud-boothook\n#!/bin/sh\n", Format::Boothook),
            (b"#include\nhttp://a/\n", Format::Include),
            (b"#include http://a/\n", Format::Include),
            (b"#include-once\nhttp://a/\n", Format::Include),
            (b"#part-handler\nimport os\n", Format::PartHandler),
            (b"#upstart-job\n", Format::Upstart),
            (b"## template: jinja\n#cloud-config\n", Format::Template),
            (b"##template:jinja\n#!/bin/sh\n", Format::Template),
            (b"{\"ignition\": {\"version\": \"3.4.0\"}}", Format::Ignition),
            (b"{\"ignitionVersion\": 1}", Format::Ignition),
            (b"{\"hostname\": \"a\"}", Format::Json),
            (b"variant: fcos\nversion: 1.5.0\n", Format::Butane),
            (b"# my machine\nversion: 1.1.0\nvariant: flatcar\n", Format::Butane),
            (b"\xff\xfe#\0c\0", Format::Utf16),
            (b"\x7fELF\x02\x01\x01\0\0\0", Format::Binary),
            (b"\x80\x81\x82\x83\x84", Format::Binary),
            (b"hostname: a\n", Format::Unknown),
            (b"# Content-Type: text/plain\n", Format::Unknown),
            ("caf\u{e9}".as_bytes(), Format::Unknown),
        ];
        for (bytes, want) in table {
            let shown = String::from_utf8_lossy(bytes);
            assert_eq!(detect(bytes), *want, "{shown:?}");
            assert!(!want.name().is_empty());
        }
    }

    #[test]
    fn mime_types_are_told() {
        let of = Format::of_mime_type;
        assert_eq!(of("text/cloud-config"), Some(Some(Format::CloudConfig)));
        assert_eq!(
            of("text/x-shellscript-per-boot"),
            Some(Some(Format::Script))
        );
        assert_eq!(of("text/plain"), Some(None));
        assert_eq!(of("application/node.eks.aws"), None);
    }
}
