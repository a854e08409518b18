//! Amazon EC2: the instance metadata service, versions 1 and 2.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use serde_json::json;

use super::http::{Request, Response};
use super::tree::Tree;
use super::{GUEST, Log, Look, Provider, Scenario, Tokens, network};

/// What `ec2` means.
pub(super) static EC2: Provider = Provider {
    name: "ec2",
    about: "Amazon EC2: metadata service with session tokens",
    endpoints: &[
        (IpAddr::V4(Ipv4Addr::new(169, 254, 169, 254)), 80),
        (
            IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254)),
            80,
        ),
    ],
    look,
    respond,
};

/// API versions the real service lists, oldest first.
pub(super) const VERSIONS: &[&str] = &[
    "1.0",
    "2007-01-19",
    "2007-03-01",
    "2007-08-29",
    "2007-10-10",
    "2007-12-15",
    "2008-02-01",
    "2008-09-01",
    "2009-04-04",
    "2011-01-01",
    "2011-05-01",
    "2012-01-12",
    "2014-02-25",
    "2014-11-05",
    "2015-10-20",
    "2016-04-19",
    "2016-06-30",
    "2016-09-02",
    "2018-03-28",
    "2018-08-17",
    "2018-09-24",
    "2019-10-01",
    "2020-10-27",
    "2021-01-03",
    "2021-03-23",
    "2021-07-15",
    "2022-09-24",
    "2024-04-11",
    "latest",
];
/// The real service accepts at most this for a token, in seconds.
const MAX_TTL: u32 = 21600;
const PUBLIC_IP: &str = "203.0.113.25";

fn look(scenario: &Scenario) -> Look {
    // The id's digits, so that two machines differ as real ones do.
    let id: String = instance_id(scenario)
        .chars()
        .filter(char::is_ascii_hexdigit)
        .chain("0".repeat(12).chars())
        .take(12)
        .collect();
    let uuid = format!("ec2e1916-9099-7caf-fd21-{id}");
    Look {
        smbios: vec![
            "type=0,vendor=Amazon EC2,version=1.0,date=10/16/2017".to_owned(),
            format!("type=1,manufacturer=Amazon EC2,product=t3.small,serial={uuid},uuid={uuid}"),
            format!(
                "type=2,manufacturer=Amazon EC2,asset={}",
                instance_id(scenario)
            ),
            "type=3,manufacturer=Amazon EC2,asset=Amazon EC2".to_owned(),
        ],
        // Interface MTU, as in a VPC without jumbo frames.
        dhcp: vec![(26, 1500u16.to_be_bytes().to_vec())],
        cdroms: Vec::new(),
    }
}

fn instance_id(scenario: &Scenario) -> String {
    scenario.instance_id_or("i-0123456789abcdef0")
}

/// Tokens are not secret here; that they are demanded is what matters.
fn token(scenario: &Scenario) -> String {
    format!("AQAAA-{}==", instance_id(scenario))
}

fn respond(scenario: &Scenario, _called: SocketAddr, request: &Request, _log: &Log) -> Response {
    if request.path == "/latest/api/token" {
        return issue_token(scenario, request);
    }
    if !request.reads() {
        return Response::status(405);
    }
    let given = request.header("x-aws-ec2-metadata-token");
    let allowed = match scenario.tokens {
        Tokens::Required => given == Some(&token(scenario)),
        Tokens::Optional => given.is_none_or(|t| t == token(scenario)),
        Tokens::Unknown => true,
    };
    if !allowed {
        return Response::status(401);
    }
    let path = request.path.trim_start_matches('/');
    if path.is_empty() {
        return Response::text(VERSIONS.join("\n"));
    }
    let (version, rest) = path.split_once('/').unwrap_or((path, ""));
    if !VERSIONS.contains(&version) {
        return Response::status(404);
    }
    match rest.trim_end_matches('/') {
        "" => {
            let user_data = if scenario.user_data.is_some() {
                "\nuser-data"
            } else {
                ""
            };
            Response::text(format!("dynamic\nmeta-data{user_data}"))
        }
        "user-data" => scenario
            .user_data
            .clone()
            .map_or_else(|| Response::status(404), Response::bytes),
        rest => tree(scenario)
            .get(rest)
            .map_or_else(|| Response::status(404), Response::text),
    }
}

fn issue_token(scenario: &Scenario, request: &Request) -> Response {
    if scenario.tokens == Tokens::Unknown {
        return Response::status(404);
    }
    if request.method != "PUT" {
        return Response::status(405);
    }
    // The real service refuses requests that came through a proxy.
    if request.header("x-forwarded-for").is_some() {
        return Response::status(403);
    }
    let ttl = request
        .header("x-aws-ec2-metadata-token-ttl-seconds")
        .and_then(|t| t.parse::<u32>().ok());
    match ttl {
        Some(ttl) if (1..=MAX_TTL).contains(&ttl) => Response::text(token(scenario))
            .with("X-Aws-Ec2-Metadata-Token-Ttl-Seconds", ttl.to_string()),
        _ => Response::status(400),
    }
}

/// Adds `meta-data/public-keys`, which lists `0=name` instead of its entries.
pub(super) fn public_keys(tree: &mut Tree, scenario: &Scenario) {
    let names: Vec<String> = (0..scenario.ssh_keys.len())
        .map(|n| format!("{n}=key{n}"))
        .collect();
    if names.is_empty() {
        return;
    }
    tree.listing("meta-data/public-keys", names.join("\n"));
    for (n, key) in scenario.ssh_keys.iter().enumerate() {
        tree.file(
            format!("meta-data/public-keys/{n}/openssh-key"),
            format!("{}\n", key.trim_end()),
        );
    }
}

fn tree(scenario: &Scenario) -> Tree {
    let mut tree = Tree::default();
    let hostname = scenario.hostname.as_str();
    for (name, value) in [
        ("ami-id", "ami-0abcdef1234567890"),
        ("ami-launch-index", "0"),
        ("ami-manifest-path", "(unknown)"),
        ("block-device-mapping/ami", "/dev/xvda"),
        ("block-device-mapping/root", "/dev/xvda"),
        ("hostname", hostname),
        ("instance-action", "none"),
        ("instance-id", &instance_id(scenario)),
        ("instance-life-cycle", "on-demand"),
        ("instance-type", "t3.small"),
        ("local-hostname", hostname),
        ("local-ipv4", &GUEST.to_string()),
        ("mac", &network::mac_text()),
        ("placement/availability-zone", "eu-central-1a"),
        ("placement/availability-zone-id", "euc1-az2"),
        ("placement/region", "eu-central-1"),
        ("profile", "default-hvm"),
        (
            "public-hostname",
            "ec2-203-0-113-25.eu-central-1.compute.amazonaws.com",
        ),
        ("public-ipv4", PUBLIC_IP),
        ("reservation-id", "r-0123456789abcdef0"),
        ("security-groups", "default"),
        ("services/domain", "amazonaws.com"),
        ("services/partition", "aws"),
    ] {
        tree.file(format!("meta-data/{name}"), value);
    }
    let mac = format!("meta-data/network/interfaces/macs/{}", network::mac_text());
    for (name, value) in [
        ("device-number", "0"),
        ("interface-id", "eni-0123456789abcdef0"),
        ("ipv4-associations/203.0.113.25", &GUEST.to_string()),
        ("local-hostname", hostname),
        ("local-ipv4s", &GUEST.to_string()),
        ("mac", &network::mac_text()),
        ("owner-id", "123456789012"),
        ("public-ipv4s", PUBLIC_IP),
        ("security-group-ids", "sg-0123456789abcdef0"),
        ("subnet-id", "subnet-0123456789abcdef0"),
        ("subnet-ipv4-cidr-block", "10.0.2.0/24"),
        ("vpc-id", "vpc-0123456789abcdef0"),
        ("vpc-ipv4-cidr-block", "10.0.0.0/16"),
    ] {
        tree.file(format!("{mac}/{name}"), value);
    }
    public_keys(&mut tree, scenario);
    let document = json!({
        "accountId": "123456789012",
        "architecture": "x86_64",
        "availabilityZone": "eu-central-1a",
        "imageId": "ami-0abcdef1234567890",
        "instanceId": instance_id(scenario),
        "instanceType": "t3.small",
        "pendingTime": "2026-01-01T00:00:00Z",
        "privateIp": GUEST.to_string(),
        "region": "eu-central-1",
        "version": "2017-09-30",
    });
    tree.file(
        "dynamic/instance-identity/document",
        format!("{document:#}"),
    );
    tree
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scenario() -> Scenario {
        Scenario {
            user_data: Some(b"#cloud-config\n".to_vec()),
            ssh_keys: vec![
                "ssh-ed25519 AAAA a".to_owned(),
                "ssh-ed25519 BBBB b".to_owned(),
            ],
            ..Scenario::new(&EC2)
        }
    }

    fn ask(scenario: &Scenario, request: &Request) -> (u16, String) {
        let r = respond(
            scenario,
            "169.254.169.254:80".parse().unwrap(),
            request,
            &Log::default(),
        );
        (r.status, String::from_utf8(r.body).unwrap())
    }

    fn with_token(path: &str) -> (u16, String) {
        let s = scenario();
        let put = Request {
            method: "PUT".to_owned(),
            ..Request::get("/latest/api/token")
        }
        .with("X-aws-ec2-metadata-token-ttl-seconds", "21600");
        let (status, token) = ask(&s, &put);
        assert_eq!(status, 200);
        ask(
            &s,
            &Request::get(path).with("X-aws-ec2-metadata-token", &token),
        )
    }

    #[test]
    fn token_is_demanded() {
        let s = scenario();
        assert_eq!(ask(&s, &Request::get("/latest/user-data")).0, 401);
        assert_eq!(
            ask(
                &s,
                &Request::get("/latest/user-data").with("X-aws-ec2-metadata-token", "x")
            )
            .0,
            401
        );
        let put = Request {
            method: "PUT".to_owned(),
            ..Request::get("/latest/api/token")
        };
        assert_eq!(ask(&s, &put).0, 400);
        assert_eq!(
            ask(
                &s,
                &put.clone()
                    .with("X-aws-ec2-metadata-token-ttl-seconds", "21601")
            )
            .0,
            400
        );
        assert_eq!(
            with_token("/2009-04-04/user-data"),
            (200, "#cloud-config\n".to_owned())
        );
    }

    #[test]
    fn version_one() {
        let mut s = scenario();
        s.tokens = Tokens::Unknown;
        let put = Request {
            method: "PUT".to_owned(),
            ..Request::get("/latest/api/token")
        };
        assert_eq!(ask(&s, &put).0, 404);
        assert_eq!(
            ask(&s, &Request::get("/2009-04-04/meta-data/hostname")).1,
            "holdfast"
        );
    }

    #[test]
    fn keys_and_listings() {
        assert_eq!(
            with_token("/latest/meta-data/public-keys/").1,
            "0=key0\n1=key1"
        );
        assert_eq!(
            with_token("/latest/meta-data/public-keys/1/openssh-key").1,
            "ssh-ed25519 BBBB b\n"
        );
        assert_eq!(
            with_token("/latest/meta-data/public-keys/0").1,
            "openssh-key"
        );
        let all = with_token("/latest/meta-data/").1;
        assert!(
            all.contains("\nnetwork/\n") && all.contains("\npublic-keys/\n"),
            "{all}"
        );
        assert_eq!(with_token("/latest/").1, "dynamic\nmeta-data\nuser-data");
        assert_eq!(with_token("/1999-01-01/meta-data/").0, 404);
        assert!(
            with_token("/latest/dynamic/instance-identity/document")
                .1
                .contains("eu-central-1")
        );
    }

    #[test]
    fn uuid_tells_the_provider() {
        let look = look(&scenario());
        assert!(
            look.smbios
                .iter()
                .any(|s| s.contains("uuid=ec2e1916-9099-7caf-fd21-012345678")),
            "{look:?}"
        );
    }
}
