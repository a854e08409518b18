//! `ca_certs`: certificate authorities that this machine trusts.

use super::CloudConfig;
use super::read::{Fields, Reader};
use super::schema::Type::{Either, Flag, List, Table, Text};
use super::schema::{Section, key};
use super::write_files::{Base, WriteFile};

const BUNDLE: &str = "/etc/ssl/certs/ca-certificates.crt";
/// The image's own.
const DEFAULT: &str = "/usr/share/holdfast/etc/ssl/certs/ca-certificates.crt";

pub(super) const SECTION: Section = Section {
    title: "Certificate authorities",
    keys: &[
        key(
            "ca_certs",
            Table,
            "certificate authorities in the system's bundle",
        ),
        key(
            "ca_certs.trusted",
            Either(&[List(&Text), Text]),
            "added to the bundle",
        ),
        key(
            "ca_certs.remove_defaults",
            Flag,
            "leave out those of the image",
        ),
    ],
    example: EXAMPLE,
    read,
};

const EXAMPLE: &str = "\
ca_certs:
  remove_defaults: false
  trusted:
    - |
      -----BEGIN CERTIFICATE-----
      MIIB...
      -----END CERTIFICATE-----
";

fn read(f: &Fields<'_>, config: &mut CloudConfig, r: &mut Reader) {
    let Some(node) = f.get("ca_certs") else {
        return;
    };
    let Some(f) = r.table(node, "ca_certs", SECTION.keys, "ca_certs.") else {
        return;
    };
    let remove = f.boolean("remove_defaults", r) == Some(true);
    let mut text = String::new();
    if let Some(n) = f.get("trusted") {
        let path = f.key("trusted");
        let one = std::slice::from_ref(n);
        let items = match &n.kind {
            super::node::Kind::Scalar { .. } => one,
            _ => r.list(n, &path),
        };
        for (i, item) in items.iter().enumerate() {
            let path = format!("{path}[{i}]");
            let Some(pem) = r.string(item, &path) else {
                continue;
            };
            let body = pem.value.trim();
            let whole = body.contains("-----BEGIN CERTIFICATE-----")
                && body.ends_with("-----END CERTIFICATE-----");
            if whole {
                text += body;
                text.push('\n');
            } else {
                let hint =
                    "the text from `-----BEGIN CERTIFICATE-----` to `-----END CERTIFICATE-----`";
                r.error(pem.spot, &path, "not a certificate in PEM format", hint);
            }
        }
    }
    if text.is_empty() && !remove {
        return;
    }
    let mut file = WriteFile::text(BUNDLE, text, f.spot);
    if !remove {
        file.base = Base::File(DEFAULT);
    }
    config.write_files.push(file.at(f.spot));
}
