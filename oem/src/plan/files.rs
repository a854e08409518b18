//! `write_files`.

use super::{Action, Builder, Input, Origin};
use crate::cloudconfig::{Encoding, WriteFile, path_fault};
use crate::userdata::unpack::{decode_base64, gunzip};

pub(super) fn add(b: &mut Builder<'_>, inputs: &[Input]) {
    for input in inputs {
        for file in &input.config.write_files {
            one(b, Origin::at(input.layer, file.spot), &file.value);
        }
    }
}

fn one(b: &mut Builder<'_>, origin: Origin, f: &WriteFile) {
    let resource = format!("file {}", f.path.value);
    let Some(path) = b.expand(&resource, origin, &f.path.value) else {
        return;
    };
    let resource = format!("file {path}");
    if let Some((why, hint)) = path_fault(&path) {
        return b.skip(resource, origin, why, Some(hint.to_owned()));
    }
    let content = match f.encoding {
        // Bytes of a !!binary value that are not text have no placeholders.
        Encoding::Plain => match std::str::from_utf8(&f.content) {
            Ok(text) => match b.expand(&resource, origin, text) {
                Some(text) => Ok(text.into_bytes()),
                None => return,
            },
            Err(_) => Ok(f.content.clone()),
        },
        Encoding::Base64 => {
            decode_base64(&f.content).ok_or_else(|| "content is not base64".to_owned())
        }
        Encoding::Gzip => gunzip(&f.content).map_err(|e| e.chain()),
        Encoding::GzipBase64 => match decode_base64(&f.content) {
            Some(packed) => gunzip(&packed).map_err(|e| e.chain()),
            None => Err("content is not base64".to_owned()),
        },
    };
    let owner = match &f.owner {
        Some(o) => match b.expand(&resource, origin, &o.value) {
            Some(o) => Some(o),
            None => return,
        },
        None => None,
    };
    match content {
        Ok(content) => b.push(
            resource,
            origin,
            Action::File {
                path,
                content,
                mode: f.mode,
                owner,
            },
        ),
        Err(why) => b.skip(
            resource,
            origin,
            why,
            Some("compare `encoding` with what `content` holds".to_owned()),
        ),
    }
}
