//! Host name and /etc/hosts.

use super::{Action, Builder, Input, Layer, Origin, Work};
use crate::cloudconfig::host_name_fault;
use crate::error::Result;
use crate::metadata::Metadata;

/// User-data over metadata over vendor-data over OEM.
pub(super) fn add(b: &mut Builder<'_>, inputs: &[&Input], metadata: &Metadata) -> Result<()> {
    let keeper = inputs
        .iter()
        .rev()
        .find_map(|i| Some(Origin::at(i.sender, i.config.preserve_hostname?)));
    if let Some(origin) = keeper
        && let Some(name) = present(b)?
    {
        b.push("hostname", origin, Action::Hostname(name));
        return Ok(());
    }
    let mut wishes: Vec<(Origin, String)> = inputs.iter().filter_map(|i| wish(i)).collect();
    if let Some(name) = metadata
        .hostname
        .as_deref()
        .map(str::trim)
        .filter(|n| !n.is_empty())
    {
        let at = wishes
            .iter()
            .position(|(o, _)| matches!(o.sender.layer, Layer::UserData | Layer::CommandLine));
        wishes.insert(
            at.unwrap_or(wishes.len()),
            (Layer::Metadata.into(), fit(name)),
        );
    }
    // From the strongest wish down to the first that can be met.
    for (origin, name) in wishes.into_iter().rev() {
        let Some(name) = b.expand("hostname", origin, &name) else {
            continue;
        };
        match host_name_fault(&name) {
            None => {
                b.push("hostname", origin, Action::Hostname(name));
                return Ok(());
            }
            Some(why) => b.skip("hostname", origin, format!("{name:?}: {why}"), None),
        }
    }
    Ok(())
}

/// `hostname`, else what `fqdn` begins with; all of `fqdn` where that is preferred.
fn wish(input: &Input) -> Option<(Origin, String)> {
    let config = &input.config;
    let at = match (&config.hostname, &config.fqdn) {
        (_, Some(full)) if config.prefer_fqdn => full,
        (Some(name), _) => name,
        (None, Some(full)) => {
            let short = full.value.split('.').next().unwrap_or(&full.value);
            return Some((Origin::at(input.sender, full.spot), short.to_owned()));
        }
        (None, None) => return None,
    };
    Some((Origin::at(input.sender, at.spot), at.value.clone()))
}

/// The name in /etc/hostname.
fn present(b: &Builder<'_>) -> Result<Option<String>> {
    Ok(b.view
        .read("/etc/hostname")?
        .map(|c| String::from_utf8_lossy(&c).trim().to_owned())
        .filter(|n| host_name_fault(n).is_none()))
}

/// Providers send names longer than the kernel takes; their first label fits.
fn fit(name: &str) -> String {
    if name.len() <= 64 {
        name.to_owned()
    } else {
        name.split('.').next().unwrap_or(name).to_owned()
    }
}

/// `manage_etc_hosts`.
pub(super) fn add_hosts(b: &mut Builder<'_>, inputs: &[&Input]) -> Result<()> {
    let Some((layer, spot)) = inputs
        .iter()
        .rev()
        .find_map(|i| i.config.manage_etc_hosts.map(|s| (i.sender, s)))
    else {
        return Ok(());
    };
    let planned = b.steps.iter().find_map(|s| match &s.work {
        Work::Do(Action::Hostname(name)) => Some(name.clone()),
        _ => None,
    });
    let name = match planned {
        Some(name) => Some(name),
        None => present(b)?,
    };
    let origin = Origin::at(layer, spot);
    let Some(name) = name else {
        b.skip(
            "file /etc/hosts",
            origin,
            "this machine has no host name yet",
            Some("add `hostname:`".to_owned()),
        );
        return Ok(());
    };
    let mut names: Vec<String> = Vec::new();
    if let Some(full) = inputs.iter().rev().find_map(|i| i.config.fqdn.as_ref())
        && let Some(full) = b.expand("file /etc/hosts", origin, &full.value)
    {
        names.push(full);
    }
    let short = name.split('.').next().unwrap_or(&name).to_owned();
    for n in [name, short] {
        if !names.contains(&n) {
            names.push(n);
        }
    }
    let names = names.join(" ");
    let content = format!(
        "127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n127.0.0.1 {names}\n"
    );
    let file = Action::File {
        path: "/etc/hosts".to_owned(),
        content: content.into_bytes(),
        mode: 0o644,
        owner: None,
    };
    b.push("file /etc/hosts", origin, file);
    Ok(())
}
