//! `routes` and `routing-policy`.

use super::super::model::{Cidr, Route, Rule};
use super::super::value::{cidr, count, destination, flag, get, ip, mark, mtu, number, one_of};
use crate::cloudconfig::node::Node;
use crate::cloudconfig::read::Reader;

const KINDS: &[(&str, &str)] = &[
    ("unicast", "unicast"),
    ("anycast", "anycast"),
    ("blackhole", "blackhole"),
    ("broadcast", "broadcast"),
    ("local", "local"),
    ("multicast", "multicast"),
    ("prohibit", "prohibit"),
    ("throw", "throw"),
    ("unreachable", "unreachable"),
];
const SCOPES: &[(&str, &str)] = &[("global", "global"), ("link", "link"), ("host", "host")];

pub(super) fn routes(node: &Node, path: &str, r: &mut Reader) -> Vec<Route> {
    let known = [
        "from",
        "to",
        "via",
        "on_link",
        "metric",
        "type",
        "scope",
        "table",
        "mtu",
        "congestion_window",
        "advertised_receive_window",
        "advertised_mss",
    ];
    let mut out = Vec::new();
    for (i, item) in r.list(node, path).iter().enumerate() {
        let path = format!("{path}[{i}]");
        let Some(f) = r.fields(item, &path, &known, &[]) else {
            continue;
        };
        let via = get(&f, r, "via", ip);
        if f.get("via").is_some() && via.is_none() {
            continue;
        }
        let from = get(&f, r, "from", ip);
        let ipv4 = via.or(from).is_none_or(|a| a.is_ipv4());
        let to = match f.get("to") {
            Some(_) => get(&f, r, "to", destination(ipv4)),
            None => {
                r.error(f.spot, &path, "a route needs `to`", "such as `to: default`");
                None
            }
        };
        let Some(to) = to else { continue };
        if via.is_some_and(|v| v.is_ipv4() != to.ip.is_ipv4()) {
            let what = "`to` and `via` are of different families";
            r.error(f.spot, &path, what, "");
            continue;
        }
        let mut route = Route::new(to, via);
        route.from = from;
        route.on_link = flag(&f, r, "on_link").unwrap_or_default();
        route.metric = get(&f, r, "metric", count);
        route.kind = get(&f, r, "type", one_of(KINDS));
        route.scope = get(&f, r, "scope", one_of(SCOPES));
        route.table = get(&f, r, "table", count);
        route.mtu = get(&f, r, "mtu", mtu);
        route.congestion_window = get(&f, r, "congestion_window", number(1, 1023));
        route.receive_window = get(&f, r, "advertised_receive_window", number(1, 1023));
        route.mss = get(&f, r, "advertised_mss", number(1, u32::MAX));
        out.push(route);
    }
    out
}

pub(super) fn rules(node: &Node, path: &str, r: &mut Reader) -> Vec<Rule> {
    let known = ["from", "to", "table", "priority", "mark", "type_of_service"];
    let mut out = Vec::new();
    for (i, item) in r.list(node, path).iter().enumerate() {
        let path = format!("{path}[{i}]");
        let Some(f) = r.fields(item, &path, &known, &[]) else {
            continue;
        };
        let network = |text: &str| -> super::super::value::Value<Option<Cidr>> {
            match text {
                "all" | "any" => Ok(None),
                _ => cidr(text).map(Some),
            }
        };
        let from = get(&f, r, "from", network);
        let to = get(&f, r, "to", network);
        let unreadable =
            |key: &str, value: &Option<Option<Cidr>>| f.get(key).is_some() && value.is_none();
        // Less of a condition would catch other packets.
        if unreadable("from", &from) || unreadable("to", &to) {
            continue;
        }
        let rule = Rule {
            from: from.flatten(),
            to: to.flatten(),
            table: get(&f, r, "table", count),
            priority: get(&f, r, "priority", count),
            mark: get(&f, r, "mark", mark),
            tos: get(&f, r, "type_of_service", number(0, 255)).and_then(|n| u8::try_from(n).ok()),
        };
        if rule.from.is_none()
            && rule.to.is_none()
            && rule.mark.is_none()
            && rule.tos.is_none()
            && rule.table.is_none()
        {
            r.error(
                f.spot,
                &path,
                "a rule needs something to go by",
                "add `from`, `to` or `mark`, and `table`",
            );
            continue;
        }
        out.push(rule);
    }
    out
}
