//! Transport security, against a real TLS server. Its certificate is self-signed for
//! 127.0.0.1; `testdata/key.der` guards nothing.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

use super::*;

const CERTIFICATE: &[u8] = include_bytes!("testdata/certificate.pem");
const KEY: &[u8] = include_bytes!("testdata/key.der");

/// `a.json` is a document, anything else leads to `plain`.
fn secure(plain: &str) -> String {
    let certificate = CertificateDer::from_pem_slice(CERTIFICATE).unwrap();
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(KEY));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    let config = Arc::new(config);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://{}", listener.local_addr().unwrap());
    let away = format!("HTTP/1.1 302 X\r\nLocation: {plain}/\r\nContent-Length: 0\r\n");
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let connection = rustls::ServerConnection::new(config.clone()).unwrap();
            let mut stream = rustls::StreamOwned::new(connection, stream);
            let mut request = [0; 4096];
            // A client that mistrusts us goes away here.
            let Ok(length) = stream.read(&mut request) else {
                continue;
            };
            let head = if request[..length].starts_with(b"GET /a.json ") {
                "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n"
            } else {
                &away
            };
            let _ = write!(stream, "{head}Connection: close\r\n\r\n");
            if !head.contains("302") {
                let _ = stream.write_all(b"{}");
            }
            stream.conn.send_close_notify();
            let _ = stream.flush();
        }
    });
    url
}

#[test]
fn a13_a_certificate_that_nobody_vouches_for_is_refused() {
    let mut source = Http::new(&[secure("http://127.0.0.1:1")], &options()).unwrap();
    let reason = unreachable(source.document("a.json", 9));
    assert!(reason.contains("certificate"), "{reason}");
}

/// Which certificates are trusted is set in the environment, so a child asks.
#[test]
fn a13_what_began_with_tls_never_goes_on_without() {
    const URL: &str = "HOLDFAST_TEST_TLS";
    if let Ok(url) = std::env::var(URL) {
        let mut source = Http::new(&[url], &options()).unwrap();
        let found = source.document("a.json", 9).unwrap();
        assert_eq!(found.as_deref(), Some(&b"{}"[..]));
        let reason = unreachable(source.document("b.json", 9));
        assert!(reason.contains("from https:// to http://"), "{reason}");
        return;
    }
    let plain = Server::good(b"{}".to_vec());
    let mut trusted = tempfile::NamedTempFile::new().unwrap();
    trusted.write_all(CERTIFICATE).unwrap();
    let name = "fetch::http::tests::tls::a13_what_began_with_tls_never_goes_on_without";
    let child = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", name])
        .env(URL, secure(&plain.url))
        .env("SSL_CERT_FILE", trusted.path())
        .env_remove("SSL_CERT_DIR")
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&child.stdout);
    assert!(
        child.status.success() && told.contains("1 passed"),
        "{told}"
    );
    assert_eq!(plain.seen().len(), 0);
}
