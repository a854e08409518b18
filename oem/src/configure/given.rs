//! Passwords that a provider gives: on top of what user-data sets once, because a reset
//! at the provider is the newest wish there is.

use crate::apply::apply;
use crate::cloudconfig::{At, CloudConfig, Password, Spot};
use crate::error::Result;
use crate::metadata::Metadata;
use crate::plan::{self, Action, Input, Layer, Work};
use crate::root::Root;
use crate::status::Resource;

/// As an input above all others; `None` when there are none.
pub(super) fn input(passwords: &[Password]) -> Option<Input> {
    let at = |password: &Password| At {
        spot: Spot::default(),
        value: password.clone(),
    };
    let config = CloudConfig {
        passwords: passwords.iter().map(at).collect(),
        ..CloudConfig::default()
    };
    (!passwords.is_empty()).then(|| Input {
        sender: Layer::Metadata.into(),
        config,
        script: None,
    })
}

/// Sets passwords, and nothing else, on the machine below `root`. What became of them.
///
/// # Errors
/// The machine's state cannot be read.
pub fn set_passwords(
    root: &Root,
    metadata: &Metadata,
    passwords: &[Password],
) -> Result<Vec<Resource>> {
    let Some(input) = input(passwords) else {
        return Ok(Vec::new());
    };
    let mut plan = plan::build(&[input], metadata, root)?;
    plan.steps
        .retain(|s| matches!(s.work, Work::Do(Action::Password { .. })));
    Ok(apply(&plan, root, None)?.resources)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cloudconfig::Secret;
    use crate::root::SystemView as _;
    use crate::status::State;
    use std::fs;

    fn password(text: &str) -> Password {
        Password {
            user: "core".into(),
            secret: Secret::Plain(text.into()),
            expire: false,
        }
    }

    /// What a user's text sets once must not come back at the boot after a reset.
    #[test]
    fn given_passwords_are_set_once_beside_the_users_own() {
        let temp = tempfile::tempdir().unwrap();
        fs::create_dir(temp.path().join("etc")).unwrap();
        let line = "core:x:1000:1000::/home/core:/bin/sh\n";
        fs::write(temp.path().join("etc/passwd"), line).unwrap();
        fs::write(temp.path().join("etc/shadow"), "core:!:1::::::\n").unwrap();
        let root = Root::open(temp.path()).unwrap();
        let metadata = Metadata {
            instance_id: Some("i-1".into()),
            ..Metadata::default()
        };
        let mut own = input(&[password("own")]).unwrap();
        own.sender = Layer::UserData.into();
        let boot = |given: &[Password]| {
            let inputs: Vec<Input> = [own.clone()].into_iter().chain(input(given)).collect();
            let mut plan = plan::build(&inputs, &metadata, &root).unwrap();
            plan.steps
                .retain(|s| matches!(s.work, Work::Do(Action::Password { .. })));
            let done = apply(&plan, &root, None).unwrap().resources;
            let states: Vec<State> = done.iter().map(|r| r.state).collect();
            (states, root.read("/etc/shadow").unwrap())
        };
        let (states, first) = boot(&[password("given")]);
        assert_eq!(states, [State::Done, State::Done]);
        assert_eq!(boot(&[]), (vec![State::Unchanged], first.clone()));
        let again = boot(&[password("given")]);
        assert_eq!(again, (vec![State::Unchanged; 2], first.clone()));
        let (_, reset) = boot(&[password("another")]);
        assert_ne!(reset, first);
        assert_eq!(boot(&[]).1, reset);
        let text = String::from_utf8(reset.unwrap()).unwrap();
        assert!(text.starts_with("core:$6$") && !text.contains("another"));
    }
}
