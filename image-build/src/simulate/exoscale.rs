//! Exoscale: CloudStack's names below a version, and its password server, at the usual
//! address.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use super::cloudstack::{self, PASSWORD_PORT};
use super::http::{Request, Response};
use super::tree::Tree;
use super::{Log, Look, Provider, Scenario};

const ADDRESS: IpAddr = IpAddr::V4(Ipv4Addr::new(169, 254, 169, 254));

/// What `exoscale` means.
pub(super) static EXOSCALE: Provider = Provider {
    name: "exoscale",
    about: "Exoscale: metadata service and password server",
    endpoints: &[(ADDRESS, 80), (ADDRESS, PASSWORD_PORT)],
    look: |_| Look {
        smbios: vec!["type=1,manufacturer=Exoscale,product=Exoscale Compute Platform".to_owned()],
        ..Look::default()
    },
    respond,
};

fn respond(scenario: &Scenario, called: SocketAddr, request: &Request, log: &Log) -> Response {
    if called.port() == PASSWORD_PORT {
        return match request.path.trim_matches('/') {
            "1.0" => cloudstack::password(scenario, request, log),
            _ => Response::status(404),
        };
    }
    if !request.reads() {
        return Response::status(405);
    }
    let mut tree = Tree::default();
    for version in ["1.0", "latest"] {
        for (name, value) in cloudstack::values(scenario) {
            tree.file(format!("{version}/meta-data/{name}"), value);
        }
        if let Some(data) = &scenario.user_data {
            tree.file(format!("{version}/user-data"), data.clone());
        }
    }
    tree.get(&request.path)
        .map_or_else(|| Response::status(404), Response::bytes)
}
