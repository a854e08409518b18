//! Routes in the commands of stanzas.

use super::super::model::{Cidr, Link, Route, everything};
use super::super::value::{Value, cidr, cidr_with, count, ip};
use crate::cloudconfig::Spot;
use crate::cloudconfig::read::Reader;

/// `[/sbin/]route add ..` and `[/sbin/]ip [-6] route add ..`, as providers send
/// them; anything else is not run.
pub(super) fn command(spot: Spot, key: &str, text: &str, link: &mut Link, r: &mut Reader) {
    let text = text.split("||").next().unwrap_or_default();
    let text = text
        .trim()
        .trim_end_matches(';')
        .replace("$IFACE", &link.id);
    let words: Vec<&str> = text.split_whitespace().collect();
    let route = match words.split_first() {
        Some((program, args)) => match program.rsplit('/').next() {
            Some("route") => route_program(args),
            Some("ip") => ip_program(args),
            _ => None,
        },
        None => None,
    };
    match route {
        Some(Ok(route)) => link.add_route(route),
        Some(Err((what, hint))) => r.error(spot, key, what, hint),
        None => r.warn(
            spot,
            key,
            "commands are not run",
            "routes are read from `ip route add` and `route add`; put other commands into a unit",
        ),
    }
}

/// route(8): `add [-A inet6] [-net|-host] TARGET [netmask M] [gw G] [metric N] [dev D]`.
fn route_program(args: &[&str]) -> Option<Value<Route>> {
    let mut words = args
        .iter()
        .copied()
        .filter(|w| !matches!(*w, "-net" | "-host" | "-4" | "-6" | "-A" | "inet6" | "inet"));
    (words.next()? == "add").then_some(())?;
    let target = words.next()?;
    let (mut mask, mut via, mut metric) = (None, None, None);
    while let Some(word) = words.next() {
        match word {
            "netmask" => mask = words.next(),
            "gw" => via = words.next(),
            "metric" => metric = words.next(),
            "dev" => drop(words.next()),
            // The interface may come bare.
            _ => {}
        }
    }
    Some(finish(target, mask, via, metric))
}

/// ip-route(8): `[-6] route add|replace|append TARGET [via G] [metric N] [dev D]`.
fn ip_program(args: &[&str]) -> Option<Value<Route>> {
    let mut words = args
        .iter()
        .copied()
        .filter(|w| !matches!(*w, "-4" | "-6" | "-f"));
    matches!(words.next()?, "route" | "r" | "ro").then_some(())?;
    matches!(words.next()?, "add" | "replace" | "append" | "a").then_some(())?;
    let target = words.next()?;
    let (mut via, mut metric) = (None, None);
    while let Some(word) = words.next() {
        match word {
            "via" => via = words.next(),
            "metric" => metric = words.next(),
            "dev" | "proto" | "scope" => drop(words.next()),
            "onlink" => {}
            // More than is understood would be less than was meant.
            _ => return None,
        }
    }
    Some(finish(target, None, via, metric))
}

fn finish(
    target: &str,
    mask: Option<&str>,
    via: Option<&str>,
    metric: Option<&str>,
) -> Value<Route> {
    let via = via.map(ip).transpose()?;
    let to: Cidr = match target {
        "default" => everything(via.is_none_or(|v| v.is_ipv4())),
        _ if mask.is_some() => cidr_with(target, mask)?,
        _ => cidr(target)?,
    };
    if via.is_some_and(|v| v.is_ipv4() != to.ip.is_ipv4()) {
        return Err((
            "destination and gateway are of different families".into(),
            "",
        ));
    }
    let mut route = Route::new(to, via);
    route.metric = metric.map(count).transpose()?;
    Ok(route)
}
