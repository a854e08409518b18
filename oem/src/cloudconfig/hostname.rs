//! `hostname` and what cloud-init has around it.

use super::diag::At;
use super::node::Node;
use super::read::Reader;
use super::schema::Type::{Flag, Text};
use super::schema::{Section, key};

pub(super) const SECTION: Section = Section {
    title: "Host name",
    keys: &[
        key(
            "hostname",
            Text,
            "host name of the machine; wins over the provider's",
        ),
        key(
            "fqdn",
            Text,
            "host name with its domain, for /etc/hosts; its first label is the host name where `hostname` is not given",
        ),
        key(
            "prefer_fqdn_over_hostname",
            Flag,
            "the host name is all of `fqdn`",
        ),
        key(
            "preserve_hostname",
            Flag,
            "a name in /etc/hostname stays as it is",
        ),
        key(
            "create_hostname_file",
            Flag,
            "/etc/hostname is always written",
        )
        .accepted(),
    ],
    example: EXAMPLE,
    read: |f, config, r| {
        if let Some(n) = f.get("hostname") {
            config.hostname = read(n, "hostname", r);
        }
        if let Some(n) = f.get("fqdn") {
            config.fqdn = read(n, "fqdn", r);
        }
        config.prefer_fqdn = f.boolean("prefer_fqdn_over_hostname", r).unwrap_or(false);
        if let Some((spot, _)) = f.entry("preserve_hostname")
            && f.boolean("preserve_hostname", r) == Some(true)
        {
            config.preserve_hostname = Some(spot);
        }
        if f.boolean("create_hostname_file", r) == Some(false)
            && let Some((spot, _)) = f.entry("create_hostname_file")
        {
            let why = "the host name is in /etc/hostname on this system, always";
            r.warn(spot, "create_hostname_file", why, "leave the key out");
        }
    },
};

const EXAMPLE: &str = "\
hostname: web-1
fqdn: web-1.example.com
prefer_fqdn_over_hostname: false
preserve_hostname: false
create_hostname_file: true
";

pub(super) fn read(node: &Node, path: &str, r: &mut Reader) -> Option<At<String>> {
    let name = r.line(node, path)?;
    // With a placeholder inside, only the final value can be judged.
    if !name.value.contains('$')
        && let Err(why) = check(&name.value)
    {
        r.error(
            name.spot,
            path,
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
