//! `manage_etc_hosts`.

use super::diag::Spot;
use super::node::Node;
use super::read::Reader;

pub(super) fn read(node: &Node, r: &mut Reader) -> Option<Spot> {
    let value = r.line(node, "manage_etc_hosts")?;
    match value.value.as_str() {
        "localhost" => Some(value.spot),
        "false" => None,
        _ => {
            r.error(
                value.spot,
                "manage_etc_hosts",
                "only `localhost` is supported",
                "write `manage_etc_hosts: localhost`, or write /etc/hosts with write_files",
            );
            None
        }
    }
}
