//! Microsoft Azure: the instance metadata service, the wireserver, and the CD of the
//! first boot.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::http::{Request, Response};
use super::iso::{self, File};
use super::{GUEST, Log, Look, Provider, Scenario, network};

const METADATA: Ipv4Addr = Ipv4Addr::new(169, 254, 169, 254);
const WIRESERVER: Ipv4Addr = Ipv4Addr::new(168, 63, 129, 16);

/// User-data from the metadata service; no CD.
pub(super) static AZURE: Provider = Provider {
    name: "azure",
    about: "Microsoft Azure: metadata service and wireserver",
    endpoints: &[(IpAddr::V4(METADATA), 80), (IpAddr::V4(WIRESERVER), 80)],
    look: |_| look(Vec::new()),
    respond: |scenario, called, request, log| respond(scenario, called, request, log, true),
};

/// Custom data from the CD, as the portal and most tools give it.
pub(super) static CUSTOM_DATA: Provider = Provider {
    name: "azure-customdata",
    about: "Microsoft Azure: custom data on the provisioning CD",
    endpoints: &[(IpAddr::V4(METADATA), 80), (IpAddr::V4(WIRESERVER), 80)],
    look: |scenario| look(vec![drive(scenario)]),
    respond: |scenario, called, request, log| respond(scenario, called, request, log, false),
};

fn look(cdroms: Vec<Vec<u8>>) -> Look {
    Look {
        smbios: vec![
            "type=1,manufacturer=Microsoft Corporation,product=Virtual Machine".to_owned(),
            "type=3,manufacturer=Microsoft Corporation,asset=7783-7084-3265-9085-8269-3286-77"
                .to_owned(),
        ],
        dhcp: vec![(245, WIRESERVER.octets().to_vec())],
        cdroms,
    }
}

fn vm_id(scenario: &Scenario) -> String {
    scenario.instance_id_or("02aab8a4-74ef-476e-8182-f6d2ba4166a6")
}

/// `userData` is there when the service is asked for a version that has it.
fn instance(scenario: &Scenario, extended: bool, has_data: bool) -> Value {
    let keys: Vec<Value> = scenario
        .ssh_keys
        .iter()
        .map(|k| json!({"keyData": format!("{}\r\n", k.trim_end()), "path": "/home/core/.ssh/authorized_keys"}))
        .collect();
    let mut compute = json!({
        "azEnvironment": "AzurePublicCloud",
        "location": "westeurope",
        "name": scenario.short_hostname(),
        "osProfile": {
            "adminUsername": "core",
            "computerName": scenario.hostname,
            "disablePasswordAuthentication": scenario.password.is_none().to_string(),
        },
        "publicKeys": keys,
        "resourceGroupName": "shop",
        "subscriptionId": "8d10da13-8125-4ba9-a717-bf7490507b3d",
        "vmId": vm_id(scenario),
        "vmSize": "Standard_B2s",
        "zone": "2",
    });
    if extended {
        let data = scenario.user_data.as_ref().filter(|_| has_data);
        compute["userData"] = json!(data.map(|d| STANDARD.encode(d)).unwrap_or_default());
    }
    json!({
        "compute": compute,
        "network": {"interface": [{
            "ipv4": {
                "ipAddress": [{"privateIpAddress": GUEST.to_string(), "publicIpAddress": "203.0.113.25"}],
                "subnet": [{"address": "10.0.2.0", "prefix": "24"}],
            },
            "ipv6": {"ipAddress": []},
            "macAddress": network::mac_text().replace(':', "").to_uppercase(),
        }]},
    })
}

fn respond(
    scenario: &Scenario,
    called: SocketAddr,
    request: &Request,
    log: &Log,
    has_data: bool,
) -> Response {
    if called.ip() == WIRESERVER {
        return wireserver(request);
    }
    // The real service refuses requests that came through a proxy, or carry no header.
    if request.header("metadata") != Some("true") || request.header("x-forwarded-for").is_some() {
        return Response::status(400);
    }
    if !request.reads() {
        return Response::status(405);
    }
    // What a machine meets right after it was made.
    let earlier = log.all().iter().filter(|e| e.called == called).count();
    if let Some(status) = [404, 429, 410].get(earlier) {
        return Response::status(*status);
    }
    let version = request
        .query
        .split('&')
        .find_map(|q| q.strip_prefix("api-version="));
    let extended = match version {
        Some("2021-08-01" | "2021-01-01" | "2021-02-01") => true,
        Some("2019-06-01") => false,
        _ => return Response::status(400),
    };
    let all = instance(scenario, extended, has_data);
    let Some(path) = request.path.strip_prefix("/metadata/instance") else {
        return Response::status(404);
    };
    let path = path.trim_end_matches('/');
    match all.pointer(path) {
        Some(Value::String(text)) if request.query.contains("format=text") => {
            Response::text(text.clone())
        }
        Some(value) => Response::json(value),
        None => Response::status(404),
    }
}

fn wireserver(request: &Request) -> Response {
    if request.header("x-ms-version") != Some("2012-11-30") {
        return Response::status(400);
    }
    let path = request.path.trim_end_matches('/');
    match (request.method.as_str(), path, request.query.as_str()) {
        ("GET", "/machine", "comp=goalstate") => Response {
            content_type: "text/xml; charset=utf-8",
            ..Response::text(GOAL_STATE)
        },
        ("POST", "/machine", "comp=health") => match is_health(&request.body) {
            true => Response::text(""),
            false => Response::status(400),
        },
        _ => Response::status(404),
    }
}

/// Whether a report names the goal state it is about.
fn is_health(body: &[u8]) -> bool {
    let text = String::from_utf8_lossy(body);
    [
        "<GoalStateIncarnation>1</GoalStateIncarnation>",
        "<ContainerId>2d2a4c10-5f6f-4b63-8f67-3f0a3d2a4c10</ContainerId>",
        "<InstanceId>0f3c2e1d._web1</InstanceId>",
        "<State>",
    ]
    .iter()
    .all(|part| text.contains(part))
}

const GOAL_STATE: &str = "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n\
<GoalState xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\" xmlns:xsd=\"http://www.w3.org/2001/XMLSchema\">\
<Version>2012-11-30</Version><Incarnation>1</Incarnation>\
<Machine><ExpectedState>Started</ExpectedState><StopRolesDeadlineHint>300000</StopRolesDeadlineHint></Machine>\
<Container><ContainerId>2d2a4c10-5f6f-4b63-8f67-3f0a3d2a4c10</ContainerId><RoleInstanceList><RoleInstance>\
<InstanceId>0f3c2e1d._web1</InstanceId><State>Started</State></RoleInstance></RoleInstanceList></Container></GoalState>\n";

fn drive(scenario: &Scenario) -> Vec<u8> {
    let data = scenario.user_data.as_deref().unwrap_or_default();
    let password = scenario.password.as_ref().map(|p| {
        let p = p.replace('&', "&amp;").replace('<', "&lt;");
        format!("<wa:UserPassword>{p}</wa:UserPassword>")
    });
    let text = format!(
        "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n\
         <Environment xmlns=\"http://schemas.dmtf.org/ovf/environment/1\" xmlns:wa=\"http://schemas.microsoft.com/windowsazure\">\
         <wa:ProvisioningSection><wa:Version>1.0</wa:Version><wa:LinuxProvisioningConfigurationSet>\
         <wa:HostName>{}</wa:HostName><wa:UserName>core</wa:UserName>{}<wa:CustomData>{}</wa:CustomData>\
         </wa:LinuxProvisioningConfigurationSet></wa:ProvisioningSection>\
         <wa:PlatformSettingsSection><wa:PlatformSettings><wa:PreprovisionedVm>false</wa:PreprovisionedVm>\
         </wa:PlatformSettings></wa:PlatformSettingsSection></Environment>\n",
        scenario.hostname,
        password.unwrap_or_default(),
        STANDARD.encode(data),
    );
    iso::image("rd_rdfe_stable.241107", &[File::new("ovf-env.xml", text)])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The answer when the machine is no longer new.
    fn ask(address: Ipv4Addr, request: &Request) -> (u16, String) {
        let scenario = Scenario {
            user_data: Some(b"x".to_vec()),
            ..Scenario::new(&AZURE)
        };
        let service = super::super::Service::new(scenario, Log::default());
        let called = SocketAddr::from((address, 80));
        let early = Request::get("/metadata/instance").with("Metadata", "true");
        for status in [404, 429, 410] {
            assert_eq!(
                service.respond((METADATA, 80).into(), &early).status,
                status
            );
        }
        let answer = service.respond(called, request);
        let text = String::from_utf8(answer.bytes).unwrap();
        let body = text.split_once("\r\n\r\n").unwrap().1;
        (answer.status, body.to_owned())
    }

    #[test]
    fn header_and_version_are_demanded() {
        let mut request = Request::get("/metadata/instance/compute/userData");
        request.query = "api-version=2021-01-01&format=text".to_owned();
        assert_eq!(ask(METADATA, &request).0, 400);
        let request = request.with("Metadata", "true");
        assert_eq!(ask(METADATA, &request), (200, "eA==".to_owned()));
        let mut old = request;
        old.query = "api-version=2019-06-01".to_owned();
        assert_eq!(ask(METADATA, &old).0, 404);
    }

    #[test]
    fn health_must_name_the_goal() {
        let mut post = Request::get("/machine").with("x-ms-version", "2012-11-30");
        post.method = "POST".to_owned();
        post.query = "comp=health".to_owned();
        assert_eq!(ask(WIRESERVER, &post).0, 400);
    }
}
