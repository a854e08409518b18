//! Google Compute Engine: the metadata server.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use serde_json::{Value, json};

use super::http::{Request, Response};
use super::{GATEWAY, GUEST, Log, Look, NETMASK, Provider, Scenario, network};

/// What `gce` means.
pub(super) static GCE: Provider = Provider {
    name: "gce",
    about: "Google Compute Engine: metadata server that demands its header",
    endpoints: &[(IpAddr::V4(Ipv4Addr::new(169, 254, 169, 254)), 80)],
    look,
    respond,
};

const FLAVOR: &str = "Metadata-Flavor";
const BASE: &str = "/computeMetadata/v1";
const ETAG: &str = "411261ca6c9e647e";

fn look(_: &Scenario) -> Look {
    Look {
        smbios: vec![
            "type=0,vendor=Google,version=Google,date=01/01/2026".to_owned(),
            "type=1,manufacturer=Google,product=Google Compute Engine,serial=GoogleCloud-0123456789ABCDEF0123456789ABCDEF"
                .to_owned(),
        ],
        // As on the real network.
        dhcp: vec![(26, 1460u16.to_be_bytes().to_vec())],
        cdroms: Vec::new(),
    }
}

fn instance_id(scenario: &Scenario) -> Value {
    let id = scenario.instance_id_or("3186214365187046401");
    id.parse::<u64>().map_or(json!(id), |number| json!(number))
}

fn all(scenario: &Scenario) -> Value {
    let mut attributes = json!({"enable-guest-attributes": "TRUE"});
    // Half of the keys are the machine's, half the project's.
    let (own, project): (Vec<_>, Vec<_>) = scenario
        .ssh_keys
        .iter()
        .enumerate()
        .partition(|(n, _)| n % 2 == 0);
    let lines = |keys: &[(usize, &String)]| {
        let line = |(_, key): &(usize, &String)| format!("core:{}", key.trim_end());
        keys.iter().map(line).collect::<Vec<_>>().join("\n")
    };
    attributes["ssh-keys"] = json!(lines(&own));
    if let Some(data) = &scenario.user_data {
        match std::str::from_utf8(data) {
            Ok(text) => attributes["user-data"] = json!(text),
            Err(_) => {
                use base64::Engine as _;
                let text = base64::engine::general_purpose::STANDARD.encode(data);
                attributes["user-data"] = json!(text);
                attributes["user-data-encoding"] = json!("base64");
            }
        }
    }
    json!({
        "instance": {
            "attributes": attributes,
            "hostname": scenario.hostname,
            "id": instance_id(scenario),
            "image": "projects/shop-1/global/images/holdfast",
            "machineType": "projects/123456/machineTypes/e2-small",
            "name": scenario.short_hostname(),
            "networkInterfaces": [{
                "accessConfigs": [{"externalIp": "203.0.113.25", "type": "ONE_TO_ONE_NAT"}],
                "dnsServers": ["169.254.169.254"],
                "gateway": GATEWAY.to_string(),
                "ip": GUEST.to_string(),
                "mac": network::mac_text(),
                "mtu": 1460,
                "subnetmask": NETMASK.to_string(),
            }],
            "tags": [],
            "zone": "projects/123456/zones/europe-west1-b",
        },
        "project": {
            "attributes": {"ssh-keys": lines(&project)},
            "numericProjectId": 123_456,
            "projectId": "shop-1",
        },
    })
}

fn respond(scenario: &Scenario, _: SocketAddr, request: &Request, _: &Log) -> Response {
    let answer = answer(scenario, request);
    answer.with(FLAVOR, "Google").with("ETag", ETAG)
}

fn answer(scenario: &Scenario, request: &Request) -> Response {
    let flavored = request.header("metadata-flavor") == Some("Google");
    // The real service refuses requests that came through a proxy.
    if !flavored || request.header("x-forwarded-for").is_some() {
        return Response::status(403);
    }
    let Some(path) = request.path.strip_prefix(BASE) else {
        return Response::status(404);
    };
    let path: Vec<&str> = path.split('/').filter(|p| !p.is_empty()).collect();
    if request.method == "PUT" {
        return match path.as_slice() {
            ["instance", "guest-attributes", _, _] => Response::text(""),
            _ => Response::status(405),
        };
    }
    if !request.reads() {
        return Response::status(405);
    }
    let mut value = &all(scenario);
    for name in &path {
        // Single values are asked for with dashes, and shown whole with capitals.
        let name = if path.contains(&"attributes") {
            (*name).to_owned()
        } else {
            camel(name)
        };
        let next = match value {
            Value::Array(items) => name.parse().ok().and_then(|n: usize| items.get(n)),
            value => value.get(&name),
        };
        match next {
            Some(next) => value = next,
            None => return Response::status(404),
        }
    }
    match value {
        Value::Object(_) | Value::Array(_) if request.query.contains("recursive=true") => {
            Response::json(value)
        }
        Value::Object(map) => {
            Response::text(map.keys().map(|k| format!("{k}\n")).collect::<String>())
        }
        Value::Array(items) => Response::text(
            (0..items.len())
                .map(|n| format!("{n}/\n"))
                .collect::<String>(),
        ),
        Value::String(text) => Response::text(text.clone()),
        other => Response::text(other.to_string()),
    }
}

/// `network-interfaces` -> `networkInterfaces`.
fn camel(name: &str) -> String {
    let mut words = name.split('-');
    let first = words.next().unwrap_or_default().to_owned();
    words.fold(first, |all, word| {
        let (head, tail) = word.split_at(word.ceil_char_boundary(1));
        all + &head.to_uppercase() + tail
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(request: Request) -> (u16, String) {
        let mut scenario = Scenario::new(&GCE);
        scenario.ssh_keys = vec!["ssh-ed25519 AAAA a".into(), "ssh-ed25519 BBBB b".into()];
        let called = SocketAddr::from((Ipv4Addr::new(169, 254, 169, 254), 80));
        let r = respond(&scenario, called, &request, &Log::default());
        (r.status, String::from_utf8(r.body).unwrap())
    }

    fn flavored(path: &str) -> Request {
        Request::get(path).with(FLAVOR, "Google")
    }

    #[test]
    fn header_is_demanded() {
        let path = "/computeMetadata/v1/instance/hostname";
        assert_eq!(ask(Request::get(path)).0, 403);
        assert_eq!(
            ask(flavored(path).with("X-Forwarded-For", "10.0.0.1")).0,
            403
        );
        assert_eq!(ask(flavored(path)), (200, "holdfast".to_owned()));
        assert_eq!(
            ask(flavored(
                "/computeMetadata/v1/instance/attributes/user-data"
            ))
            .0,
            404
        );
        let ip = "/computeMetadata/v1/instance/network-interfaces/0/ip";
        assert_eq!(ask(flavored(ip)).1, "10.0.2.15");
        let keys = "/computeMetadata/v1/project/attributes/ssh-keys";
        assert_eq!(ask(flavored(keys)).1, "core:ssh-ed25519 BBBB b");
    }
}
