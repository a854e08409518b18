//! Alibaba Cloud: EC2's layout at an address of its own, with tokens of its own.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use super::http::{Request, Response};
use super::tree::Tree;
use super::{GUEST, Log, Look, Provider, Scenario, Tokens, network};

/// What `alibaba` means.
pub(super) static ALIBABA: Provider = Provider {
    name: "alibaba",
    about: "Alibaba Cloud: metadata service with session tokens",
    endpoints: &[(IpAddr::V4(Ipv4Addr::new(100, 100, 100, 200)), 80)],
    look: |_| Look {
        smbios: vec![
            "type=1,manufacturer=Alibaba Cloud,product=Alibaba Cloud ECS,version=pc-i440fx-2.1"
                .to_owned(),
        ],
        ..Look::default()
    },
    respond,
};

/// Longest lifetime of a token, in seconds.
const MAX_TTL: u32 = 21600;

fn instance_id(scenario: &Scenario) -> String {
    scenario.instance_id_or("i-bp13znx0m0me8cquu3zd")
}

fn token(scenario: &Scenario) -> String {
    format!("AAAA{}==", instance_id(scenario))
}

fn tree(scenario: &Scenario) -> Tree {
    let mut tree = Tree::default();
    for (name, value) in [
        ("hostname", scenario.hostname.clone()),
        ("image-id", "m-bp1holdfast".to_owned()),
        ("instance-id", instance_id(scenario)),
        ("instance/instance-type", "ecs.t6-c1m1.large".to_owned()),
        ("mac", network::mac_text()),
        ("private-ipv4", GUEST.to_string()),
        ("region-id", "eu-central-1".to_owned()),
        ("vpc-id", "vpc-bp1holdfast".to_owned()),
        ("zone-id", "eu-central-1a".to_owned()),
    ] {
        tree.file(format!("meta-data/{name}"), value);
    }
    // Directories, unlike EC2's `0=name`.
    for (n, key) in scenario.ssh_keys.iter().enumerate() {
        let path = format!("meta-data/public-keys/key{n}/openssh-key");
        tree.file(path, format!("{}\n", key.trim_end()));
    }
    if let Some(data) = &scenario.user_data {
        tree.file("user-data", data.clone());
    }
    tree
}

fn respond(scenario: &Scenario, _called: SocketAddr, request: &Request, _log: &Log) -> Response {
    if request.path == "/latest/api/token" {
        if scenario.tokens == Tokens::Unknown {
            return Response::status(404);
        }
        let ttl = request.header("x-aliyun-ecs-metadata-token-ttl-seconds");
        return match ttl.and_then(|t| t.parse::<u32>().ok()) {
            _ if request.method != "PUT" => Response::status(405),
            Some(ttl) if (1..=MAX_TTL).contains(&ttl) => Response::text(token(scenario)),
            _ => Response::status(400),
        };
    }
    if !request.reads() {
        return Response::status(405);
    }
    let given = request.header("x-aliyun-ecs-metadata-token");
    let allowed = match scenario.tokens {
        Tokens::Required => given == Some(&token(scenario)),
        Tokens::Optional => given.is_none_or(|t| t == token(scenario)),
        Tokens::Unknown => true,
    };
    if !allowed {
        return Response::status(403);
    }
    let path = request.path.strip_prefix("/latest/");
    path.and_then(|p| tree(scenario).get(p))
        .map_or_else(|| Response::status(404), Response::text)
}

#[cfg(test)]
mod tests {
    use super::super::testing::{ask, put};
    use super::*;

    #[test]
    fn token_is_demanded() {
        let mut scenario = Scenario {
            ssh_keys: vec!["ssh-ed25519 AAAA a".to_owned()],
            ..Scenario::new(&ALIBABA)
        };
        let keys = Request::get("/latest/meta-data/public-keys/");
        assert_eq!(ask(&scenario, &keys).0, 403);
        let put = put("/latest/api/token").with("X-aliyun-ecs-metadata-token-ttl-seconds", "60");
        let (_, token) = ask(&scenario, &put);
        let right = keys.clone().with("X-aliyun-ecs-metadata-token", &token);
        assert_eq!(ask(&scenario, &right), (200, "key0/".into()));
        scenario.tokens = Tokens::Unknown;
        assert_eq!(
            (ask(&scenario, &put).0, ask(&scenario, &keys).0),
            (404, 200)
        );
    }
}
