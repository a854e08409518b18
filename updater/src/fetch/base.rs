//! A mirror's base URL.

use reqwest::Url;

use super::Error;

/// `http://` or `https://`, with everything a repository holds below it. User and
/// password go into each request and never into a message; a query (the signed
/// access of an object store) is added to each request likewise.
#[derive(Clone)]
pub(super) struct Base(Url);

impl Base {
    pub(super) fn parse(text: &str) -> Result<Self, Error> {
        let bad = |place: String, reason: &str| Error::Place {
            place,
            reason: reason.to_owned(),
        };
        // A text that is no URL is not shown: it may hold a password all the same.
        let mut url =
            Url::parse(text).map_err(|e| bad("the mirror's URL".to_owned(), &e.to_string()))?;
        if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
            // `user:password@host` is a URL too, of the scheme `user`.
            let known = url.has_host().then(|| shown(&url));
            let place = known.unwrap_or_else(|| "the mirror's URL".to_owned());
            return Err(bad(place, "not an http:// or https:// URL"));
        }
        url.set_fragment(None);
        Ok(Base(url))
    }

    /// The URL of a checked name.
    pub(super) fn at(&self, name: &str) -> Url {
        let mut url = self.0.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(name.split('/'));
        }
        url
    }

    /// The host is given by name, so that a resolver is needed.
    pub(super) fn is_named(&self) -> bool {
        self.0.domain().is_some()
    }
}

impl std::fmt::Display for Base {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&shown(&self.0))
    }
}

impl std::fmt::Debug for Base {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{self}")
    }
}

/// A URL without credentials, query and fragment: for messages.
pub(super) fn shown(url: &Url) -> String {
    let port = url.port().map(|p| format!(":{p}")).unwrap_or_default();
    format!(
        "{}://{}{port}{}",
        url.scheme(),
        url.host_str().unwrap_or_default(),
        url.path()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn joins_names_below_the_base() {
        for (base, url) in [
            ("http://h", "http://h/a/1.2+b"),
            ("http://h/", "http://h/a/1.2+b"),
            ("https://h:8443/x/y", "https://h:8443/x/y/a/1.2+b"),
            ("http://[::1]:80/x/#top", "http://[::1]/x/a/1.2+b"),
            ("https://h/x?sig=s%2B1", "https://h/x/a/1.2+b?sig=s%2B1"),
        ] {
            let base = Base::parse(base).unwrap();
            assert_eq!(base.at("a/1.2+b").as_str(), url);
        }
    }

    #[test]
    fn credentials_are_never_shown() {
        let base = Base::parse("https://user:secret@h:1/x?token=secret").unwrap();
        assert_eq!(base.at("n").password(), Some("secret"));
        for text in [base.to_string(), format!("{base:?}"), shown(&base.at("n"))] {
            assert!(!text.contains("secret") && !text.contains("user"), "{text}");
        }
        for bad in [
            "ftp://user:secret@h/",
            "user:secret@h",
            "http://user:secret@:x/",
            "http://",
        ] {
            let e = Base::parse(bad).unwrap_err();
            assert!(!format!("{e} {e:?}").contains("secret"), "{e:?}");
        }
    }
}
