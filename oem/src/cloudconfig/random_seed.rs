//! `random_seed`: entropy from user-data, once on an instance.

use super::CloudConfig;
use super::diag::At;
use super::read::{Fields, Reader};
use super::schema::Type::{As, Flag, List, Table, Text, Word};
use super::schema::{Section, key};
use super::shell::quote;
use super::tasks::{Frequency, Phase, Task};
use super::write_files::WriteFile;
use crate::userdata::unpack::{decode_base64, gunzip_within};
use base64::Engine as _;

const POOL: &str = "/dev/urandom";

const ENCODINGS: &[&str] = &["raw", "base64", "b64", "gzip", "gz"];

pub(super) const SECTION: Section = Section {
    title: "Random seed",
    keys: &[
        key("random_seed", Table, "seed for the random number generator").each(Frequency::Instance),
        key(
            "random_seed.file",
            As("path"),
            "where to; default /dev/urandom",
        ),
        key("random_seed.data", Text, "the seed"),
        key(
            "random_seed.encoding",
            Word(ENCODINGS),
            "how data is encoded",
        ),
        key(
            "random_seed.command",
            List(&Text),
            "a program to run, with RANDOM_SEED_FILE in its environment",
        ),
        key(
            "random_seed.command_required",
            Flag,
            "a program that fails is reported",
        )
        .accepted(),
    ],
    example: EXAMPLE,
    read,
};

const EXAMPLE: &str = "\
random_seed:
  file: /dev/urandom
  data: bXkgcmFuZG9tIHNlZWQ=
  encoding: base64
  command: [pollinate, -r]
  command_required: false
";

fn read(f: &Fields<'_>, config: &mut CloudConfig, r: &mut Reader) {
    let Some((spot, node)) = f.entry("random_seed") else {
        return;
    };
    let Some(f) = r.table(node, "random_seed", SECTION.keys, "random_seed.") else {
        return;
    };
    let file = f.line("file", r);
    let path = file.as_ref().map_or(POOL, |p| p.value.as_str());
    let data = f.get("data").and_then(|n| r.bytes(n, &f.key("data")));
    let mut body = String::new();
    if let Some(data) = data {
        let encoding = match f.line("encoding", r).filter(|e| !e.value.is_empty()) {
            None => "raw",
            Some(word) => match r.word(&word, &f.key("encoding"), ENCODINGS, "unknown encoding") {
                Some(encoding) => encoding,
                None => return,
            },
        };
        let Some(seed) = decode(&data, encoding) else {
            let hint = "compare `encoding` with what `data` holds; compressed it may hold 64 KiB";
            r.error(data.spot, &f.key("data"), "cannot be decoded", hint);
            return;
        };
        if [POOL, "/dev/random"].contains(&path) {
            let text = base64::engine::general_purpose::STANDARD.encode(seed);
            body += &format!("base64 -d > {path} << 'END'\n{text}\nEND\n");
        } else if let Some(At { spot, value }) = &file {
            if let Some((why, hint)) = super::path_fault(value) {
                r.error(*spot, &f.key("file"), why, hint);
                return;
            }
            let mut file = WriteFile::text(value.clone(), seed, *spot);
            file.mode = Some(0o600);
            config.write_files.push(file.at(*spot));
        }
    }
    if let Some(n) = f.get("command") {
        let words = r.lines(n, &f.key("command"));
        let words: Vec<String> = words.iter().map(|w| quote(&w.value)).collect();
        if !words.is_empty() {
            body += &format!("RANDOM_SEED_FILE={} {}\n", quote(path), words.join(" "));
        }
    }
    if !body.is_empty() {
        let about = "Seed the random number generator";
        let body = format!("set -e\n{body}");
        let task = Task::shell(
            "random-seed",
            about,
            &body,
            Frequency::Instance,
            Phase::Early,
        );
        config.tasks.push(task.repeated().at(spot));
    }
}

/// Most of a compressed seed, in bytes: no generator has use for more.
const MAX_SEED: u64 = 64 << 10;

fn decode(data: &At<Vec<u8>>, encoding: &str) -> Option<Vec<u8>> {
    match encoding {
        "raw" => Some(data.value.clone()),
        "b64" | "base64" => decode_base64(&data.value),
        "gz" | "gzip" => gunzip_within(&data.value, MAX_SEED).ok().flatten(),
        _ => None,
    }
}
