//! `phone_home`: one POST when the machine is ready, once on an instance.

use super::CloudConfig;
use super::node::Kind;
use super::read::{Fields, Reader};
use super::schema::Type::{As, Number, Table};
use super::schema::{Section, WORDS, key};
use super::shell::quote;
use super::tasks::{Frequency, Phase, Task};

/// What can be sent, and the shell's word for it.
const VALUES: [(&str, &str); 6] = [
    ("pub_key_rsa", "@/etc/ssh/ssh_host_rsa_key.pub"),
    ("pub_key_ecdsa", "@/etc/ssh/ssh_host_ecdsa_key.pub"),
    ("pub_key_ed25519", "@/etc/ssh/ssh_host_ed25519_key.pub"),
    ("instance_id", "$INSTANCE_ID"),
    ("hostname", "$(hostname)"),
    ("fqdn", "$(hostname -f 2>/dev/null || hostname)"),
];

pub(super) const SECTION: Section = Section {
    title: "Phone home",
    keys: &[
        key(
            "phone_home",
            Table,
            "tells an address that the machine is ready",
        )
        .each(Frequency::Instance),
        key(
            "phone_home.url",
            As("URL"),
            "where to; $INSTANCE_ID in it is replaced",
        )
        .required(),
        key(
            "phone_home.post",
            WORDS,
            "which of pub_key_rsa, pub_key_ecdsa, pub_key_ed25519, instance_id, hostname, fqdn; default `all`",
        ),
        key("phone_home.tries", Number, "default 10"),
    ],
    example: EXAMPLE,
    read,
};

const EXAMPLE: &str = "\
phone_home:
  url: https://example.com/ready/$INSTANCE_ID
  post: [hostname, instance_id, pub_key_ed25519]
  tries: 5
";

fn read(f: &Fields<'_>, config: &mut CloudConfig, r: &mut Reader) {
    let Some((spot, node)) = f.entry("phone_home") else {
        return;
    };
    let Some(f) = r.table(node, "phone_home", SECTION.keys, "phone_home.") else {
        return;
    };
    let Some(url) = f.line("url", r) else {
        r.error(f.spot, "phone_home", "needs a `url`", "");
        return;
    };
    if !["http://", "https://"]
        .iter()
        .any(|s| url.value.starts_with(s))
    {
        r.error(
            url.spot,
            "phone_home.url",
            "not a web address",
            "start it with `https://`",
        );
        return;
    }
    let mut names: Vec<&str> = VALUES.iter().map(|(name, _)| *name).collect();
    if let Some(n) = f.get("post") {
        let all = matches!(&n.kind, Kind::Scalar { text, .. } if text == "all");
        if !all {
            let wanted = r.words(n, "phone_home.post");
            for word in wanted.iter().filter(|w| w.value != "pub_key_dsa") {
                r.word(
                    word,
                    "phone_home.post",
                    &names,
                    "nothing of that name is sent",
                );
            }
            names.retain(|n| wanted.iter().any(|w| w.value == *n));
        }
    }
    let tries = match f.get("tries") {
        Some(n) => r.number(n, "phone_home.tries").unwrap_or(10).clamp(1, 1000),
        None => 10,
    };
    let mut body = format!(
        "url={}\nhead=${{url%%'$INSTANCE_ID'*}}\n\
         [ \"$head\" = \"$url\" ] || url=\"$head$INSTANCE_ID${{url#*'$INSTANCE_ID'}}\"\nset --\n",
        quote(&url.value)
    );
    for (name, value) in VALUES.iter().filter(|(n, _)| names.contains(n)) {
        body += &match value.strip_prefix('@') {
            Some(path) => {
                format!("[ ! -r {path} ] || set -- \"$@\" --data-urlencode {name}@{path}\n")
            }
            None => format!("set -- \"$@\" --data-urlencode \"{name}={value}\"\n"),
        };
    }
    body += &format!(
        "exec curl -fsS -o /dev/null --retry {} --retry-delay 1 --retry-connrefused --max-time 60 \"$@\" \"$url\"\n",
        tries - 1
    );
    let about = "Tell that this machine is ready";
    let task = Task::shell("phone-home", about, &body, Frequency::Instance, Phase::Last);
    config.tasks.push(task.repeated().at(spot));
}
