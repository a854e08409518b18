//! What may change while a machine runs: keys and addresses. Everything else waits for
//! the next boot.

use super::{Intake, Reach, Remote};
use crate::apply::apply;
use crate::error::{Error, Result};
use crate::metadata::Fetched;
use crate::plan::inventory::Obtained;
use crate::plan::{Action, Work};
use crate::root::Root;
use crate::status::Resource;

/// Where addresses are.
const ENVIRONMENT: &str = "/etc/environment";

/// Takes over the keys and addresses that `fetched` has now. What became of them.
///
/// # Errors
/// Part of the texts that may hold keys is not at hand: nothing is changed, so that
/// nobody is locked out.
pub fn refresh(root: &Root, oem: Option<&[u8]>, fetched: &Fetched) -> Result<Vec<Resource>> {
    let instance = fetched.metadata.instance_id.as_deref();
    let mut remote = Remote::new(root, instance, Reach::Kept);
    let intake = Intake::of(oem, fetched, &mut remote);
    if remote.owed || !remote.warnings.is_empty() {
        let what = "not all that user-data refer to is at hand: keys stay as they are";
        return Err(Error::environment(what).hint("`oem apply` fetches it"));
    }
    let mut plan = intake.plan(&fetched.metadata, root, &Obtained::nothing())?;
    plan.steps.retain(|step| match &step.work {
        Work::Do(Action::Keys { .. }) => true,
        Work::Do(Action::File { path, .. }) => path == ENVIRONMENT,
        _ => false,
    });
    Ok(apply(&plan, root, None)?.resources)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metadata::Metadata;
    use crate::root::SystemView as _;
    use std::fs;

    const OLD: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIDrLcTvqjRUA old";
    const NEW: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIDrLcTvqjRUB new";
    const OWN: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIDrLcTvqjRUC own";

    fn fetched(key: &str, user_data: &str) -> Fetched {
        let metadata = Metadata {
            provider: "gce".into(),
            instance_id: Some("i-1".into()),
            hostname: Some("another".into()),
            ssh_keys: vec![key.into()],
            public_ipv4: Some([203, 0, 113, 9].into()),
            ..Metadata::default()
        };
        Fetched {
            provider: "gce".into(),
            user_data: Some(user_data.as_bytes().to_vec()),
            metadata,
            ..Fetched::default()
        }
    }

    #[test]
    fn keys_and_addresses_and_nothing_else() {
        let temp = tempfile::tempdir().unwrap();
        fs::create_dir(temp.path().join("etc")).unwrap();
        let line = "core:x:1000:1000::/home/core:/bin/bash\n";
        fs::write(temp.path().join("etc/passwd"), line).unwrap();
        let root = Root::open(temp.path()).unwrap();
        let keys = || {
            let file = root.read("/home/core/.ssh/authorized_keys.d/oem").unwrap();
            String::from_utf8(file.unwrap_or_default()).unwrap()
        };
        let text = format!(
            "#cloud-config\nssh_authorized_keys: [\"{OWN}\"]\nwrite_files: [{{path: /etc/later, content: x}}]\n"
        );
        for key in [OLD, NEW] {
            refresh(&root, None, &fetched(key, &text)).unwrap();
            let keys = keys();
            assert!(keys.contains(key) && keys.contains(OWN), "{keys}");
        }
        assert!(!keys().contains(OLD));
        let environment = root.read("/etc/environment").unwrap().unwrap();
        assert_eq!(environment, b"COREOS_PUBLIC_IPV4=203.0.113.9\n");
        for path in ["/etc/later", "/etc/hostname"] {
            assert_eq!(root.read(path).unwrap(), None, "{path}");
        }
        // What is included may hold keys.
        let include = "#include\nhttp://192.0.2.1/keys\n";
        let before = keys();
        assert!(refresh(&root, None, &fetched(OLD, include)).is_err());
        assert_eq!(keys(), before);
    }
}
