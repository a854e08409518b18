//! The health report to Azure's wireserver. Until it comes, the portal shows the machine
//! as being created, and after some 20 minutes as failed.

use super::kvp;
use crate::error::{Context, Error, Result};
use crate::http::{Http, Reply, Request};
use crate::net::lease;
use crate::provider::Verdict;
use crate::source::{Scene, xml};
use std::net::Ipv4Addr;
use std::time::SystemTime;
use tokio::time::Instant;

/// Where it is, unless DHCP says otherwise.
const WIRESERVER: Ipv4Addr = Ipv4Addr::new(168, 63, 129, 16);
/// DHCP option with its address.
const OPTION: u8 = 245;
const HEADERS: [(&str, &str); 3] = [
    ("x-ms-agent-name", "holdfast-oem"),
    ("x-ms-version", "2012-11-30"),
    ("Content-Type", "text/xml; charset=utf-8"),
];
/// Longest description the portal takes, in characters.
const MAX_DESCRIPTION: usize = 512;

/// Once for an instance: what happens at later boots is no longer a deployment's.
pub(super) async fn send(
    scene: &Scene,
    http: &Http,
    verdict: &Verdict<'_>,
    deadline: Instant,
) -> Result<Option<String>> {
    if !verdict.first {
        return Ok(None);
    }
    let now = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    // First: the host collects these when the health report arrives.
    let value = kvp::provisioning_report(verdict, now.as_secs());
    let kvp = kvp::append(&scene.root, kvp::PROVISIONING_REPORT, &value);
    let server = wireserver(scene);
    let url = format!("http://{server}/machine/?comp=goalstate");
    let request = Request::get(&url).headers(&HEADERS[..2]);
    let state = answered(http.send(&request, deadline).await?, &url)?;
    let state = Goal::parse(&String::from_utf8_lossy(&state)).map_err(|e| {
        Error::environment(format!("the goal state of {server} makes no sense: {e}"))
    })?;
    let url = format!("http://{server}/machine?comp=health");
    let request = Request::post(&url)
        .headers(&HEADERS)
        .body(state.health(verdict.wrong));
    answered(http.send(&request, deadline).await?, &url)?;
    let (word, _) = words(verdict.wrong);
    let also = match kvp {
        Ok(true) => " and by the hypervisor's key-value pairs",
        Ok(false) => "",
        Err(_) => ", not by the hypervisor's key-value pairs, which cannot be written",
    };
    Ok(Some(format!(
        "{word} told to the wireserver {server}{also}"
    )))
}

fn answered(reply: Reply, url: &str) -> Result<Vec<u8>> {
    let status = reply.status;
    let refused = || format!("{url} refuses (HTTP status {status})");
    reply.found().ok_or("refused").environment(refused)
}

fn wireserver(scene: &Scene) -> Ipv4Addr {
    let told = lease::all(&scene.root).into_iter().find_map(|lease| {
        let bytes: [u8; 4] = lease.private.get(&OPTION)?.as_slice().try_into().ok()?;
        Some(Ipv4Addr::from(bytes))
    });
    told.unwrap_or(WIRESERVER)
}

fn words(wrong: Option<&str>) -> (&'static str, Option<&'static str>) {
    match wrong {
        None => ("Ready", None),
        Some(_) => ("NotReady", Some("ProvisioningFailed")),
    }
}

/// What the platform wants this machine to be; a report names it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Goal {
    incarnation: String,
    container: String,
    instance: String,
}

impl Goal {
    /// # Errors
    /// What is missing or wrong, in words.
    pub(super) fn parse(document: &str) -> std::result::Result<Goal, String> {
        let mut texts = xml::texts(document)?;
        let mut take = |name: &str| {
            texts
                .remove(name)
                .ok_or_else(|| format!("there is no {name}"))
        };
        Ok(Goal {
            incarnation: take("Incarnation")?,
            container: take("ContainerId")?,
            instance: take("InstanceId")?,
        })
    }

    pub(super) fn health(&self, wrong: Option<&str>) -> String {
        let (state, status) = words(wrong);
        let description: String = wrong
            .unwrap_or_default()
            .chars()
            .take(MAX_DESCRIPTION)
            .collect();
        let details = status.map(|status| {
            let description = xml::escaped(&description);
            format!("<Details><SubStatus>{status}</SubStatus><Description>{description}</Description></Details>")
        });
        format!(
            "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n\
             <Health xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\" xmlns:xsd=\"http://www.w3.org/2001/XMLSchema\">\
             <GoalStateIncarnation>{}</GoalStateIncarnation><Container><ContainerId>{}</ContainerId>\
             <RoleInstanceList><Role><InstanceId>{}</InstanceId><Health><State>{state}</State>{}</Health></Role></RoleInstanceList>\
             </Container></Health>",
            xml::escaped(&self.incarnation),
            xml::escaped(&self.container),
            xml::escaped(&self.instance),
            details.unwrap_or_default(),
        )
    }
}
