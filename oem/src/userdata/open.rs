//! Opens wrapping after wrapping. Everything a sender could make large is
//! counted over the whole of it, not wrapping by wrapping.

use super::fetch::{Absent, Fetch, Meter};
use super::format::{Format, detect};
use super::{Content, Part, Refusal, Script, When};
use super::{archive, include, mime, template, unpack};
use crate::cloudconfig::{Diagnostic, Spot};
use crate::metadata::Metadata;

/// Wrappings inside each other.
const MAX_DEPTH: usize = 8;
/// Parts in all.
const MAX_PARTS: usize = 256;

/// What opening needs besides the bytes.
pub struct Around<'a> {
    /// For templates.
    pub metadata: &'a Metadata,
    /// For include lists.
    pub fetch: &'a mut dyn Fetch,
}

/// Opens everything. Never fails: what cannot be opened is a part that says so.
pub fn open(bytes: &[u8], around: &mut Around<'_>) -> Vec<Part> {
    let mut opener = Opener {
        metadata: around.metadata,
        meter: Meter::new(around.fetch),
        parts: Vec::new(),
        urls: Vec::new(),
    };
    let label = Label {
        line: 1,
        ..Label::default()
    };
    opener.open(bytes, &label, 0);
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
        let name = name.trim().replace('/', "_");
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
                Ok(inner) => self.unpacked(&inner, label, depth),
                Err(e) => {
                    let hint = e
                        .hint_text()
                        .unwrap_or("pack it again, and send it as binary");
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
                let (notes, text) = text(bytes);
                self.part(label, format, notes, Content::CloudConfig(text));
            }
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

    fn mime(&mut self, bytes: &[u8], label: &Label, depth: usize) {
        let bytes = bytes.trim_ascii_start();
        let entity = match mime::entity(bytes) {
            Ok(entity) => entity,
            Err(what) => {
                return self.refuse(
                    label,
                    Format::Mime,
                    format!("a MIME message with {what}"),
                    MIME,
                );
            }
        };
        let mut inner = Label {
            name: label.name.clone(),
            line: after(label.line, entity.lines),
            merge: entity.merge.or_else(|| label.merge.clone()),
            ..Label::default()
        };
        if !entity.kind.starts_with("multipart/") {
            inner.declare(&entity.kind);
            return self.entity(&entity.encoding, entity.body, inner, depth);
        }
        let boundary = entity.boundary.unwrap_or_default();
        let body = match mime::decode(&entity.encoding, entity.body) {
            Ok(body) => body,
            Err(what) => return self.refuse(label, Format::Mime, what, MIME),
        };
        let multipart = match mime::split(&body, &boundary) {
            Ok(m) => m,
            Err(what) => {
                return self.refuse(
                    label,
                    Format::Mime,
                    format!("a MIME message with {what}"),
                    MIME,
                );
            }
        };
        let last = multipart.entities.len().saturating_sub(1);
        for (i, (bytes, lines)) in multipart.entities.iter().enumerate() {
            if self.is_full() {
                break;
            }
            let number = format!("part-{:03}", i + 1);
            let mut part = inner.inside(&number);
            part.line = after(inner.line, *lines);
            let e = match mime::entity(bytes) {
                Ok(e) => e,
                Err(what) => {
                    self.refuse(&part, Format::Mime, format!("a part with {what}"), MIME);
                    continue;
                }
            };
            if let Some(name) = e.file_name.as_deref().filter(|n| !n.trim().is_empty()) {
                part.name = inner.inside(name).name;
            }
            if multipart.cut && i == last {
                let message = format!("the last line, `--{boundary}--`, is missing: it may be cut");
                let d = Diagnostic::warning(Spot::default(), "", message);
                part.notes
                    .push(d.hint("user-data of many providers ends at 16 KiB: compress it"));
            }
            if e.kind.starts_with("multipart/") {
                self.mime_part(bytes, part, depth);
                continue;
            }
            part.line = after(part.line, e.lines);
            part.merge = e.merge.or(part.merge);
            part.declare(&e.kind);
            self.entity(&e.encoding, e.body, part, depth);
        }
        if multipart.more {
            let what = format!(
                "more than {} parts; the others are left out",
                mime::MAX_ENTITIES
            );
            self.refuse(label, Format::Mime, what, "put several into one");
        }
    }

    /// A multipart body inside another.
    fn mime_part(&mut self, bytes: &[u8], label: Label, depth: usize) {
        if depth >= MAX_DEPTH {
            let what = format!("wrapped more than {MAX_DEPTH} times");
            return self.refuse(&label, Format::Mime, what, "send it with fewer wrappings");
        }
        self.mime(bytes, &label, depth + 1);
    }

    fn entity(&mut self, encoding: &str, body: &[u8], mut label: Label, depth: usize) {
        match mime::decode(encoding, body) {
            Ok(std::borrow::Cow::Borrowed(body)) => self.open(body, &label, depth + 1),
            Ok(decoded) => {
                label.line = 0;
                self.unpacked(&decoded, &label, depth);
            }
            Err(what) => {
                let format = label.format.unwrap_or(Format::Unknown);
                self.refuse(&label, format, what, MIME);
            }
        }
    }

    fn archive(&mut self, bytes: &[u8], label: &Label, depth: usize) {
        let (mut notes, text) = text(bytes);
        let (entries, found) = archive::read(&text);
        notes.extend(found);
        if !notes.is_empty() {
            let what = "not every entry of the archive can be used".to_owned();
            let refusal = Refusal {
                what,
                hint: "see the other findings".to_owned(),
                later: false,
            };
            self.part(label, Format::Archive, notes, Content::Refused(refusal));
        }
        for (i, entry) in entries.into_iter().enumerate() {
            let number = format!("part-{:03}", i + 1);
            let mut part = label.inside(entry.file_name.as_deref().unwrap_or(&number));
            part.merge = entry.merge.or(part.merge);
            part.line = after(label.line, entry.line.saturating_sub(1));
            part.declare(&entry.kind);
            self.unpacked(entry.content.as_bytes(), &part, depth);
        }
    }

    fn include(&mut self, bytes: &[u8], label: &Label, depth: usize) {
        let (_, text) = text(bytes);
        for (line, wanted) in include::read(&text, label.once) {
            if self.is_full() {
                return;
            }
            let at = |what: String| format!("line {line} of an include list: {what}");
            let wanted = match wanted {
                Ok(wanted) => wanted,
                Err(what) => {
                    let hint = "each line is an http or https URL, or starts with `#`";
                    self.refuse(label, Format::Include, at(what), hint);
                    continue;
                }
            };
            let part = label.inside(wanted.name());
            if self.urls.contains(&wanted.url) {
                let what = at("it includes itself".to_owned());
                self.refuse(&part, Format::Include, what, "take it out of the list");
                continue;
            }
            match self.meter.get(&wanted) {
                Ok(body) => {
                    self.urls.push(wanted.url);
                    self.open(&body, &part, depth + 1);
                    self.urls.pop();
                }
                Err(Absent::Failed(e)) => {
                    let hint = e
                        .hint_text()
                        .unwrap_or("the rest of the user-data is applied");
                    self.refuse(&part, Format::Include, at(e.chain()), hint);
                }
                Err(Absent::Later(why)) => {
                    let refusal = Refusal {
                        what: at(format!("not looked at: {why}")),
                        hint: String::new(),
                        later: true,
                    };
                    self.part(
                        &part,
                        Format::Include,
                        Vec::new(),
                        Content::Refused(refusal),
                    );
                }
            }
        }
    }

    fn template(&mut self, bytes: &[u8], label: &Label, depth: usize) {
        let (notes, text) = text(bytes);
        match template::fill_in(text.trim_start(), self.metadata) {
            Ok(filled) => {
                let mut inner = label.clone();
                inner.notes.extend(notes);
                // The type of what is filled in, not of the template.
                inner.format = label.format.filter(|f| *f != Format::Template);
                self.unpacked(filled.as_bytes(), &inner, depth);
            }
            Err(d) => {
                let what = format!("line {}: {}", d.spot.line, d.message);
                self.refuse(
                    label,
                    Format::Template,
                    what,
                    d.hint.as_deref().unwrap_or_default(),
                );
            }
        }
    }

    fn is_full(&self) -> bool {
        self.parts.len() > MAX_PARTS
    }

    fn too_large(&mut self, label: &Label) {
        let what = format!("larger than {} MiB when unpacked", unpack::MAX >> 20);
        self.refuse(
            label,
            Format::Unknown,
            what,
            "fetch large files from a unit instead",
        );
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

const MIME: &str = "make it with e.g. `cloud-init devel make-mime`";

/// The line after `lines` more, when lines are known at all.
fn after(line: u32, lines: u32) -> u32 {
    if line == 0 {
        0
    } else {
        line.saturating_add(lines)
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
        Format::Ignition | Format::Butane => {
            "this version does not apply Ignition; write a #cloud-config"
        }
        _ => {
            "the first line must be `#cloud-config`, or tell another format: `#!`, `#include`, `## template: jinja`, MIME headers"
        }
    }
}

/// Text in UTF-8, with a note where it is not.
fn text(bytes: &[u8]) -> (Vec<Diagnostic>, String) {
    match std::str::from_utf8(bytes) {
        Ok(text) => (Vec::new(), text.to_owned()),
        Err(e) => {
            let good = &bytes[..e.valid_up_to()];
            let line = 1 + good.iter().filter(|b| **b == b'\n').count();
            let spot = Spot {
                line: u32::try_from(line).unwrap_or(u32::MAX),
                column: 1,
            };
            let message = "not UTF-8; each wrong byte is taken as \u{fffd}".to_owned();
            let d = Diagnostic::warning(spot, "", message).hint("save the file as UTF-8");
            (vec![d], String::from_utf8_lossy(bytes).into_owned())
        }
    }
}
