//! The provider's network configuration, as files for networkd and udev.

use super::{Action, Layer, Origin, Plan, Step, Work};
use crate::network::nics::{Nic, any_fits, renames};
use crate::network::{model::Network, units};

/// Adds the units of `network` after host name, accounts and keys.
pub fn add(plan: &mut Plan, network: Option<&Network>, cards: &[Nic]) {
    let Some(network) = network else {
        return;
    };
    let units = units(network);
    let mut steps = Vec::new();
    let layer = Origin::from(Layer::Network);
    let means_some = !network.links.is_empty();
    if means_some && !cards.is_empty() && !any_fits(network, cards) {
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
    if units.is_empty() && steps.is_empty() {
        return;
    }
    for unit in units {
        let origin = Origin {
            sender: Layer::Network.into(),
            line: Some(unit.line).filter(|l| *l > 0),
        };
        let resource = format!("network unit {}", unit.path);
        steps.push(step(
            &resource,
            origin,
            Work::Do(file(&unit.path, unit.content)),
        ));
    }
    rename(network, cards, &mut steps);
    steps.push(step(
        "network reload",
        layer,
        Work::Do(Action::NetworkReload),
    ));
    let at = plan.after_way_in();
    plan.steps.splice(at..at, steps);
}

/// Cards are renamed now and, by udev, at later boots. Names may go round in a
/// circle, so those that are taken are left for names of no one first.
fn rename(network: &Network, cards: &[Nic], steps: &mut Vec<Step>) {
    let wanted = renames(network, cards);
    let mut last = Vec::new();
    for (n, r) in wanted.iter().enumerate() {
        let origin = Origin {
            sender: Layer::Network.into(),
            line: Some(r.line),
        };
        let name = |from: &str, to: &str| {
            let action = Action::LinkName {
                from: from.to_owned(),
                to: to.to_owned(),
            };
            step(
                &format!("network card {from} to {to}"),
                origin,
                Work::Do(action),
            )
        };
        let taken = cards.iter().any(|c| c.name == r.to);
        if !taken {
            steps.push(name(r.from, r.to));
        } else if wanted.iter().any(|other| other.from == r.to) {
            let between = format!("oem-rename{n}");
            steps.push(name(r.from, &between));
            last.push(name(&between, r.to));
        } else {
            let why = format!("{} keeps its name: another card is called {}", r.from, r.to);
            let hint = "rename that one too, or choose another name".to_owned();
            let work = Work::Skip {
                why,
                hint: Some(hint),
            };
            steps.push(step(
                &format!("network card {} to {}", r.from, r.to),
                origin,
                work,
            ));
        }
    }
    steps.append(&mut last);
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::parse;

    fn nic(name: &str, mac: &str) -> Nic {
        Nic {
            name: name.to_owned(),
            mac: mac.to_owned(),
            driver: None,
        }
    }

    fn renamed(text: &str, cards: &[Nic]) -> Vec<String> {
        let network = parse(text.as_bytes()).network.unwrap();
        let mut steps = Vec::new();
        rename(&network, cards, &mut steps);
        let name = |s: &Step| match &s.work {
            Work::Do(Action::LinkName { from, to }) => format!("{from}>{to}"),
            _ => "skip".to_owned(),
        };
        steps.iter().map(name).collect()
    }

    #[test]
    fn cards_change_names_even_in_a_circle() {
        let text = "version: 1\nconfig:\n\
            - {type: physical, name: eth0, mac_address: '02:00:00:00:00:00'}\n\
            - {type: physical, name: eth1, mac_address: '02:00:00:00:00:01'}\n";
        let (a, b) = ("02:00:00:00:00:00", "02:00:00:00:00:01");
        let steps = |x, y| renamed(text, &[nic(x, a), nic(y, b)]);
        assert_eq!(steps("eth0", "eth1"), [""; 0]);
        assert_eq!(steps("ens3", "ens4"), ["ens3>eth0", "ens4>eth1"]);
        assert_eq!(
            steps("eth1", "eth0"),
            [
                "eth1>oem-rename0",
                "eth0>oem-rename1",
                "oem-rename0>eth0",
                "oem-rename1>eth1"
            ]
        );
        // eth1 is free once its holder has gone; eth0 is not.
        assert_eq!(
            steps("eth1", "ens4"),
            ["eth1>eth0", "ens4>oem-rename1", "oem-rename1>eth1"]
        );
        let other = [nic("ens3", a), nic("eth0", "02:00:00:00:00:09")];
        assert_eq!(renamed(text, &other), ["skip"]);
        // Two with one address: no one's to rename.
        assert_eq!(renamed(text, &[nic("ens3", a), nic("ens4", a)]), [""; 0]);
    }
}
