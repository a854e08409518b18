//! NWCS: one JSON document.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use serde_json::json;

use super::http::{Request, Response};
use super::{Log, Look, Provider, Scenario, network};

/// What `nwcs` means.
pub(super) static NWCS: Provider = Provider {
    name: "nwcs",
    about: "NWCS: metadata service",
    endpoints: &[(IpAddr::V4(Ipv4Addr::new(169, 254, 169, 254)), 80)],
    look: |_| Look {
        smbios: vec!["type=1,manufacturer=NWCS,product=vServer".to_owned()],
        ..Look::default()
    },
    respond,
};

fn respond(scenario: &Scenario, _called: SocketAddr, request: &Request, _log: &Log) -> Response {
    if !request.reads() {
        return Response::status(405);
    }
    if request.path != "/api/v1/metadata" {
        return Response::status(404);
    }
    let user_data = scenario.user_data.as_deref().unwrap_or_default();
    Response::json(&json!({
        "instance_id": scenario.instance_id_or("test-a4c1"),
        "hostname": scenario.hostname,
        "public-keys": scenario.ssh_keys,
        "userdata": String::from_utf8_lossy(user_data),
        "vendordata": "",
        "network": {
            "version": 1,
            "config": [{
                "type": "physical",
                "name": "eth0",
                "mac_address": network::mac_text(),
                "subnets": [{"type": "dhcp"}],
            }],
        },
    }))
}
