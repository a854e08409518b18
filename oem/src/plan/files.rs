//! Files to write.

use super::{Action, Builder, Holds, Input, Origin, Sealed, Sender, Step, Work};
use crate::cloudconfig::{Base, Directory, Encoding, WriteFile, path_fault};
use crate::error::Result;
use crate::root::Found;
use crate::userdata::unpack::{decode_base64, gunzip_within};

pub(super) fn add(b: &mut Builder<'_>, inputs: &[&Input]) -> Result<()> {
    for input in inputs {
        for directory in &input.config.directories {
            place_directory(
                b,
                Origin::at(input.sender, directory.spot),
                &directory.value,
            )?;
        }
    }
    for deferred in [false, true] {
        for input in inputs {
            let files = &input.config.write_files;
            for file in files.iter().filter(|f| f.value.defer == deferred) {
                one(b, Origin::at(input.sender, file.spot), &file.value)?;
            }
        }
    }
    Ok(())
}

/// One step a directory: the last wish counts, as with files.
fn place_directory(b: &mut Builder<'_>, origin: Origin, d: &Directory) -> Result<()> {
    let mode = match (d.mode, b.view.look(&d.path)?) {
        (Some(mode), _) => mode,
        (None, Found::Dir { mode, .. }) => mode,
        (None, _) => 0o755,
    };
    let resource = format!("directory {}", d.path);
    b.steps.retain(|s| s.resource != resource);
    let action = Action::Directory {
        path: d.path.clone(),
        mode,
        owner: d.owner.clone(),
    };
    b.push(resource, origin, action);
    Ok(())
}

fn one(b: &mut Builder<'_>, origin: Origin, f: &WriteFile) -> Result<()> {
    let resource = format!("file {}", f.path.value);
    let Some(path) = b.expand(&resource, origin, &f.path.value) else {
        return Ok(());
    };
    let resource = format!("file {path}");
    if let Some((why, hint)) = path_fault(&path) {
        b.puzzle(&resource, origin, why, Some(hint.to_owned()));
        return Ok(());
    }
    if let Some(need) = &f.need
        && !b.is_met(need)?
    {
        b.skip(resource, origin, &need.why, Some(need.hint.to_owned()));
        return Ok(());
    }
    if f.encoding == Encoding::Credential {
        return sealed(b, origin, path, f);
    }
    let left = b.left as u64;
    let mut too_large = false;
    let mut gunzip = |bytes: &[u8]| match gunzip_within(bytes, left) {
        Ok(content) => {
            too_large = content.is_none();
            Ok(content.unwrap_or_default())
        }
        Err(e) => Err(e.chain()),
    };
    let content = match f.encoding {
        // Bytes of a !!binary value that are not text have no placeholders.
        Encoding::Plain => match std::str::from_utf8(&f.content) {
            Ok(text) => match b.expand(&resource, origin, text) {
                Some(text) => Ok(text.into_bytes()),
                None => return Ok(()),
            },
            Err(_) => Ok(f.content.clone()),
        },
        Encoding::Credential => Ok(Vec::new()),
        Encoding::Base64 => {
            decode_base64(&f.content).ok_or_else(|| "content is not base64".to_owned())
        }
        Encoding::Gzip => gunzip(&f.content),
        Encoding::GzipBase64 => match decode_base64(&f.content) {
            Some(packed) => gunzip(&packed),
            None => Err("content is not base64".to_owned()),
        },
    };
    if too_large {
        b.fits(&resource, origin, usize::MAX);
        return Ok(());
    }
    let content = match content {
        Ok(content) => content,
        Err(why) => {
            let hint = "compare `encoding` with what `content` holds";
            b.puzzle(&resource, origin, why, Some(hint.to_owned()));
            return Ok(());
        }
    };
    let mut owner = match &f.owner {
        Some(o) => match b.expand(&resource, origin, &o.value) {
            Some(o) => Some(o),
            None => return Ok(()),
        },
        None => None,
    };
    let is_secret = |s: &Step| {
        let path_of = |w: &Work| w.action().and_then(Action::path) == Some(path.as_str());
        matches!(s.work, Work::Sealed(_)) && path_of(&s.work)
    };
    if f.base != Base::Nothing && b.steps.iter().any(is_secret) {
        let hint = "put both into the credential".to_owned();
        b.puzzle(
            &resource,
            origin,
            "nothing can be added to a credential",
            Some(hint),
        );
        return Ok(());
    }
    let mut mode = f.mode;
    let content = match f.base {
        Base::Nothing => content,
        Base::File(path) => [b.view.read(path)?.unwrap_or_default(), content].concat(),
        Base::Itself | Base::Block => {
            let mut before = Vec::new();
            if let Found::File {
                content,
                mode: is,
                uid,
                gid,
            } = b.take(&path)?
            {
                before = content;
                mode = mode.or(Some(is));
                // As of a file that is yet to be written, only root's are known.
                owner = owner.or_else(|| ((uid, gid) != (0, 0)).then(|| format!("{uid}:{gid}")));
            }
            if f.base == Base::Block {
                let blocks = b.blocks.entry(path.clone()).or_default();
                blocks.insert(origin.sender.to_string());
                with_block(&before, &content, origin.sender)
            } else {
                appended(before, &content)
            }
        }
    };
    if (f.encoding != Encoding::Plain || f.base != Base::Nothing)
        && !b.fits(&resource, origin, content.len())
    {
        // What it was to be added to gave its content up.
        b.steps
            .retain(|s| !matches!(&s.work, Work::Do(Action::File { path: p, .. }) if *p == path));
        return Ok(());
    }
    let action = Action::File {
        path,
        content,
        mode: mode.unwrap_or(0o644),
        owner,
    };
    b.push(resource, origin, action);
    Ok(())
}

/// A file whose content is a credential.
fn sealed(b: &mut Builder<'_>, origin: Origin, path: String, f: &WriteFile) -> Result<()> {
    let resource = format!("file {path}");
    let owner = match &f.owner {
        Some(o) => match b.expand(&resource, origin, &o.value) {
            Some(o) => Some(o),
            None => return Ok(()),
        },
        None => None,
    };
    let sealed = Sealed {
        credential: String::from_utf8_lossy(&f.content).into_owned(),
        holds: Holds::Content,
        action: Action::File {
            path,
            content: Vec::new(),
            mode: f.mode.unwrap_or(0o600),
            owner,
        },
    };
    b.seal(resource, origin, sealed);
    Ok(())
}

/// Adds `more` to the end, unless it is in there already.
fn appended(mut text: Vec<u8>, more: &[u8]) -> Vec<u8> {
    let there = match (std::str::from_utf8(&text), std::str::from_utf8(more)) {
        (Ok(text), Ok(more)) => text.contains(more),
        _ => text.ends_with(more),
    };
    if !there {
        text.extend_from_slice(more);
    }
    text
}

/// How the first line of a block ends.
const BLOCK: &str = ": begin (by oem; changes here are lost)\n";

/// The rest of a text that holds blocks; `None` for one that holds none.
pub(super) fn without_blocks(text: &[u8]) -> Option<Vec<u8>> {
    without_blocks_of(text, |_| true)
}

/// The same, of those senders alone that `leaves` tells.
pub(super) fn without_blocks_of(text: &[u8], leaves: impl Fn(&str) -> bool) -> Option<Vec<u8>> {
    let mut text = std::str::from_utf8(text).ok()?.to_owned();
    let (mut any, mut at) = (false, 0);
    while let Some(mark) = text[at..].find(BLOCK).map(|mark| mark + at) {
        let from = text[..mark].rfind('\n').map_or(0, |at| at + 1);
        let sender = text[from..mark].strip_prefix("# ")?;
        let end = format!("# {sender}: end\n");
        let until = mark + text[mark..].find(&end)? + end.len();
        if leaves(sender) {
            text.replace_range(from..until, "");
            (any, at) = (true, from);
        } else {
            at = until;
        }
    }
    any.then(|| text.into_bytes())
}

/// Puts `block` where the sender's block was, else at the end.
fn with_block(text: &[u8], block: &[u8], sender: Sender) -> Vec<u8> {
    let begin = format!("# {sender}{BLOCK}");
    let end = format!("# {sender}: end\n");
    let text = String::from_utf8_lossy(text);
    let block = String::from_utf8_lossy(block);
    let (before, after) = match text.split_once(&begin) {
        Some((before, rest)) => (
            before.to_owned(),
            rest.split_once(&end).map_or("", |(_, after)| after),
        ),
        None if text.is_empty() || text.ends_with('\n') => (text.to_string(), ""),
        None => (format!("{text}\n"), ""),
    };
    format!("{before}{begin}{block}{end}{after}").into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Layer;

    #[test]
    fn appending_twice_changes_nothing() {
        let once = appended(b"a\n".to_vec(), b"b\n");
        assert_eq!(once, b"a\nb\n");
        assert_eq!(appended(once.clone(), b"b\n"), once);
    }

    #[test]
    fn a_block_is_replaced_and_the_rest_stays() {
        let once = with_block(b"head", b"one\n", Layer::UserData.into());
        let text = String::from_utf8(once.clone()).unwrap();
        assert!(text.starts_with("head\n# user-data: begin"), "{text}");
        assert_eq!(with_block(&once, b"one\n", Layer::UserData.into()), once);
        let both = with_block(&once, b"two\n", Layer::Oem.into());
        let both = [&both[..], b"tail\n"].concat();
        let text =
            String::from_utf8(with_block(&both, b"three\n", Layer::UserData.into())).unwrap();
        assert!(!text.contains("one") && text.contains("three\n# user-data: end\n"));
        assert!(text.contains("two\n# oem: end\ntail\n"), "{text}");
        assert_eq!(without_blocks(text.as_bytes()).unwrap(), b"head\ntail\n");
        let ours = without_blocks_of(text.as_bytes(), |s| s == "user-data").unwrap();
        let ours = String::from_utf8(ours).unwrap();
        assert!(!ours.contains("three") && ours.contains("two\n# oem: end\ntail\n"));
        assert_eq!(
            without_blocks_of(ours.as_bytes(), |s| s == "user-data"),
            None
        );
        assert_eq!(without_blocks(b"head\n"), None);
        assert_eq!(
            without_blocks(b"# x: begin (by oem; changes here are lost)\n"),
            None
        );
    }
}
