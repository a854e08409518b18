//! Public keys of user `core` (and, from `users`, of others).

use super::{Action, Builder, Input, Layer, Origin, Sender, Work};
use crate::cloudconfig::{At, looks_like_key};
use crate::metadata::Metadata;
use crate::provider::vagrant::is_insecure;

/// The user every machine has.
pub const CORE: &str = "core";

/// All keys for `core`: metadata, `ssh_authorized_keys` and `users` of every
/// layer, each once.
pub(super) fn add_core(b: &mut Builder<'_>, inputs: &[&Input], metadata: &Metadata) {
    let mut keys = Vec::new();
    let mut origin: Option<Origin> = None;
    let ignored = inputs.iter().any(|i| i.config.ignore_provider_keys);
    for key in metadata.ssh_keys.iter().filter(|_| !ignored) {
        let key = key.trim();
        if key.is_empty() || key.starts_with('#') {
            continue;
        }
        if key.contains('\n') || !looks_like_key(key) {
            b.puzzle(
                "ssh key",
                Layer::Metadata.into(),
                "the provider sent something that is not a public key",
                None,
            );
            continue;
        }
        keys.push(key.to_owned());
        origin = Some(Layer::Metadata.into());
    }
    for input in inputs {
        let of_users = input
            .config
            .users
            .iter()
            .filter(|u| u.value.name == CORE)
            .flat_map(|u| &u.value.ssh_authorized_keys);
        for key in input.config.ssh_authorized_keys.iter().chain(of_users) {
            if let Some(key) = key_of(b, input.sender, key) {
                keys.push(key);
                origin = Some(Origin::at(input.sender, input_line(input)));
            }
        }
    }
    if let Some(origin) = origin {
        if inputs.iter().any(|i| i.config.open_root) {
            push(b, "root", keys.clone(), origin);
        }
        push(b, CORE, keys, origin);
    }
}

/// The keys of `core`, each with what tells its owner to log in as `core`.
pub(super) fn redirected(b: &Builder<'_>, user: &str) -> Vec<String> {
    let of_core = b.steps.iter().find_map(|s| match &s.work {
        Work::Do(Action::Keys { user, keys }) if user == CORE => Some(keys.clone()),
        _ => None,
    });
    let told = format!(
        "no-port-forwarding,no-agent-forwarding,no-X11-forwarding,command=\"echo 'Please log in as the user {CORE} rather than {user}.';echo;sleep 10;exit 142\""
    );
    of_core
        .unwrap_or_default()
        .iter()
        .map(|key| format!("{told} {key}"))
        .collect()
}

fn input_line(input: &Input) -> crate::cloudconfig::Spot {
    let users = input
        .config
        .users
        .iter()
        .filter(|u| u.value.name == CORE)
        .flat_map(|u| &u.value.ssh_authorized_keys);
    input
        .config
        .ssh_authorized_keys
        .iter()
        .chain(users)
        .next()
        .map(|k| k.spot)
        .unwrap_or_default()
}

/// A key with its placeholders replaced.
pub(super) fn key_of(b: &mut Builder<'_>, layer: Sender, key: &At<String>) -> Option<String> {
    b.expand("ssh key", Origin::at(layer, key.spot), &key.value)
}

pub(super) fn push(b: &mut Builder<'_>, user: &str, keys: Vec<String>, origin: Origin) {
    let mut once: Vec<String> = Vec::with_capacity(keys.len());
    let mut seen = std::collections::HashSet::new();
    for k in keys {
        if is_insecure(&k) && !b.insecure_keys {
            b.skip(
                format!("ssh key of {user}"),
                origin,
                "Vagrant's insecure key, whose private half everybody has, is refused outside Vagrant",
                Some("give a key of your own".into()),
            );
            continue;
        }
        if seen.insert(k.clone()) {
            once.push(k);
        }
    }
    if once.is_empty() {
        return;
    }
    b.push(
        format!("ssh keys of {user}"),
        origin,
        Action::Keys {
            user: user.to_owned(),
            keys: once,
        },
    );
}
