//! Proxies.

use super::server::*;
use super::*;

fn via(proxy: &str, except: &str) -> Options {
    Options {
        proxy: Proxy::At {
            url: proxy.to_owned(),
            except: except.to_owned(),
        },
        ..options()
    }
}

#[test]
fn c12_a_proxy_is_asked_in_place_of_the_mirror() {
    let proxy = Server::good(b"{}".to_vec());
    let url = proxy.url.replace("http://", "http://user:secret@");
    let mut source = Http::new(&["http://mirror.invalid/r"], &via(&url, "")).unwrap();
    assert!(source.document("timestamp.json", 9).unwrap().is_some());
    let request = &proxy.seen()[0];
    assert_eq!(request.target, "http://mirror.invalid/r/timestamp.json");
    // user:secret
    assert_eq!(
        request.header("proxy-authorization"),
        "Basic dXNlcjpzZWNyZXQ="
    );
    let shown = format!("{:?}", via(&url, ""));
    assert!(!shown.contains("secret"), "{shown}");
}

#[test]
fn c12_exceptions_are_reached_directly() {
    let proxy = Server::new(|_, stream| status(stream, 502, &[]));
    let mirror = Server::good(b"{}".to_vec());
    let options = via(&proxy.url, "example.org, 127.0.0.0/8");
    let found = source(&[&mirror], &options).document("timestamp.json", 9);
    assert!(found.unwrap().is_some());
    assert_eq!(proxy.seen().len(), 0);
}

#[test]
fn c12_a_proxy_that_refuses_has_its_own_words() {
    let proxy = Server::new(|_, stream| status(stream, 407, &[]));
    let mut source = Http::new(&["http://mirror.invalid/"], &via(&proxy.url, "")).unwrap();
    let reason = unreachable(source.document("timestamp.json", 9));
    assert!(reason.contains("the proxy needs a user name"), "{reason}");
}

#[test]
fn bad_proxies_are_refused_without_showing_them() {
    for bad in [
        "",
        "user:secret@host",
        "socks5://user:secret@h",
        "http://user:secret@",
    ] {
        let e = Http::new(&["http://h/"], &via(bad, "")).err();
        let text = format!("{e:?}");
        assert!(matches!(e, Some(Error::Place { .. })), "{bad}: {text}");
        assert!(!text.contains("secret"), "{text}");
    }
}

/// The environment belongs to the process, so a child asks.
#[test]
fn c12_the_environment_names_the_proxy() {
    const URL: &str = "HOLDFAST_TEST_CHILD";
    if std::env::var_os(URL).is_some() {
        let options = Options {
            proxy: Proxy::Environment,
            ..options()
        };
        let mut source = Http::new(&["http://mirror.invalid/"], &options).unwrap();
        assert!(source.document("timestamp.json", 9).unwrap().is_some());
        return;
    }
    let proxy = Server::good(b"{}".to_vec());
    let child = std::process::Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "fetch::http::tests::way_out::c12_the_environment_names_the_proxy",
        ])
        .env(URL, "1")
        .env("http_proxy", &proxy.url)
        .env_remove("HTTP_PROXY")
        .env_remove("NO_PROXY")
        .env_remove("no_proxy")
        .env_remove("REQUEST_METHOD")
        .output()
        .unwrap();
    assert!(
        child.status.success(),
        "{}",
        String::from_utf8_lossy(&child.stdout)
    );
    // The child did run its test.
    assert_eq!(proxy.seen().len(), 1);
}
