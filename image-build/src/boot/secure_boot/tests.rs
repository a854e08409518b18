//! Keys, certificates and the files that firmware takes.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use init::gpt::Guid;
use proptest::prelude::*;

use super::certificate::Certificate;
use super::enrolment::{self, Variable};
use super::keyset::{self, Db};
use super::signer::Signer;
use super::{pkcs7, testing};

/// 2026-11-22 20:00:00 UTC.
const NOW: Duration = Duration::from_secs(1_795_377_600);

fn certificate() -> Certificate {
    Certificate::from_pem(testing::CERTIFICATE).expect("a certificate")
}

fn file(folder: &Path, name: &str, text: &str, mode: u32) -> std::path::PathBuf {
    let path = folder.join(name);
    fs::write(&path, text).expect("writes");
    fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("chmod");
    path
}

#[test]
fn keys_are_private_and_fit_their_certificate() {
    let dir = tempfile::tempdir().expect("a folder");
    let key = file(dir.path(), "k.key", testing::KEY, 0o600);
    let signer = Signer::open(&key, certificate()).expect("opens");
    let signature = signer.sign(b"message").expect("signs");
    assert!(certificate().verify(b"message", &signature));
    assert!(!certificate().verify(b"massage", &signature));
    assert_eq!(format!("{signer:?}").matches("PRIVATE").count(), 0);

    let error = |key: &Path, certificate| {
        let e = Signer::open(key, certificate).expect_err("refused");
        assert!(e.hint_text().is_some());
        e.chain()
    };
    let open = file(dir.path(), "open.key", testing::KEY, 0o640);
    assert!(error(&open, certificate()).starts_with("others may read"));
    let other = file(dir.path(), "other.key", testing::CERTIFICATE, 0o600);
    assert!(error(&other, certificate()).ends_with("is no RSA key in PKCS#8 PEM"));
    let made = dir.path().join("made");
    keyset::make(&made, "Example", NOW, Db::New).expect("makes");
    let db = fs::read_to_string(made.join("db.pem")).expect("reads");
    let db = Certificate::from_pem(&db).expect("a certificate");
    assert!(error(&key, db).contains("is not the one of certificate CN=Example db"));
}

#[test]
fn programs_sign_without_a_shell() {
    let dir = tempfile::tempdir().expect("a folder");
    let answer = dir.path().join("answer; rm");
    fs::write(&answer, testing::signer().sign(b"message").expect("signs")).expect("writes");
    let command = |text: String| {
        let path = file(dir.path(), "k.command", &text, 0o644);
        Signer::open(&path, certificate())
    };
    let cat = format!(r#"{{"command": ["cat", {:?}]}}"#, answer.display());
    let signer = command(cat).expect("opens");
    assert!(signer.sign(b"message").is_ok());
    assert!(
        signer.sign(b"massage").is_err(),
        "an answer for something else"
    );
    let no = command(r#"{"command": ["false"]}"#.to_owned()).expect("opens");
    assert!(no.sign(b"message").is_err());
    for bad in ["{}", r#"{"command": []}"#, r#"{"command": ["a"], "x": 1}"#] {
        assert!(command(bad.to_owned()).is_err(), "{bad}");
    }
}

#[test]
fn a_set_of_keys_is_what_firmware_takes() {
    let dir = tempfile::tempdir().expect("a folder");
    let folder = dir.path().join("keys");
    let files = keyset::make(&folder, "A, B", NOW, Db::New).expect("makes");
    assert_eq!(files.len(), 15);
    let read = |name: &str| fs::read(folder.join(name)).expect("reads");
    for variable in Variable::ALL {
        let name = variable.name();
        let auth = read(&format!("{name}.auth"));
        let list = read(&format!("{name}.esl"));
        let found = enrolment::read(variable, &auth).expect("reads");
        assert_eq!(found, [read(&format!("{name}.cer"))]);
        assert!(auth.ends_with(&list));
        // 2026-11-22 20:00:00, then the certificate's header.
        assert_eq!(auth[..8], [0xea, 7, 11, 22, 20, 0, 0, 0]);
        assert_eq!(auth[20..24], [0x00, 0x02, 0xf1, 0x0e]);
        // Firmware finds the hash's name at this place.
        assert_eq!(auth[40 + 13..40 + 15], [0x60, 0x86]);
        let mode = |file: &str| {
            let path = folder.join(format!("{name}.{file}"));
            fs::metadata(path).expect("there").permissions().mode() & 0o777
        };
        assert_eq!((mode("key"), mode("auth") & 0o400), (0o600, 0o400));
        let mut changed = auth.clone();
        *changed.last_mut().expect("a byte") ^= 1;
        assert!(enrolment::read(variable, &changed).is_err());
    }
    assert!(enrolment::read(Variable::Kek, &read("PK.auth")).is_err());
    let pk = Certificate::from_der(&read("PK.cer")).expect("a certificate");
    assert_eq!(pk.subject(), "CN=A\\, B PK");
    assert_eq!((pk.bits(), pk.not_before()), (2048, NOW));
    assert!(keyset::make(&folder, "A", NOW, Db::New).is_err(), "again");

    let by_program = Db::Command(certificate(), vec!["sign".to_owned()]);
    let folder = dir.path().join("hsm");
    let files = keyset::make(&folder, "A", NOW, by_program).expect("makes");
    assert!(files.contains(&"db.command".to_owned()) && !files.contains(&"db.key".to_owned()));
    let auth = fs::read(folder.join("db.auth")).expect("reads");
    let found = enrolment::read(Variable::Db, &auth).expect("reads");
    assert_eq!(found, [certificate().der()]);
}

#[test]
fn lists_are_as_the_specification_says() {
    let owner = Guid::from_bytes([7; 16]);
    let list = enrolment::list(&certificate(), owner);
    let der = certificate().der().len() as u32;
    assert_eq!(list[..4], [0xa1, 0x59, 0xc0, 0xa5]);
    assert_eq!(list[16..20], (28 + 16 + der).to_le_bytes());
    assert_eq!(list[24..28], (16 + der).to_le_bytes());
    assert_eq!(list[44..], *certificate().der());
}

proptest! {
    #[test]
    fn never_panics(bytes in prop::collection::vec(any::<u8>(), 0..300), at in 0usize..2500) {
        let _ = Certificate::from_der(&bytes);
        let _ = pkcs7::open_detached(&bytes, b"");
        let _ = enrolment::read(Variable::Db, &bytes);
        let list = enrolment::list(&certificate(), Guid::from_bytes([7; 16]));
        let mut auth =
            enrolment::authenticated(Variable::Db, &list, NOW, &testing::signer()).expect("signs");
        for (to, from) in auth.iter_mut().skip(at).zip(bytes) {
            *to = from;
        }
        let _ = enrolment::read(Variable::Db, &auth);
    }
}
