//! Opens wrapping after wrapping. Everything a sender could make large is
//! counted over the whole of it, not wrapping by wrapping.

mod wrappings;

use super::fetch::{Fetch, Meter};
use super::format::{Format, detect};
use super::{Content, Part, Refusal, Script, When, unpack};
use crate::cloudconfig::{Diagnostic, Spot};
use crate::ignition::Language;
use crate::metadata::Metadata;

/// Wrappings inside each other.
const MAX_DEPTH: usize = 8;
/// Characters kept of one name.
const MAX_NAME: usize = 60;
/// Parts in all.
const MAX_PARTS: usize = 256;

/// What opening needs besides the bytes.
pub struct Around<'a> {
    /// For templates.
    pub metadata: &'a Metadata,
    /// For include lists.
    pub fetch: &'a mut dyn Fetch,
    /// Most bytes, as sent and once more when all is unpacked and fetched.
    pub most: u64,
}

impl<'a> Around<'a> {
    /// For what a user sends.
    pub fn new(metadata: &'a Metadata, fetch: &'a mut dyn Fetch) -> Self {
        Around {
            metadata,
            fetch,
            most: unpack::MAX,
        }
    }
}

/// Opens everything. Never fails: what cannot be opened is a part that says so.
pub fn open(bytes: &[u8], around: &mut Around<'_>) -> Vec<Part> {
    let mut opener = Opener {
        metadata: around.metadata,
        meter: Meter::new(around.fetch, around.most),
        parts: Vec::new(),
        urls: Vec::new(),
    };
    let label = Label {
        line: 1,
        ..Label::default()
    };
    if bytes.len() as u64 > around.most {
        opener.too_large(&label);
    } else {
        opener.open(bytes, &label, 0);
    }
    opener.parts
}

struct Opener<'a> {
    metadata: &'a Metadata,
    meter: Meter<'a>,
    parts: Vec<Part>,
    /// The URLs whose content is being opened.
    urls: Vec<String>,
}

/// What a wrapping says about what is in it.
#[derive(Debug, Clone, Default)]
struct Label {
    name: String,
    line: u32,
    merge: Option<String>,
    format: Option<Format>,
    when: Option<When>,
    /// For include lists.
    once: bool,
    notes: Vec<Diagnostic>,
}

impl Label {
    /// For something inside, with its own name.
    fn inside(&self, name: &str) -> Label {
        let plain = |c: char| if c == '/' || c.is_control() { '_' } else { c };
        let name: String = name.trim().chars().take(MAX_NAME).map(plain).collect();
        let name = match self.name.as_str() {
            "" => name,
            outer => format!("{outer}/{name}"),
        };
        Label {
            name,
            merge: self.merge.clone(),
            ..Label::default()
        }
    }

    /// Takes over what a MIME type says.
    fn declare(&mut self, kind: &str) {
        match Format::of_mime_type(kind) {
            Some(format) => self.format = format,
            None => {
                let message = format!("the type {kind:?} is not known; its content was looked at");
                self.notes
                    .push(Diagnostic::warning(Spot::default(), "", message));
            }
        }
        self.when = match kind {
            "text/x-shellscript-per-boot" => Some(When::Boot),
            "text/x-shellscript-per-instance" => Some(When::Instance),
            "text/x-shellscript-per-once" => Some(When::Once),
            _ => None,
        };
        self.once = kind == "text/x-include-once-url";
    }
}

impl Opener<'_> {
    fn open(&mut self, bytes: &[u8], label: &Label, depth: usize) {
        if depth > MAX_DEPTH {
            let what = format!("wrapped more than {MAX_DEPTH} times");
            return self.refuse(label, Format::Unknown, what, "send it with fewer wrappings");
        }
        let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
        let seen = detect(bytes);
        let format = match label.format {
            // cloud-init looks at scripts itself, and a template may be of any type.
            Some(Format::Script) if seen.has_header() => seen,
            Some(_) if matches!(seen, Format::Template | Format::Gzip) => seen,
            Some(declared) => declared,
            None => seen,
        };
        match format {
            Format::Empty => {}
            Format::Gzip => match unpack::gunzip_within(bytes, self.meter.left()) {
                Ok(Some(inner)) => self.unpacked(&inner, label, depth),
                Ok(None) => self.too_large(label),
                Err(e) => {
                    let hint = "pack it again, and send it as binary";
                    self.refuse(label, format, e.chain(), hint);
                }
            },
            Format::Base64 => match unpack::base64(bytes) {
                Some(inner) => self.unpacked(&inner, label, depth),
                None => self.refuse(label, format, "damaged base64", "encode it again"),
            },
            Format::Mime => self.mime(bytes, label, depth),
            Format::Archive => self.archive(bytes, label, depth),
            Format::Include => self.include(bytes, label, depth),
            Format::Template => self.template(bytes, label, depth),
            Format::CloudConfig => {
                if let Some((notes, text)) = self.text(bytes, label) {
                    self.part(label, format, notes, Content::CloudConfig(text));
                }
            }
            Format::Ignition => self.ignition(bytes, label, Language::Json, depth),
            Format::Butane => self.ignition(bytes, label, Language::Butane, depth),
            Format::Script => {
                let content = bytes.trim_ascii_start().to_vec();
                if !content.starts_with(b"#!") {
                    let hint = "begin it with `#!` and the program that reads it, e.g. `#!/bin/sh`";
                    return self.refuse(label, format, "a script without a `#!` line", hint);
                }
                let when = label.when.unwrap_or(When::Instance);
                let script = Script { when, content };
                self.part(label, format, Vec::new(), Content::Script(script));
            }
            Format::Boothook => {
                let when = When::Boothook;
                let content = without_first_line(bytes).trim_ascii_start().to_vec();
                if !content.starts_with(b"#!") {
                    let hint = "its second line must be `#!` and the program that reads it";
                    return self.refuse(label, format, "a boothook without a `#!` line", hint);
                }
                let script = Script { when, content };
                self.part(label, format, Vec::new(), Content::Script(script));
            }
            other => {
                let hint = hint(other);
                self.refuse(label, other, other.name(), hint);
            }
        }
    }

    fn unpacked(&mut self, inner: &[u8], label: &Label, depth: usize) {
        if !self.meter.take(inner.len()) {
            return self.too_large(label);
        }
        self.open(inner, label, depth + 1);
    }

    /// Text in UTF-8, with a note where it is not. `None` when it is too large then,
    /// which is told.
    fn text(&mut self, bytes: &[u8], label: &Label) -> Option<(Vec<Diagnostic>, String)> {
        let Err(e) = std::str::from_utf8(bytes) else {
            return Some((Vec::new(), String::from_utf8_lossy(bytes).into_owned()));
        };
        // Each wrong byte becomes three.
        let grown = |wrong: &[u8]| match wrong.len() {
            0 => 0,
            n => 3 - n.min(3),
        };
        let grown = bytes.utf8_chunks().map(|c| grown(c.invalid())).sum();
        if !self.meter.take(grown) {
            self.too_large(label);
            return None;
        }
        let good = &bytes[..e.valid_up_to()];
        let line = 1 + good.iter().filter(|b| **b == b'\n').count();
        let spot = Spot {
            line: u32::try_from(line).unwrap_or(u32::MAX),
            column: 1,
        };
        let message = "not UTF-8; each wrong byte is taken as \u{fffd}".to_owned();
        let d = Diagnostic::warning(spot, "", message).hint("save the file as UTF-8");
        Some((vec![d], String::from_utf8_lossy(bytes).into_owned()))
    }

    fn is_full(&self) -> bool {
        self.parts.len() > MAX_PARTS
    }

    fn too_large(&mut self, label: &Label) {
        let e = self.meter.too_large();
        let hint = e.hint_text().unwrap_or_default();
        self.refuse(label, Format::Unknown, e.chain(), hint);
    }

    fn refuse(
        &mut self,
        label: &Label,
        format: Format,
        what: impl Into<String>,
        hint: impl Into<String>,
    ) {
        let refusal = Refusal {
            what: what.into(),
            hint: hint.into(),
            later: false,
        };
        self.part(label, format, Vec::new(), Content::Refused(refusal));
    }

    fn part(
        &mut self,
        label: &Label,
        format: Format,
        notes: Vec<Diagnostic>,
        mut content: Content,
    ) {
        if self.is_full() {
            return;
        }
        if self.parts.len() == MAX_PARTS {
            content = Content::Refused(Refusal {
                what: format!("this and what follows: there are more than {MAX_PARTS} parts"),
                hint: "put several into one".to_owned(),
                later: false,
            });
        }
        let mut name = label.name.clone();
        if !name.is_empty() && self.parts.iter().any(|p| p.name == name) {
            name = format!("{name}~{}", self.parts.len() + 1);
        }
        self.parts.push(Part {
            name,
            format,
            line: label.line,
            merge: label.merge.clone(),
            content,
            notes: label.notes.iter().cloned().chain(notes).collect(),
        });
    }
}

fn without_first_line(bytes: &[u8]) -> &[u8] {
    let text = bytes.trim_ascii_start();
    let end = text.iter().position(|b| *b == b'\n');
    end.and_then(|e| text.get(e + 1..)).unwrap_or_default()
}

/// What to do about a format that is not applied.
fn hint(format: Format) -> &'static str {
    match format {
        Format::JsonPatch => "write the patched cloud-config",
        Format::PartHandler => "there is no Python here; use a `#!` script",
        Format::Upstart => "write a systemd unit in `coreos.units`",
        Format::Compressed(_) => "compress with gzip, or not at all",
        Format::Utf16 => "save it as UTF-8",
        Format::NearCloudConfig => "write the first line exactly as `#cloud-config`",
        _ => {
            "the first line must be `#cloud-config`, or tell another format: `#!`, `#include`, `## template: jinja`, MIME headers"
        }
    }
}
