//! The kernel: out of the tree, into the UKI. Its configuration stays.

use super::Context;
use crate::error::{Error, Result};
use crate::tree::{Kind, Tree};

pub fn run(tree: &mut Tree, context: &mut Context<'_>) -> Result<()> {
    let mut kernels = tree.find("boot/vmlinuz-*").into_iter();
    let Some(path) = kernels.next() else {
        return Err(Error::input("no package of the recipe has a kernel"));
    };
    if let Some(other) = kernels.next() {
        return Err(
            Error::input(format!("there are two kernels: /{path} and /{other}"))
                .hint("ask for one kernel package; `kernel: cloud` replaces the generic one"),
        );
    }
    let version = path.trim_start_matches("boot/vmlinuz-").to_owned();
    if !tree.contains(&format!("usr/lib/modules/{version}")) {
        return Err(Error::input(format!(
            "/{path} has no modules in /usr/lib/modules/{version}"
        )));
    }
    let Some(Kind::File(content)) = tree.get(&path).map(|n| n.kind.clone()) else {
        return Err(Error::input(format!("/{path} is not a regular file")));
    };
    tree.remove(&path);
    tree.rename(
        &format!("boot/config-{version}"),
        &format!("usr/lib/modules/{version}/config"),
    )?;
    context.kernel = Some((version, content));
    Ok(())
}
