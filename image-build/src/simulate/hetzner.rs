//! Hetzner Cloud: metadata in one YAML document, user-data beside it.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use serde_json::json;

use super::http::{Request, Response};
use super::{Log, Look, Provider, Scenario, network};

/// What `hetzner` means.
pub(super) static HETZNER: Provider = Provider {
    name: "hetzner",
    about: "Hetzner Cloud: metadata service",
    endpoints: &[(IpAddr::V4(Ipv4Addr::new(169, 254, 169, 254)), 80)],
    look: |scenario| Look {
        smbios: vec![format!(
            "type=1,manufacturer=Hetzner,product=vServer,version=20171111,serial={},family=Hetzner_vServer",
            instance_id(scenario)
        )],
        ..Look::default()
    },
    respond,
};

fn instance_id(scenario: &Scenario) -> String {
    scenario.instance_id_or("48270917")
}

/// The real one is YAML; JSON is YAML that needs no quoting rules. Keys of the first
/// level are on lines of their own, as there.
fn metadata(scenario: &Scenario) -> String {
    let fields = [
        ("availability-zone", json!("fsn1-dc14")),
        ("hostname", json!(scenario.hostname)),
        (
            "instance-id",
            json!(instance_id(scenario).parse::<u64>().unwrap_or(1)),
        ),
        ("local-ipv4", json!("")),
        (
            "network-config",
            json!({
                "version": 1,
                "config": [{
                    "type": "physical",
                    "name": "eth0",
                    "mac_address": network::mac_text(),
                    "subnets": [
                        {"type": "dhcp", "ipv4": true, "dns_nameservers": ["185.12.64.1", "185.12.64.2"]},
                        {"type": "static", "ipv6": true, "address": "2001:db8:c17:2::1/64", "gateway": "fe80::1"},
                    ],
                }],
            }),
        ),
        ("public-ipv4", json!("203.0.113.62")),
        ("public-keys", json!(scenario.ssh_keys)),
        ("region", json!("eu-central")),
        ("vendor_data", json!("")),
    ];
    fields
        .map(|(name, value)| format!("{name}: {value}\n"))
        .concat()
}

fn respond(scenario: &Scenario, _called: SocketAddr, request: &Request, _log: &Log) -> Response {
    if !request.reads() {
        return Response::status(405);
    }
    match request.path.trim_end_matches('/') {
        "/hetzner/v1/metadata" => Response::text(metadata(scenario)),
        "/hetzner/v1/metadata/instance-id" => Response::text(instance_id(scenario)),
        "/hetzner/v1/metadata/hostname" => Response::text(scenario.hostname.as_bytes()),
        "/hetzner/v1/metadata/private-networks" => Response::text("[]\n"),
        "/hetzner/v1/userdata" => match &scenario.user_data {
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
    fn documents() {
        let scenario = Scenario {
            user_data: Some(b"x".to_vec()),
            ..Scenario::new(&HETZNER)
        };
        let (status, text) = ask(&scenario, &Request::get("/hetzner/v1/metadata"));
        assert!(
            status == 200 && text.contains("\ninstance-id: 48270917\n"),
            "{text}"
        );
        assert_eq!(
            ask(&scenario, &Request::get("/hetzner/v1/userdata")),
            (200, "x".into())
        );
        assert_eq!(
            ask(
                &Scenario::new(&HETZNER),
                &Request::get("/hetzner/v1/userdata")
            )
            .0,
            404
        );
    }
}
