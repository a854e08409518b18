//! The OEM partition's first content: a commented `oem.yaml`. The partition is
//! outside the verified part, so that any system can edit it.

use crate::boot::esp::Files;

const OEM_YAML: &str = "\
# What this machine's provider is, for providers that cannot be told from the
# hardware. Without it, the provider is detected at every boot
# (`oem detect --explain` shows how).
#provider: cloudstack
";

/// The files.
pub fn files() -> Files {
    Files::from([("oem.yaml".to_owned(), OEM_YAML.as_bytes().to_vec())])
}
