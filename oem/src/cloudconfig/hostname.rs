//! `hostname`.

use super::diag::At;
use super::node::Node;
use super::read::Reader;

pub(super) fn read(node: &Node, r: &mut Reader) -> Option<At<String>> {
    let name = r.line(node, "hostname")?;
    // With a placeholder inside, only the final value can be judged.
    if !name.value.contains('$')
        && let Err(why) = check(&name.value)
    {
        r.error(
            name.spot,
            "hostname",
            why,
            "letters, digits, `-` and `.`, at most 64 characters, each label at most 63",
        );
        return None;
    }
    Some(name)
}

/// Checks a host name: RFC 1123 labels (and `_`, which Linux and providers
/// use), at most 64 bytes as the kernel takes.
pub fn check(name: &str) -> Result<(), String> {
    if name.is_empty() || name.len() > 64 {
        return Err(format!(
            "a host name has 1 to 64 characters, this one {}",
            name.len()
        ));
    }
    let label_ok = |l: &str| {
        (1..=63).contains(&l.len())
            && !l.starts_with('-')
            && !l.ends_with('-')
            && l.bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    };
    if name
        .strip_suffix('.')
        .unwrap_or(name)
        .split('.')
        .all(label_ok)
    {
        Ok(())
    } else {
        Err("not a host name".to_owned())
    }
}
