//! What packages and the recipe put into /var: made at boot by tmpfiles.d(5), files
//! as copies of a factory version in /usr.

use super::{Context, made};
use crate::error::Result;
use crate::tree::{Kind, Tree};

const FACTORY: &str = "usr/share/holdfast/var";
const CONFIG: &str = "usr/lib/tmpfiles.d/holdfast-var.conf";

/// Directories that systemd's own var.conf or init make, or links into /run.
const KNOWN: [&str; 10] = [
    "var/cache",
    "var/lib",
    "var/local",
    "var/lock",
    "var/log",
    "var/mail",
    "var/run",
    "var/spool",
    "var/tmp",
    "var/lib/systemd",
];

pub fn run(tree: &mut Tree, context: &mut Context<'_>) -> Result<()> {
    let mut config = String::from("# Made by the build from what packages ship in /var.\n");
    let mut files = Vec::new();
    for (path, node) in tree.below("var") {
        let owner = format!("{:04o} {} {} -", node.mode, node.uid, node.gid);
        let quoted = path
            .replace('\\', "\\\\")
            .replace('%', "%%")
            .replace(' ', "\\x20");
        match &node.kind {
            Kind::Dir if KNOWN.contains(&path) => {}
            Kind::Dir => config.push_str(&format!("d /{quoted} {owner}\n")),
            Kind::Symlink(_) if KNOWN.contains(&path) => {}
            Kind::Symlink(target) => config.push_str(&format!("L /{quoted} - - - - {target}\n")),
            Kind::File(_) => {
                config.push_str(&format!(
                    "C /{quoted} {owner} /{FACTORY}/{}\n",
                    quoted.trim_start_matches("var/")
                ));
                files.push(path.to_owned());
            }
        }
    }
    for path in files {
        tree.rename(
            &path,
            &format!("{FACTORY}/{}", path.trim_start_matches("var/")),
        )?;
    }
    tree.remove("var");
    tree.insert(CONFIG, made("var", config, 0o644))?;
    let _ = context;
    Ok(())
}
