//! Scaleway: metadata for everybody, user-data for requests from privileged ports.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use serde_json::json;

use super::http::{Request, Response};
use super::{GUEST, Log, Look, Provider, Scenario};

/// What `scaleway` means.
pub(super) static SCALEWAY: Provider = Provider {
    name: "scaleway",
    about: "Scaleway: metadata service, user-data for privileged ports",
    endpoints: &[
        (IpAddr::V4(Ipv4Addr::new(169, 254, 42, 42)), 80),
        (
            IpAddr::V6(Ipv6Addr::new(0xfd00, 0x42, 0, 0, 0, 0, 0, 0x42)),
            80,
        ),
    ],
    look: |_| Look {
        smbios: vec![
            "type=1,manufacturer=Scaleway,product=SCW-DEV1-S,family=SCW-DEV1-S".to_owned(),
        ],
        ..Look::default()
    },
    respond,
};

/// The first port that anybody may send from.
const UNPRIVILEGED: u16 = 1024;

fn conf(scenario: &Scenario) -> serde_json::Value {
    let keys: Vec<_> = scenario
        .ssh_keys
        .iter()
        .map(|k| json!({"key": k, "fingerprint": "256 MD5:00:11 (ssh-ed25519)"}))
        .collect();
    let user_data: &[&str] = match scenario.user_data {
        Some(_) => &["cloud-init"],
        None => &[],
    };
    json!({
        "id": scenario.instance_id_or("5b9e2f1c-7d3a-4a60-9c7d-2f6f3c0f8c11"),
        "name": scenario.short_hostname(),
        "hostname": scenario.hostname,
        "commercial_type": "DEV1-S",
        "organization": "b3042271-f3c8-49f6-97b7-5f7f8b7e2d7a",
        "project": "b3042271-f3c8-49f6-97b7-5f7f8b7e2d7a",
        "public_ip": {"id": "c7a5ee55-3d9c-4bd4-8a3d-b6cb9b1d1f2c", "address": "203.0.113.84", "dynamic": false},
        "private_ip": GUEST.to_string(),
        "ipv6": null,
        "location": {"zone_id": "fr-par-1", "platform_id": "14", "hypervisor_id": "401", "node_id": "8"},
        "ssh_public_keys": keys,
        "tags": [],
        "timezone": "UTC",
        "state_detail": "booting",
        "user_data": user_data,
    })
}

fn respond(scenario: &Scenario, _called: SocketAddr, request: &Request, _log: &Log) -> Response {
    let reads = request.reads();
    match request.path.trim_end_matches('/') {
        "/conf" if reads && request.query == "format=json" => Response::json(&conf(scenario)),
        "/conf" if reads => Response::text(format!("ID={}\n", conf(scenario)["id"])),
        "/state" if request.method == "PATCH" => Response::status(200),
        "/state" => Response::status(405),
        "/user_data/cloud-init" | "/vendor_data/cloud-init"
            if request.port.is_some_and(|p| p >= UNPRIVILEGED) =>
        {
            Response::status(403)
        }
        "/user_data/cloud-init" if reads => match &scenario.user_data {
            Some(data) => Response::bytes(data.clone()),
            None => Response::status(404),
        },
        _ => Response::status(404),
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::ask;
    use super::*;

    #[test]
    fn user_data_is_for_privileged_ports() {
        let scenario = Scenario {
            user_data: Some(b"x".to_vec()),
            ..Scenario::new(&SCALEWAY)
        };
        let from = |port| Request {
            port: Some(port),
            ..Request::get("/user_data/cloud-init")
        };
        assert_eq!(ask(&scenario, &from(40000)).0, 403);
        assert_eq!(ask(&scenario, &from(1023)), (200, "x".into()));
        let conf = Request {
            query: "format=json".into(),
            ..Request::get("/conf")
        };
        assert!(ask(&scenario, &conf).1.contains("fr-par-1"));
    }
}
