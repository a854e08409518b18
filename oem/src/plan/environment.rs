//! The provider's addresses in /etc/environment, as CoreOS had them.

use super::subst::NAMES;
use super::{Action, Builder, Layer};
use crate::error::Result;
use crate::metadata::Metadata;

const PATH: &str = "/etc/environment";

/// Merges the addresses, unless `write_files` owns the file.
pub(super) fn add(b: &mut Builder<'_>, metadata: &Metadata) -> Result<()> {
    let values = metadata.addresses();
    let owned = b.steps.iter().any(|s| s.resource == format!("file {PATH}"));
    if owned || values.iter().all(Option::is_none) {
        return Ok(());
    }
    let old = b.view.read(PATH)?.unwrap_or_default();
    let old = String::from_utf8_lossy(&old).into_owned();
    let mut lines: Vec<String> = old.lines().map(str::to_owned).collect();
    for ((_, name), value) in NAMES.iter().zip(values) {
        let Some(value) = value else { continue };
        let want = format!("{name}={value}");
        let is_it = |l: &String| l.strip_prefix(name).is_some_and(|r| r.starts_with('='));
        match lines.iter().position(is_it) {
            Some(i) => lines[i] = want,
            None => lines.push(want),
        }
    }
    let content = lines.join("\n") + "\n";
    let file = Action::File {
        path: PATH.to_owned(),
        content: content.into_bytes(),
        mode: 0o644,
        owner: None,
    };
    b.push(format!("file {PATH}"), Layer::Metadata, file);
    Ok(())
}
