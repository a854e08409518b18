//! Apache CloudStack: the virtual router's service (it is also the DHCP server),
//! its password server, and the config drive.

use std::net::{IpAddr, SocketAddr};

use super::http::{Request, Response};
use super::iso::{self, File};
use super::tree::Tree;
use super::{GATEWAY, GUEST, Log, Look, Provider, Scenario, nothing};

pub(super) const PASSWORD_PORT: u16 = 8080;

/// User-data and metadata from the virtual router.
pub(super) static ROUTER: Provider = Provider {
    name: "cloudstack",
    about: "Apache CloudStack: virtual router and password server",
    endpoints: &[
        (IpAddr::V4(GATEWAY), 80),
        (IpAddr::V4(GATEWAY), PASSWORD_PORT),
    ],
    look: |_| Look {
        smbios: smbios(),
        ..Look::default()
    },
    respond,
};

/// User-data and metadata from a config drive; no router answers.
pub(super) static DRIVE: Provider = Provider {
    name: "cloudstack-configdrive",
    about: "Apache CloudStack: config drive",
    endpoints: &[],
    look: |scenario| Look {
        smbios: smbios(),
        cdroms: vec![drive(scenario)],
        ..Look::default()
    },
    respond: nothing,
};

fn smbios() -> Vec<String> {
    vec![
        "type=1,manufacturer=Apache Software Foundation,product=CloudStack KVM Hypervisor"
            .to_owned(),
    ]
}

fn instance_id(scenario: &Scenario) -> String {
    scenario.instance_id_or("9c1b9f8e-0d2c-4f0e-a6d4-3b8a4e6f5c21")
}

pub(super) fn values(scenario: &Scenario) -> Vec<(&'static str, String)> {
    let name = scenario.short_hostname().to_owned();
    vec![
        ("availability-zone", "zone1".to_owned()),
        (
            "cloud-identifier",
            "CloudStack-{5f6f2b63-2a2e-4e4b-8f67-3f0a3d2a4c10}".to_owned(),
        ),
        ("instance-id", instance_id(scenario)),
        ("local-hostname", name.clone()),
        ("local-ipv4", GUEST.to_string()),
        ("public-hostname", name),
        ("public-ipv4", GUEST.to_string()),
        // The text of the keys, unlike EC2.
        ("public-keys", scenario.key_lines()),
        ("service-offering", "Small Instance".to_owned()),
        ("vm-id", instance_id(scenario)),
    ]
}

fn respond(scenario: &Scenario, called: SocketAddr, request: &Request, log: &Log) -> Response {
    if called.port() == PASSWORD_PORT {
        return password(scenario, request, log);
    }
    if !request.reads() {
        return Response::status(405);
    }
    let mut tree = Tree::default();
    for (name, value) in values(scenario) {
        tree.file(format!("latest/meta-data/{name}"), value.clone());
        // The older layout has no `meta-data` directory.
        tree.file(format!("latest/{name}"), value);
    }
    // The router answers with an empty file when there is no user-data.
    tree.file(
        "latest/user-data",
        scenario.user_data.clone().unwrap_or_default(),
    );
    tree.get(&request.path)
        .map_or_else(|| Response::status(404), Response::bytes)
}

/// The password protocol: one header tells what is wanted.
pub(super) fn password(scenario: &Scenario, request: &Request, log: &Log) -> Response {
    const HEADER: &str = "domu_request";
    let saved = log.any(|e| {
        e.called.port() == PASSWORD_PORT && e.request.header(HEADER) == Some("saved_password")
    });
    match (request.header(HEADER), &scenario.password) {
        (Some("send_my_password"), Some(_)) if saved => Response::text("saved_password"),
        (Some("send_my_password"), Some(password)) => Response::text(password.as_bytes()),
        // Nothing was reset.
        (Some("send_my_password"), None) => Response::text("saved_password"),
        (Some("saved_password"), _) => Response::text("saved_password"),
        _ => Response::text("bad_request"),
    }
}

fn drive(scenario: &Scenario) -> Vec<u8> {
    let mut files = Vec::new();
    for (name, value) in values(scenario) {
        let name = name.replace('-', "_");
        files.push(File::new(&format!("cloudstack/metadata/{name}.txt"), value));
    }
    if let Some(data) = &scenario.user_data {
        files.push(File::new("cloudstack/userdata/user_data.txt", data.clone()));
    }
    if let Some(password) = &scenario.password {
        files.push(File::new(
            "cloudstack/password/vm_password.txt",
            password.clone(),
        ));
    }
    iso::image("config-2", &files)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(scenario: &Scenario, log: &Log, port: u16, request: &Request) -> String {
        let r = respond(scenario, SocketAddr::from((GATEWAY, port)), request, log);
        assert_eq!(r.status, 200, "{}", request.path);
        String::from_utf8(r.body).unwrap()
    }

    #[test]
    fn keys_are_plain() {
        let mut s = Scenario::new(&ROUTER);
        s.ssh_keys = vec![
            "ssh-ed25519 AAAA a".to_owned(),
            "ssh-ed25519 BBBB b\n".to_owned(),
        ];
        let log = Log::default();
        for path in ["/latest/meta-data/public-keys", "/latest/public-keys"] {
            assert_eq!(
                ask(&s, &log, 80, &Request::get(path)),
                "ssh-ed25519 AAAA a\nssh-ed25519 BBBB b\n"
            );
        }
        assert_eq!(ask(&s, &log, 80, &Request::get("/latest/user-data")), "");
        assert!(ask(&s, &log, 80, &Request::get("/latest/meta-data/")).contains("vm-id"));
    }

    #[test]
    fn password_is_sent_until_saved() {
        let mut s = Scenario::new(&ROUTER);
        s.password = Some("correct horse".to_owned());
        let log = Log::default();
        let service = super::super::Service::new(s, log);
        let ask = |what: &str| {
            let answer = service.respond(
                SocketAddr::from((GATEWAY, PASSWORD_PORT)),
                &Request::get("/").with("DomU_Request", what),
            );
            let text = String::from_utf8(answer.bytes).unwrap();
            text.split_once("\r\n\r\n").unwrap().1.to_owned()
        };
        assert_eq!(ask("send_my_password"), "correct horse");
        assert_eq!(ask("nonsense"), "bad_request");
        assert_eq!(ask("saved_password"), "saved_password");
        assert_eq!(ask("send_my_password"), "saved_password");
    }
}
