//! Where releases come from, and whom to believe.

use std::num::NonZeroU64;
use std::path::Path;

use super::{Error, ROOT};
use crate::config::Config;
use crate::fetch::{self, Options, Proxy, Source};

/// The repository: the folder or URL `from`, else the configuration's servers.
pub fn open(from: Option<&str>, config: &Config) -> Result<Box<dyn Source + Send>, Error> {
    let named = from.map(|from| vec![from.to_owned()]);
    let places = named.as_ref().unwrap_or(&config.servers);
    if places.is_empty() {
        return Err(Error::Nowhere);
    }
    let options = Options {
        proxy: match &config.proxy {
            Some(url) => Proxy::At {
                url: url.clone(),
                except: String::new(),
            },
            None => Proxy::Environment,
        },
        limit: config.rate_limit.and_then(NonZeroU64::new),
        ..Options::default()
    };
    Ok(fetch::open(places, &options)?)
}

/// The root of trust that the image below `root` ships.
pub fn shipped_root(root: &Path) -> Result<Vec<u8>, Error> {
    let path = root.join(ROOT);
    std::fs::read(&path).map_err(|e| Error::NoRoot(path, e))
}
