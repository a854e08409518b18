//! UpCloud: one JSON document.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use serde_json::{Value, json};

use super::http::{Request, Response};
use super::{DNS, GATEWAY, GUEST, Log, Look, Provider, Scenario, network};

/// What `upcloud` means.
pub(super) static UPCLOUD: Provider = Provider {
    name: "upcloud",
    about: "UpCloud: metadata service",
    endpoints: &[(IpAddr::V4(Ipv4Addr::new(169, 254, 169, 254)), 80)],
    look: |scenario| Look {
        smbios: vec![format!(
            "type=1,manufacturer=UpCloud,product=server,serial={}",
            instance_id(scenario)
        )],
        ..Look::default()
    },
    respond,
};

fn instance_id(scenario: &Scenario) -> String {
    scenario.instance_id_or("00322b68-0096-4042-9406-faad61922128")
}

fn all(scenario: &Scenario) -> Value {
    let user_data = scenario.user_data.as_deref().unwrap_or_default();
    json!({
        "cloud_name": "upcloud",
        "instance_id": instance_id(scenario),
        "hostname": scenario.hostname,
        "platform": "servers",
        "subplatform": "metadata (http://169.254.169.254)",
        "public_keys": scenario.ssh_keys,
        "region": "fi-hel2",
        "network": {
            "interfaces": [{
                "index": 1,
                "ip_addresses": [{
                    "address": GUEST.to_string(),
                    "dhcp": true,
                    "dns": [DNS.to_string()],
                    "family": "IPv4",
                    "floating": false,
                    "gateway": GATEWAY.to_string(),
                    "network": "10.0.2.0/24",
                }],
                "mac": network::mac_text(),
                "network_id": "031457f4-0f8c-483c-96f2-eccede02909c",
                "type": "public",
            }],
            "dns": [DNS.to_string()],
        },
        "storage": {"disks": []},
        "tags": [],
        "user_data": String::from_utf8_lossy(user_data),
        "vendor_data": "",
    })
}

fn respond(scenario: &Scenario, _called: SocketAddr, request: &Request, _log: &Log) -> Response {
    if !request.reads() {
        return Response::status(405);
    }
    match request.path.as_str() {
        "/metadata/v1.json" => Response::json(&all(scenario)),
        "/metadata/v1/instance_id" => Response::text(instance_id(scenario)),
        "/metadata/v1/hostname" => Response::text(scenario.hostname.as_bytes()),
        "/metadata/v1/public_keys" => Response::text(scenario.key_lines()),
        "/metadata/v1/user_data" => Response::text(scenario.user_data.clone().unwrap_or_default()),
        _ => Response::status(404),
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::ask;
    use super::*;

    #[test]
    fn the_document_has_everything() {
        let scenario = Scenario {
            user_data: Some(b"#cloud-config\n".to_vec()),
            ..Scenario::new(&UPCLOUD)
        };
        let (_, text) = ask(&scenario, &Request::get("/metadata/v1.json"));
        let value: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value["user_data"], "#cloud-config\n");
        assert_eq!(ask(&scenario, &Request::get("/metadata/v2.json")).0, 404);
    }
}
