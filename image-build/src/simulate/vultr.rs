//! Vultr: one JSON document, and a path for each value.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use serde_json::{Value, json};

use super::http::{Request, Response};
use super::{GATEWAY, GUEST, Log, Look, NETMASK, Provider, Scenario, network};

/// What `vultr` means.
pub(super) static VULTR: Provider = Provider {
    name: "vultr",
    about: "Vultr: metadata service",
    endpoints: &[(IpAddr::V4(Ipv4Addr::new(169, 254, 169, 254)), 80)],
    look: |_| Look {
        smbios: vec!["type=1,manufacturer=Vultr,product=VC2".to_owned()],
        ..Look::default()
    },
    respond,
};

fn instance_id(scenario: &Scenario) -> String {
    scenario.instance_id_or("29bea708-2e6e-480a-90ad-0e6b5d5ad62f")
}

fn all(scenario: &Scenario, agent: bool) -> Value {
    let mut value = json!({
        "bgp": {"ipv4": {"my-address": "", "my-asn": "", "peer-address": "", "peer-asn": ""}},
        "hostname": scenario.hostname,
        "instance-v2-id": instance_id(scenario),
        "instanceid": "42872224",
        "interfaces": [{
            "ipv4": {
                "additional": [],
                "address": GUEST.to_string(),
                "gateway": GATEWAY.to_string(),
                "netmask": NETMASK.to_string(),
            },
            "ipv6": {
                "additional": [],
                "address": "2001:db8:5:28a7::64",
                "network": "2001:db8:5:28a7::",
                "prefix": "64",
            },
            "mac": network::mac_text(),
            "network-type": "public",
        }],
        "public-keys": scenario.ssh_keys,
        "region": {"countrycode": "US", "regioncode": "EWR"},
        "user-defined": [],
    });
    if agent {
        value["vendor-data"] = json!([]);
    }
    value
}

fn respond(scenario: &Scenario, _called: SocketAddr, request: &Request, _log: &Log) -> Response {
    if !request.reads() {
        return Response::status(405);
    }
    let agent = request.header("metadata-token") == Some("cloudinit");
    match request.path.as_str() {
        "/v1.json" => Response::json(&all(scenario, agent)),
        "/v1/hostname" => Response::text(scenario.hostname.as_bytes()),
        "/v1/instanceid" => Response::text("42872224"),
        "/v1/instance-v2-id" => Response::text(instance_id(scenario)),
        "/v1/public-keys" => Response::text(scenario.key_lines()),
        "/v1/region/regioncode" => Response::text("EWR"),
        "/user-data/user-data" => match &scenario.user_data {
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
    fn vendor_data_is_for_agents() {
        let scenario = Scenario::new(&VULTR);
        let plain = Request::get("/v1.json");
        assert!(!ask(&scenario, &plain).1.contains("vendor-data"));
        let agent = plain.with("Metadata-Token", "cloudinit");
        assert!(ask(&scenario, &agent).1.contains("vendor-data"));
        assert_eq!(ask(&scenario, &Request::get("/user-data/user-data")).0, 404);
    }
}
