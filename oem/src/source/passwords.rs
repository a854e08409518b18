//! CloudStack's password server, which Exoscale took over: one header says what is
//! wanted. A password is handed out at every boot until somebody says that it is set.

use crate::cloudconfig::{Password, Secret};
use crate::error::{Error, Result};
use crate::http::Http;
use crate::plan::crypt;
use std::hash::{BuildHasher as _, RandomState};
use tokio::time::Instant;

const HEADER: &str = "DomU_Request";
/// Longest password that is believed, in bytes. An error page is longer.
const MAX: usize = 256;

/// A password of the user that providers mean.
pub(crate) fn of_core(secret: Secret) -> Password {
    Password {
        user: "core".to_owned(),
        secret,
        expire: false,
    }
}

/// A password that was written down: set once.
pub(crate) fn plain(text: String) -> Password {
    of_core(Secret::Plain(text))
}

/// The password to set now.
pub(crate) async fn ask(url: &str, http: &Http, deadline: Instant) -> Result<Option<Secret>> {
    let reply = http.get(url, &[(HEADER, "send_my_password")], deadline);
    // No such server: this machine has no password.
    let Some(body) = reply.await?.found() else {
        return Ok(None);
    };
    let wrong = || Error::environment(format!("what {url} answered is no password"));
    let text = String::from_utf8(body).map_err(|_| wrong())?;
    match text.trim_matches(['\r', '\n', ' ']) {
        "" | "saved_password" => Ok(None),
        "bad_request" => Err(Error::environment(format!(
            "{url} refuses to tell a password"
        ))),
        text if text.len() > MAX || text.starts_with('<') || text.contains(char::is_control) => {
            Err(wrong())
        }
        text => Ok(Some(reset(text))),
    }
}

/// Tells that it is set.
pub(crate) async fn saved(url: &str, http: &Http, deadline: Instant) -> Result<()> {
    let reply = http
        .get(url, &[(HEADER, "saved_password")], deadline)
        .await?;
    if reply.is_success() {
        return Ok(());
    }
    let what = format!(
        "{url} does not take the acknowledgement (HTTP status {})",
        reply.status
    );
    Err(Error::environment(what))
}

/// As a hash that is another each time: who asks for the same password again wants it
/// set again, whatever a user changed since.
fn reset(password: &str) -> Secret {
    let random = || RandomState::new().hash_one(0).to_le_bytes();
    let salt = crypt::salt(&[random(), random()].concat());
    Secret::Hash(crypt::sha512(password.as_bytes(), &salt))
}
