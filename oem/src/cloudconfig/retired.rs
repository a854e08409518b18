//! Tables of `coreos` for programs that are no more. Accepted, so that an old file
//! still works, and explained, so that its user knows what to do.

use super::CloudConfig;
use super::node::Kind;
use super::read::{Fields, Reader, shorten};
use super::schema::Type::Names;
use super::schema::{Section, key};

pub(super) const SECTION: Section = Section {
    title: "Retired programs",
    keys: &[
        key(
            "coreos.etcd",
            Names(ETCD),
            "etcd 0.4 is gone; use `coreos.etcd2`",
        )
        .not_applied(),
        key(
            "coreos.fleet",
            Names(FLEET),
            "fleet is gone; write the units of this machine into `coreos.units`",
        )
        .not_applied(),
    ],
    example: "",
    read: |coreos, _: &mut CloudConfig, r| {
        table(
            coreos,
            "etcd",
            ETCD,
            "etcd 0.4 is gone; its settings do not fit what came after it",
            "write them in the words of `coreos.etcd2`",
            r,
        );
        table(
            coreos,
            "fleet",
            FLEET,
            "fleet is gone; nothing schedules units over machines",
            "write the units of this machine into coreos.units",
            r,
        );
    },
};

fn table(coreos: &Fields<'_>, name: &str, fields: &str, why: &str, hint: &str, r: &mut Reader) {
    let Some((spot, node)) = coreos.entry(name) else {
        return;
    };
    let path = coreos.key(name);
    r.warn(spot, &path, format!("accepted, not applied: {why}"), hint);
    let Kind::Map(entries) = &node.kind else {
        return;
    };
    let known: Vec<&str> = fields.split_whitespace().collect();
    for (key, _) in entries {
        let Kind::Scalar { text, .. } = &key.kind else {
            continue;
        };
        let word = text.replace('-', "_");
        if !known.contains(&word.as_str()) {
            let at = format!("{path}.{}", shorten(text));
            r.unknown(key.spot, &at, &word, &known);
        }
    }
}

/// Fields of `coreos.etcd`.
const ETCD: &str = "addr advertise_client_urls bind_addr ca_file cert_file cluster_active_size \
    cluster_remove_delay cluster_sync_interval cors data_dir discovery discovery_fallback \
    discovery_srv discovery_proxy election_timeout force_new_cluster graphite_host \
    heartbeat_interval http_read_timeout http_write_timeout initial_advertise_peer_urls \
    initial_cluster initial_cluster_state initial_cluster_token key_file listen_client_urls \
    listen_peer_urls max_result_buffer max_retry_attempts max_snapshots max_wals name peer_addr \
    peer_bind_addr peer_ca_file peer_cert_file peer_election_timeout peer_heartbeat_interval \
    peer_key_file peers peers_file proxy retry_interval snapshot snapshot_count trace verbose \
    very_verbose very_very_verbose";

/// Fields of `coreos.fleet`.
const FLEET: &str = "agent_ttl authorized_keys_file disable_engine engine_reconcile_interval \
    etcd_cafile etcd_certfile etcd_keyfile etcd_key_prefix etcd_request_timeout etcd_servers \
    etcd_username etcd_password metadata public_ip token_limit verbosity verify_units";
