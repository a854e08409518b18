//! systemd.link(5).

use super::super::model::{Card, Kind, Link};
use super::File;

/// `None` when udev's defaults are what is wanted.
pub(super) fn content(link: &Link) -> Option<String> {
    let Kind::Card(card) = &link.kind else {
        return None;
    };
    if card.rename.is_none() && !card.wake_on_lan && card.offloads.is_empty() {
        return None;
    }
    let mut file = File::new();
    file.section("Match");
    find(card, &link.id, &mut file);
    file.section("Link");
    match &card.rename {
        Some(name) => file.set("Name", name),
        // This file replaces the default one, whose naming must stay.
        None => {
            file.set("NamePolicy", "keep kernel database onboard slot path");
        }
    }
    file.set("AlternativeNamesPolicy", "database onboard slot path mac");
    file.set("MACAddressPolicy", "persistent");
    if card.wake_on_lan {
        file.set("WakeOnLan", "magic");
    }
    for (key, value) in &card.offloads {
        file.set(key, value);
    }
    Some(file.0)
}

/// By the card's own address and what udev knows of it.
fn find(card: &Card, id: &str, file: &mut File) {
    file.maybe("PermanentMACAddress", card.mac.as_ref());
    if !card.drivers.is_empty() {
        file.set("Driver", card.drivers.join(" "));
    }
    match &card.name {
        Some(name) => file.set("OriginalName", name),
        None if card.mac.is_none() && card.drivers.is_empty() => file.set("OriginalName", id),
        None => {}
    }
}
