//! Each wrapping that has more in it than one text: MIME messages, archives,
//! include lists, configurations that refer to others, templates.

use super::super::fetch::Absent;
use super::super::{Content, Format, Refusal, archive, include, mime, template};
use super::{Label, MAX_DEPTH, Opener};
use crate::cloudconfig::{CloudConfig, Diagnostic, Spot};
use crate::ignition::{self, Language};
use std::borrow::Cow;

const MIME: &str = "make it with e.g. `cloud-init devel make-mime`";

impl Opener<'_> {
    pub(super) fn mime(&mut self, bytes: &[u8], label: &Label, depth: usize) {
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
        if matches!(body, Cow::Owned(_)) && !self.meter.take(body.len()) {
            return self.too_large(label);
        }
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
                let message = "the last line of the message is missing: it may be cut".to_owned();
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
            Ok(Cow::Borrowed(body)) => self.open(body, &label, depth + 1),
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

    pub(super) fn archive(&mut self, bytes: &[u8], label: &Label, depth: usize) {
        let Some((mut notes, text)) = self.text(bytes, label) else {
            return;
        };
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

    pub(super) fn include(&mut self, bytes: &[u8], label: &Label, depth: usize) {
        let Some((_, text)) = self.text(bytes, label) else {
            return;
        };
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

    /// A configuration, and above it those that it refers to.
    pub(super) fn ignition(
        &mut self,
        bytes: &[u8],
        label: &Label,
        language: Language,
        depth: usize,
    ) {
        let Some((mut notes, text)) = self.text(bytes, label) else {
            return;
        };
        let read = ignition::read(&text, language, &mut self.meter);
        notes.extend(read.findings);
        let format = match language {
            Language::Json => Format::Ignition,
            Language::Butane => Format::Butane,
        };
        let config = match read.replace {
            None => read.config,
            Some(_) => {
                let message = "only the configuration that `replace` names is applied".to_owned();
                notes.push(Diagnostic::warning(Spot::default(), "", message));
                CloudConfig::default()
            }
        };
        self.part(
            label,
            format,
            notes,
            Content::Ignition(text, Box::new(config)),
        );
        let others = match read.replace {
            Some(one) => vec![("replace".to_owned(), one)],
            None => (1..)
                .map(|i| format!("merge-{i}"))
                .zip(read.merge)
                .collect(),
        };
        for (name, bytes) in others {
            let mut inner = label.inside(&name);
            inner.format = Some(Format::Ignition);
            self.open(&bytes, &inner, depth + 1);
        }
    }

    pub(super) fn template(&mut self, bytes: &[u8], label: &Label, depth: usize) {
        let Some((notes, text)) = self.text(bytes, label) else {
            return;
        };
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
}

/// The line after `lines` more, when lines are known at all.
fn after(line: u32, lines: u32) -> u32 {
    if line == 0 {
        0
    } else {
        line.saturating_add(lines)
    }
}
