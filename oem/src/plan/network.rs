//! The provider's network configuration, as files for networkd and udev.

use super::{Action, Layer, Origin, Plan, Step, Work};
use crate::error::Result;
use crate::network::nics::{Nic, any_fits};
use crate::network::{is_ours, model::Network, units};
use crate::root::SystemView;

/// What was written, a path a line: what is no longer asked for is removed.
const RECORD: &str = "/var/lib/oem/network-units";

/// Adds the units of `network` after host name, accounts and keys. Nothing is
/// removed when there is no network: in the early stage it may yet be fetched.
pub fn add(
    plan: &mut Plan,
    network: Option<&Network>,
    cards: &[Nic],
    view: &dyn SystemView,
) -> Result<()> {
    let Some(network) = network else {
        return Ok(());
    };
    let units = units(network);
    let record: String = units.iter().map(|u| format!("{}\n", u.path)).collect();
    let mut steps = Vec::new();
    let layer = Origin::from(Layer::Network);
    if !cards.is_empty() && !any_fits(network, cards) {
        let have: Vec<String> = cards
            .iter()
            .map(|c| format!("{} {}", c.name, c.mac))
            .collect();
        let why = format!(
            "none of this machine's cards is in it ({}): all of them ask DHCP instead",
            have.join(", ")
        );
        let hint = "correct the names or hardware addresses of the network configuration";
        let work = Work::Skip {
            why,
            hint: Some(hint.to_owned()),
        };
        steps.push(step("network cards", layer, work));
    }
    let old = view.read(RECORD)?.unwrap_or_default();
    let old = String::from_utf8_lossy(&old).into_owned();
    for path in old.lines().filter(|p| is_ours(p)) {
        if !units.iter().any(|u| u.path == path) {
            let path = path.to_owned();
            let resource = format!("network unit {path}");
            steps.push(step(&resource, layer, Work::Do(Action::Remove { path })));
        }
    }
    // Before the units: one that is not in it would never be removed.
    steps.push(step(
        "network record",
        layer,
        Work::Do(file(RECORD, record)),
    ));
    for unit in units {
        let origin = Origin {
            layer: Layer::Network.into(),
            line: Some(unit.line).filter(|l| *l > 0),
        };
        let resource = format!("network unit {}", unit.path);
        steps.push(step(
            &resource,
            origin,
            Work::Do(file(&unit.path, unit.content)),
        ));
    }
    steps.push(step(
        "network reload",
        layer,
        Work::Do(Action::NetworkReload),
    ));
    let first = plan.steps.iter().position(|s| match &s.work {
        Work::Do(a) => !matches!(
            a,
            Action::Hostname(_) | Action::Account(_) | Action::Keys { .. }
        ),
        Work::Skip { .. } => false,
    });
    let at = first.unwrap_or(plan.steps.len());
    plan.steps.splice(at..at, steps);
    Ok(())
}

fn step(resource: &str, origin: Origin, work: Work) -> Step {
    Step {
        resource: resource.to_owned(),
        origin,
        work,
        note: None,
    }
}

fn file(path: &str, content: String) -> Action {
    Action::File {
        path: path.to_owned(),
        content: content.into_bytes(),
        mode: 0o644,
        owner: None,
    }
}
