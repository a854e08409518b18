//! What tests of simulated providers share.

use super::http::Request;
use super::{Log, Scenario};

/// Status and body of the answer to one request to the provider's first endpoint.
pub(super) fn ask(scenario: &Scenario, request: &Request) -> (u16, String) {
    let called = scenario.provider.endpoints[0].into();
    let response = (scenario.provider.respond)(scenario, called, request, &Log::default());
    (
        response.status,
        String::from_utf8_lossy(&response.body).into_owned(),
    )
}

/// A request to PUT nothing.
pub(super) fn put(path: &str) -> Request {
    Request {
        method: "PUT".to_owned(),
        ..Request::get(path)
    }
}
