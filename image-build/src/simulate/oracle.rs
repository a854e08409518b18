//! Oracle Cloud Infrastructure: version 2 of its service wants a header, version 1 does
//! not.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::http::{Request, Response};
use super::{GATEWAY, GUEST, Log, Look, Provider, Scenario, Tokens, network};

/// What `oracle` means.
pub(super) static ORACLE: Provider = Provider {
    name: "oracle",
    about: "Oracle Cloud: metadata service, versions 1 and 2",
    endpoints: &[
        (IpAddr::V4(Ipv4Addr::new(169, 254, 169, 254)), 80),
        (
            IpAddr::V6(Ipv6Addr::new(0xfd00, 0xc1, 0, 0, 0, 0, 0xa9fe, 0xa9fe)),
            80,
        ),
    ],
    look: |_| Look {
        smbios: vec![
            "type=1,manufacturer=QEMU,product=Standard PC".to_owned(),
            "type=3,manufacturer=QEMU,asset=OracleCloud.com".to_owned(),
        ],
        // Its network takes large packets.
        dhcp: vec![(26, 9000u16.to_be_bytes().to_vec())],
        ..Look::default()
    },
    respond,
};

fn instance(scenario: &Scenario) -> Value {
    let mut user = json!({"ssh_authorized_keys": scenario.key_lines()});
    if let Some(data) = &scenario.user_data {
        user["user_data"] = json!(STANDARD.encode(data));
    }
    json!({
        "availabilityDomain": "EMIr:EU-FRANKFURT-1-AD-1",
        "faultDomain": "FAULT-DOMAIN-3",
        "compartmentId": "ocid1.tenancy.oc1..aaaaaaaaexample",
        "displayName": scenario.short_hostname(),
        "hostname": scenario.hostname,
        "id": scenario.instance_id_or("ocid1.instance.oc1.eu-frankfurt-1.antheljsexample"),
        "image": "ocid1.image.oc1.eu-frankfurt-1.aaaaaaaaexample",
        "metadata": user,
        "region": "eu-frankfurt-1",
        "canonicalRegionName": "eu-frankfurt-1",
        "ociAdName": "eu-frankfurt-1-ad-1",
        "shape": "VM.Standard.E4.Flex",
        "state": "Running",
        "timeCreated": 1_600_381_928_581_u64,
    })
}

fn vnics() -> Value {
    json!([{
        "vnicId": "ocid1.vnic.oc1.eu-frankfurt-1.abtheljtexample",
        "privateIp": GUEST.to_string(),
        "vlanTag": 1039,
        "macAddr": network::mac_text(),
        "virtualRouterIp": GATEWAY.to_string(),
        "subnetCidrBlock": "10.0.2.0/24",
    }])
}

fn respond(scenario: &Scenario, _called: SocketAddr, request: &Request, _log: &Log) -> Response {
    if !request.reads() {
        return Response::status(405);
    }
    let path = request.path.trim_end_matches('/');
    let rest = match (path.strip_prefix("/opc/v2"), path.strip_prefix("/opc/v1")) {
        // Instances from before it was there.
        (Some(_), _) if scenario.tokens == Tokens::Unknown => return Response::status(404),
        (Some(_), _) if request.header("authorization") != Some("Bearer Oracle") => {
            return Response::status(403);
        }
        // Switched off by whoever takes care.
        (None, Some(_)) if scenario.tokens == Tokens::Required => return Response::status(404),
        (Some(rest), _) | (_, Some(rest)) => rest,
        _ => return Response::status(404),
    };
    let instance = instance(scenario);
    match rest {
        "/instance" => Response::json(&instance),
        "/vnics" => Response::json(&vnics()),
        _ => {
            let pointer = rest.strip_prefix("/instance").map(|p| instance.pointer(p));
            match pointer.flatten() {
                Some(Value::String(text)) => Response::text(text.as_bytes()),
                Some(value) => Response::json(value),
                None => Response::status(404),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::ask;
    use super::*;

    #[test]
    fn versions_and_header() {
        let mut scenario = Scenario::new(&ORACLE);
        let two = Request::get("/opc/v2/instance/");
        let one = Request::get("/opc/v1/instance/");
        let right = two.clone().with("Authorization", "Bearer Oracle");
        let mut statuses = |tokens| {
            scenario.tokens = tokens;
            [&two, &right, &one].map(|r| ask(&scenario, r).0)
        };
        assert_eq!(statuses(Tokens::Required), [403, 200, 404]);
        assert_eq!(statuses(Tokens::Optional), [403, 200, 200]);
        assert_eq!(statuses(Tokens::Unknown), [404, 404, 200]);
        let value = Request::get("/opc/v1/instance/metadata/ssh_authorized_keys");
        assert_eq!(ask(&scenario, &value).0, 200);
    }
}
