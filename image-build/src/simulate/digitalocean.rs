//! DigitalOcean: the metadata service.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use serde_json::{Value, json};

use super::http::{Request, Response};
use super::{DNS, GATEWAY, GUEST, Log, Look, NETMASK, Provider, Scenario, network};

/// What `digitalocean` means.
pub(super) static DIGITALOCEAN: Provider = Provider {
    name: "digitalocean",
    about: "DigitalOcean: metadata service with static addresses",
    endpoints: &[(IpAddr::V4(Ipv4Addr::new(169, 254, 169, 254)), 80)],
    look: |scenario| Look {
        smbios: vec![format!(
            "type=1,manufacturer=DigitalOcean,product=Droplet,serial={}",
            droplet(scenario)
        )],
        ..Look::default()
    },
    respond,
};

fn droplet(scenario: &Scenario) -> u64 {
    scenario
        .instance_id_or("2756294")
        .parse()
        .unwrap_or(2_756_294)
}

fn all(scenario: &Scenario) -> Value {
    let mut all = json!({
        "droplet_id": droplet(scenario),
        "hostname": scenario.hostname,
        "vendor_data": "#cloud-config\n",
        "public_keys": scenario.ssh_keys.iter().map(|k| k.trim_end()).collect::<Vec<_>>(),
        "region": "nyc3",
        "interfaces": {
            "private": [],
            "public": [{
                "ipv4": {
                    "ip_address": GUEST.to_string(),
                    "netmask": NETMASK.to_string(),
                    "gateway": GATEWAY.to_string(),
                },
                "mac": network::mac_text(),
                "type": "public",
            }],
        },
        "floating_ip": {"ipv4": {"active": false}},
        "reserved_ip": {"ipv4": {"active": false}},
        "dns": {"nameservers": [DNS.to_string()]},
        "features": {"dhcp_enabled": false},
        "tags": [],
    });
    if let Some(data) = &scenario.user_data {
        all["user_data"] = json!(String::from_utf8_lossy(data));
    }
    all
}

fn respond(scenario: &Scenario, _: SocketAddr, request: &Request, _: &Log) -> Response {
    if !request.reads() {
        return Response::status(405);
    }
    match request.path.trim_end_matches('/') {
        "/metadata/v1.json" => Response::json(&all(scenario)),
        "/metadata/v1/user-data" => Response::bytes(scenario.user_data.clone().unwrap_or_default()),
        "/metadata/v1/id" => Response::text(droplet(scenario).to_string()),
        "/metadata/v1/hostname" => Response::text(scenario.hostname.clone()),
        "/metadata/v1/public-keys" => Response::text(scenario.key_lines()),
        "/metadata/v1/region" => Response::text("nyc3"),
        "/metadata/v1" => Response::text(
            "id\nhostname\nuser-data\nvendor-data\npublic-keys\nregion\ninterfaces/\ndns/\n",
        ),
        _ => Response::status(404),
    }
}
