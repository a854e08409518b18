//! The bundle of certificate authorities (what update-ca-certificates makes).

use super::{Context, made};
use crate::error::Result;
use crate::tree::{Kind, Tree};

const BUNDLE: &str = "etc/ssl/certs/ca-certificates.crt";

pub fn run(tree: &mut Tree, _: &mut Context<'_>) -> Result<()> {
    let mut bundle = Vec::new();
    for dir in [
        "usr/share/ca-certificates",
        "usr/local/share/ca-certificates",
    ] {
        let files = tree.below(dir).filter(|(path, _)| path.ends_with(".crt"));
        for (_, node) in files {
            if let Kind::File(content) = &node.kind {
                bundle.extend_from_slice(&content.read()?);
                if bundle.last() != Some(&b'\n') {
                    bundle.push(b'\n');
                }
            }
        }
    }
    if bundle.is_empty() {
        return Ok(());
    }
    // The bundle has all of them: the single files would be the same bytes again.
    tree.remove("usr/share/ca-certificates");
    let mut node = made("certificates", "", 0o644);
    node.kind = Kind::File(crate::tree::Content::Bytes(bundle.into()));
    tree.insert(BUNDLE, node)
}
