//! OpenStack Nova: the metadata service and the config drive, which hold the same
//! tree.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use serde_json::json;

use super::ec2;
use super::http::{Request, Response};
use super::iso::{self, File};
use super::tree::Tree;
use super::{GATEWAY, GUEST, Log, Look, Provider, Scenario, network, nothing};

const ADDRESS: Ipv4Addr = Ipv4Addr::new(169, 254, 169, 254);

/// The metadata service.
pub(super) static SERVICE: Provider = Provider {
    name: "openstack",
    about: "OpenStack Nova: metadata service",
    endpoints: &[(IpAddr::V4(ADDRESS), 80)],
    look: |_| Look {
        smbios: smbios(),
        dhcp: vec![(121, routes())],
        ..Look::default()
    },
    respond,
};

/// The config drive; no service answers.
pub(super) static DRIVE: Provider = Provider {
    name: "openstack-configdrive",
    about: "OpenStack Nova: config drive",
    endpoints: &[],
    look: |scenario| Look {
        smbios: smbios(),
        cdroms: vec![drive(scenario)],
        ..Look::default()
    },
    respond: nothing,
};

const VERSIONS: &[&str] = &[
    "2012-08-10",
    "2013-04-04",
    "2013-10-17",
    "2015-10-15",
    "2016-06-30",
    "2016-10-06",
    "2017-02-22",
    "2018-08-27",
    "2020-10-14",
    "latest",
];

fn smbios() -> Vec<String> {
    vec![
        "type=1,manufacturer=OpenStack Foundation,product=OpenStack Nova,version=29.0.0,family=Virtual Machine"
            .to_owned(),
    ]
}

/// Classless static routes (RFC 3442): the metadata address and the default,
/// both through the router, as Neutron's DHCP sends them.
fn routes() -> Vec<u8> {
    let mut out = vec![32];
    out.extend_from_slice(&ADDRESS.octets());
    out.extend_from_slice(&GATEWAY.octets());
    out.push(0);
    out.extend_from_slice(&GATEWAY.octets());
    out
}

fn uuid(scenario: &Scenario) -> String {
    scenario.instance_id_or("83679162-1378-4288-a2d4-70e13ec132aa")
}

/// Files below `openstack/<version>/`.
pub(super) fn files(scenario: &Scenario) -> Vec<(&'static str, Vec<u8>)> {
    let keys: Vec<(String, &str)> = scenario
        .ssh_keys
        .iter()
        .enumerate()
        .map(|(n, k)| (format!("key{n}"), k.trim_end()))
        .collect();
    let mut meta = json!({
        "availability_zone": "nova",
        "hostname": scenario.hostname,
        "launch_index": 0,
        "name": scenario.short_hostname(),
        "project_id": "f7ac731cc11f40efbc03a9f9e1d1d21f",
        "uuid": uuid(scenario),
        "keys": keys.iter().map(|(n, k)| json!({"name": n, "type": "ssh", "data": format!("{k}\n")})).collect::<Vec<_>>(),
        "public_keys": keys.iter().map(|(n, k)| (n.clone(), json!(format!("{k}\n")))).collect::<serde_json::Map<_, _>>(),
    });
    if let Some(password) = &scenario.password {
        meta["admin_pass"] = json!(password);
    }
    let network = json!({
        "links": [{"id": "tap0", "type": "bridge", "ethernet_mac_address": network::mac_text(), "mtu": 1500}],
        "networks": [{"id": "network0", "link": "tap0", "type": "ipv4_dhcp", "network_id": "da5bb487-5193-4a65-a3df-4a0055a8c0d7"}],
        "services": [],
    });
    let mut out = vec![
        ("meta_data.json", meta.to_string().into_bytes()),
        ("network_data.json", network.to_string().into_bytes()),
        ("vendor_data.json", b"{}".to_vec()),
        ("vendor_data2.json", b"{}".to_vec()),
    ];
    if let Some(data) = &scenario.user_data {
        out.push(("user_data", data.clone()));
    }
    out
}

fn respond(scenario: &Scenario, _called: SocketAddr, request: &Request, _log: &Log) -> Response {
    let path = request.path.trim_matches('/');
    // The guest may hand its password over, once per machine.
    if path == "openstack/2013-04-04/password" && request.method == "POST" {
        return Response::text("");
    }
    if !request.reads() {
        return Response::status(405);
    }
    let mut tree = Tree::default();
    for version in VERSIONS {
        for (name, value) in files(scenario) {
            tree.file(format!("openstack/{version}/{name}"), value);
        }
    }
    tree.listing("openstack", VERSIONS.join("\n"));
    if let Some(value) = tree.get(path).filter(|_| path.starts_with("openstack")) {
        return if path.ends_with(".json") {
            Response {
                content_type: "application/json",
                ..Response::bytes(value)
            }
        } else {
            Response::text(value)
        };
    }
    ec2_api(scenario, path)
}

/// Nova's imitation of EC2's service, without tokens.
fn ec2_api(scenario: &Scenario, path: &str) -> Response {
    const EC2_VERSIONS: &[&str] = &[
        "1.0",
        "2007-01-19",
        "2007-03-01",
        "2007-08-29",
        "2007-10-10",
        "2007-12-15",
        "2008-02-01",
        "2008-09-01",
        "2009-04-04",
        "latest",
    ];
    if path.is_empty() {
        return Response::text(EC2_VERSIONS.join("\n"));
    }
    let (version, rest) = path.split_once('/').unwrap_or((path, ""));
    if !EC2_VERSIONS.contains(&version) {
        return Response::status(404);
    }
    let mut tree = Tree::default();
    for (name, value) in [
        ("ami-id", "None".to_owned()),
        ("ami-launch-index", "0".to_owned()),
        ("hostname", scenario.hostname.clone()),
        ("instance-id", "i-00000001".to_owned()),
        ("instance-type", "m1.small".to_owned()),
        ("local-hostname", scenario.hostname.clone()),
        ("local-ipv4", GUEST.to_string()),
        ("placement/availability-zone", "nova".to_owned()),
        ("public-hostname", scenario.hostname.clone()),
        ("public-ipv4", String::new()),
    ] {
        tree.file(format!("meta-data/{name}"), value);
    }
    ec2::public_keys(&mut tree, scenario);
    if let Some(data) = &scenario.user_data {
        tree.file("user-data", data.clone());
    }
    tree.get(rest)
        .map_or_else(|| Response::status(404), Response::text)
}

/// The image of the drive.
pub(super) fn drive(scenario: &Scenario) -> Vec<u8> {
    let mut out = Vec::new();
    for version in VERSIONS {
        for (name, value) in files(scenario) {
            out.push(File::new(&format!("openstack/{version}/{name}"), value));
        }
    }
    iso::image("config-2", &out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(path: &str) -> (u16, String) {
        let scenario = Scenario {
            user_data: Some(b"x".to_vec()),
            ssh_keys: vec!["ssh-ed25519 AAAA a".to_owned()],
            ..Scenario::new(&SERVICE)
        };
        let r = respond(
            &scenario,
            SocketAddr::from((ADDRESS, 80)),
            &Request::get(path),
            &Log::default(),
        );
        (r.status, String::from_utf8(r.body).unwrap())
    }

    #[test]
    fn both_trees_answer() {
        assert_eq!(ask("/openstack/latest/user_data").1, "x");
        assert_eq!(ask("/latest/user-data").1, "x");
        assert_eq!(ask("/2009-04-04/meta-data/public-keys").1, "0=key0");
        assert!(ask("/openstack/").1.ends_with("latest"));
        assert_eq!(ask("/openstack/2010-01-01/meta_data.json").0, 404);
        let meta: serde_json::Value =
            serde_json::from_str(&ask("/openstack/latest/meta_data.json").1).unwrap();
        assert_eq!(meta["public_keys"]["key0"], "ssh-ed25519 AAAA a\n");
    }

    #[test]
    fn route_option_is_rfc_3442() {
        assert_eq!(
            routes(),
            [32, 169, 254, 169, 254, 10, 0, 2, 2, 0, 10, 0, 2, 2]
        );
    }
}
