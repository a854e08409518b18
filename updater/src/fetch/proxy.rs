//! Which proxy is used.

use reqwest::{ClientBuilder, NoProxy, Url};

use super::Error;
use super::base::shown;

/// Which proxy is used.
#[derive(Clone, Default)]
pub enum Proxy {
    /// What `http_proxy`, `https_proxy`, `all_proxy` and `no_proxy` say, in upper or
    /// lower case, read as curl does.
    #[default]
    Environment,
    /// None, whatever the environment says.
    None,
    /// This one for everything, but not for `except` (as `no_proxy`: host names,
    /// `.domain`, addresses, networks, separated by commas).
    At {
        /// `http://` or `https://` URL, with user and password if it needs them.
        url: String,
        /// Hosts to reach directly.
        except: String,
    },
}

impl Proxy {
    pub(super) fn apply(&self, builder: ClientBuilder) -> Result<ClientBuilder, Error> {
        let (url, except) = match self {
            Proxy::Environment => return Ok(builder),
            Proxy::None => return Ok(builder.no_proxy()),
            Proxy::At { url, except } => (url, except),
        };
        let bad = |reason: &str| Error::Place {
            place: "the proxy's URL".to_owned(),
            reason: reason.to_owned(),
        };
        let url = Url::parse(url).map_err(|e| bad(&e.to_string()))?;
        if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
            return Err(bad("not an http:// or https:// URL"));
        }
        let proxy = reqwest::Proxy::all(url).map_err(|_| bad("not usable"))?;
        Ok(builder.proxy(proxy.no_proxy(NoProxy::from_string(except))))
    }
}

impl std::fmt::Debug for Proxy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Proxy::Environment => f.write_str("Environment"),
            Proxy::None => f.write_str("None"),
            Proxy::At { url, except } => {
                let url = Url::parse(url).map(|url| shown(&url));
                let url = url.unwrap_or_else(|_| "not a URL".to_owned());
                write!(f, "At({url}, except {except:?})")
            }
        }
    }
}
