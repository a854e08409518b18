//! Akamai's Compute (Linode): JSON behind a token.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use super::http::{Request, Response};
use super::{GUEST, Log, Look, Provider, Scenario};

/// What `akamai` means.
pub(super) static AKAMAI: Provider = Provider {
    name: "akamai",
    about: "Akamai (Linode): metadata service with tokens",
    endpoints: &[
        (IpAddr::V4(Ipv4Addr::new(169, 254, 169, 254)), 80),
        (
            IpAddr::V6(Ipv6Addr::new(0xfd00, 0xa9fe, 0xa9fe, 0, 0, 0, 0, 1)),
            80,
        ),
    ],
    look: |_| Look {
        smbios: vec!["type=1,manufacturer=Akamai,product=Compute Instance".to_owned()],
        ..Look::default()
    },
    respond,
};

/// Longest lifetime of a token, in seconds.
const MAX_TTL: u32 = 86400;

fn token(scenario: &Scenario) -> String {
    format!("{:0>64}", scenario.instance_id_or("60413482"))
}

fn respond(scenario: &Scenario, _called: SocketAddr, request: &Request, _log: &Log) -> Response {
    if request.path == "/v1/token" {
        if request.method != "PUT" {
            return Response::status(405);
        }
        let ttl = request.header("metadata-token-expiry-seconds");
        return match ttl.and_then(|t| t.parse().ok()) {
            Some(ttl) if (1..=MAX_TTL).contains(&ttl) => Response::text(token(scenario)),
            _ => Response::status(400),
        };
    }
    if !request.reads() {
        return Response::status(405);
    }
    if request.header("metadata-token") != Some(&token(scenario)) {
        return Response::status(401);
    }
    let value = match request.path.as_str() {
        "/v1/instance" => json!({
            "id": scenario.instance_id_or("60413482").parse::<u64>().unwrap_or(1),
            "host_uuid": "a631b16d14534d84e2830da16d1b28e1d08d24df",
            "label": scenario.short_hostname(),
            "region": "fr-par",
            "type": "g6-standard-1",
            "tags": [],
            "specs": {"vcpus": 1, "memory": 2048, "gpus": 0, "transfer": 2000, "disk": 51200},
            "backups": {"enabled": false, "status": null},
        }),
        "/v1/ssh-keys" => json!({"users": {"root": scenario.ssh_keys}}),
        "/v1/network" => json!({
            "interfaces": [],
            "ipv4": {"public": [format!("{GUEST}/32")], "private": [], "shared": []},
            "ipv6": {
                "slaac": "2001:db8::f03c:94ff:fe12:3456/128",
                "ranges": [],
                "link_local": "fe80::f03c:94ff:fe12:3456/128",
                "shared_ranges": [],
            },
        }),
        "/v1/user-data" => {
            return match &scenario.user_data {
                Some(data) => Response::text(STANDARD.encode(data)),
                None => Response::status(404),
            };
        }
        _ => return Response::status(404),
    };
    // Without it, the answer is lines of `name: value`.
    if request.header("accept") != Some("application/json") {
        return Response::text(lines("", &value));
    }
    Response::json(&value)
}

/// `specs.vcpus: 1`.
fn lines(prefix: &str, value: &serde_json::Value) -> String {
    let Some(map) = value.as_object() else {
        return format!("{prefix}: {value}\n");
    };
    map.iter()
        .map(|(name, value)| match prefix {
            "" => lines(name, value),
            _ => lines(&format!("{prefix}.{name}"), value),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::testing::{ask, put};
    use super::*;

    #[test]
    fn token_and_format_are_demanded() {
        let scenario = Scenario {
            user_data: Some(b"#cloud-config\n".to_vec()),
            ..Scenario::new(&AKAMAI)
        };
        assert_eq!(ask(&scenario, &Request::get("/v1/instance")).0, 401);
        assert_eq!(ask(&scenario, &put("/v1/token")).0, 400);
        let (_, token) = ask(
            &scenario,
            &put("/v1/token").with("Metadata-Token-Expiry-Seconds", "300"),
        );
        let get = |path: &str| Request::get(path).with("Metadata-Token", &token);
        let json = ask(
            &scenario,
            &get("/v1/instance").with("Accept", "application/json"),
        );
        assert!(json.1.starts_with('{'), "{}", json.1);
        let plain = ask(&scenario, &get("/v1/instance")).1;
        assert!(plain.contains("specs.vcpus: 1\n"), "{plain}");
        assert_eq!(
            ask(&scenario, &get("/v1/user-data")).1,
            "I2Nsb3VkLWNvbmZpZwo="
        );
    }
}
