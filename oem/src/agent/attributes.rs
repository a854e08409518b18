//! What a provider says of the machine, for units: `EnvironmentFile=`
//! `/run/holdfast/metadata.env`. Anybody may read it; there is nothing secret in it.

use crate::error::Result;
use crate::metadata::Metadata;
use crate::root::{Root, SystemView as _};
use std::fmt::Write as _;

/// Where it is.
pub const ENVIRONMENT: &str = "/run/holdfast/metadata.env";

/// Writes it, if it is not so already.
pub(super) fn write(root: &Root, metadata: &Metadata) -> Result<()> {
    let text = environment(metadata);
    if root.read(ENVIRONMENT)?.as_deref() == Some(text.as_bytes()) {
        return Ok(());
    }
    root.make_dir("/run/holdfast", 0o755, None)?;
    root.write(ENVIRONMENT, text.as_bytes(), 0o644, None)
}

/// `HOLDFAST_INSTANCE_ID="i-1"` and so on; addresses under CoreOS's names as well.
fn environment(metadata: &Metadata) -> String {
    let mut out = String::new();
    let values = metadata.values();
    for (name, value) in &values {
        let name = variable(name);
        let _ = writeln!(out, "HOLDFAST_{name}={}", quoted(value));
    }
    for (name, value) in values.iter().filter(|(n, _)| n.contains("-ipv")) {
        let name = variable(name);
        let _ = writeln!(out, "COREOS_{name}={}", quoted(value));
    }
    out
}

fn variable(name: &str) -> String {
    let letter = |c: char| match c.is_ascii_alphanumeric() {
        true => c.to_ascii_uppercase(),
        false => '_',
    };
    name.chars().map(letter).collect()
}

/// As systemd and the shell both read it.
fn quoted(value: &str) -> String {
    let mut out = String::from('"');
    for c in value.chars().filter(|c| !c.is_control()) {
        if "\\\"$`".contains(c) {
            out.push('\\');
        }
        out.push(c);
    }
    out + "\""
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_values_stay_in_their_quotes() {
        let mut metadata = Metadata {
            provider: "gce".into(),
            public_ipv4: Some([203, 0, 113, 9].into()),
            ..Metadata::default()
        };
        let hostile = "a\"; rm -rf $HOME `x` \\\nB=1";
        metadata
            .attributes
            .insert("machine.type".into(), hostile.into());
        assert_eq!(
            environment(&metadata),
            "HOLDFAST_MACHINE_TYPE=\"a\\\"; rm -rf \\$HOME \\`x\\` \\\\B=1\"\n\
             HOLDFAST_PROVIDER=\"gce\"\n\
             HOLDFAST_PUBLIC_IPV4=\"203.0.113.9\"\n\
             COREOS_PUBLIC_IPV4=\"203.0.113.9\"\n"
        );
    }
}
