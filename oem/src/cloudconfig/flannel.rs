//! `coreos.flannel`: the environment file that flannel's units read.

use super::CloudConfig;
use super::etcd::variables;
use super::read::{Fields, Reader};
use super::schema::Type::{As, Table, Text};
use super::schema::{Key, Section, key};

pub(super) const SECTION: Section = Section {
    title: "flannel",
    keys: &[
        key(
            "coreos.flannel",
            Table,
            "written to /run/flannel/options.env; run flannel from a unit of your own",
        ),
        field("coreos.flannel.etcd_endpoints"),
        field("coreos.flannel.etcd_cafile"),
        field("coreos.flannel.etcd_certfile"),
        field("coreos.flannel.etcd_keyfile"),
        field("coreos.flannel.etcd_prefix"),
        field("coreos.flannel.etcd_username"),
        field("coreos.flannel.etcd_password"),
        field("coreos.flannel.ip_masq"),
        field("coreos.flannel.subnet_file"),
        key("coreos.flannel.interface", Text, "as FLANNELD_IFACE"),
        field("coreos.flannel.public_ip"),
    ],
    example: EXAMPLE,
    read,
};

const EXAMPLE: &str = "\
coreos:
  flannel:
    etcd_endpoints: https://192.0.2.1:2379
    etcd_prefix: /coreos.com/network
    etcd_cafile: /etc/etcd/ca.pem
    etcd_certfile: /etc/etcd/cert.pem
    etcd_keyfile: /etc/etcd/key.pem
    etcd_username: flannel
    etcd_password: secret
    interface: $private_ipv4
    public_ip: $public_ipv4
    ip_masq: true
    subnet_file: /run/flannel/subnet.env
";

const fn field(name: &'static str) -> Key {
    key(name, As("value"), "as FLANNELD_NAME")
}

fn read(coreos: &Fields<'_>, config: &mut CloudConfig, r: &mut Reader) {
    let Some(node) = coreos.get("flannel") else {
        return;
    };
    let Some(f) = r.table(node, "coreos.flannel", SECTION.keys, "coreos.flannel.") else {
        return;
    };
    let name_of = |field: &str| match field {
        "interface" => "FLANNELD_IFACE".to_owned(),
        _ => format!("FLANNELD_{}", field.to_ascii_uppercase()),
    };
    if let Some(mut file) = variables(&f, "/run/flannel/options.env", name_of, r) {
        // It may hold a password.
        file.mode = Some(0o600);
        config.write_files.push(file.at(f.spot));
    }
}
