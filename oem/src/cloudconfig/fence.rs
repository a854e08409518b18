//! `fence_metadata`: the metadata service is for root alone. What it tells (user-data,
//! tokens of the machine's role) is for the machine, not for whoever runs on it.
//!
//! Two rules of the routing table for each address, made before there is a network: who
//! is root on the machine itself passes, all others are told that it is not permitted.
//! So are containers with an address of their own, whose packets are forwarded: these
//! have no user. Name servers and clocks at the same addresses are on other ports.

use super::CloudConfig;
use super::diag::At;
use super::read::{Fields, Reader};
use super::schema::Type::Flag;
use super::schema::{Section, key};
use super::units::{Unit, Verb};
use std::fmt::Write as _;

const UNIT: &str = "metadata-fence.service";

/// Where providers have it, and the ports: EC2's, which nearly all took over; Azure's,
/// with its agents' port; Alibaba's; EC2's, Google's and Scaleway's by IPv6.
const ADDRESSES: [(&str, u16); 7] = [
    ("169.254.169.254", 80),
    ("168.63.129.16", 80),
    ("168.63.129.16", 32526),
    ("100.100.100.200", 80),
    ("fd00:ec2::254", 80),
    ("fd20:ce::254", 80),
    ("fd00:42::42", 80),
];

pub(super) const SECTION: Section = Section {
    title: "Metadata service",
    keys: &[key(
        "fence_metadata",
        Flag,
        "true: only root reaches the provider's metadata service, and no container with an address of its own does",
    )],
    example: EXAMPLE,
    read,
};

const EXAMPLE: &str = "fence_metadata: true\n";

fn read(f: &Fields<'_>, config: &mut CloudConfig, r: &mut Reader) {
    let Some((spot, _)) = f.entry("fence_metadata") else {
        return;
    };
    if f.boolean("fence_metadata", r) == Some(true) {
        let mut unit = Unit::named(UNIT, spot);
        unit.content = Some(content());
        unit.enable = true;
        unit.command = Some(Verb::Start);
        config.units.push(At { spot, value: unit });
    }
}

fn content() -> String {
    let mut text = "[Unit]
Description=Keep the metadata service for root alone
DefaultDependencies=no
Wants=network-pre.target
Before=network-pre.target shutdown.target
Conflicts=shutdown.target

[Service]
Type=oneshot
RemainAfterExit=yes
"
    .to_owned();
    for (verb, line) in [("add", "ExecStart="), ("del", "ExecStop=-")] {
        for (address, port) in ADDRESSES {
            // A machine may be without IPv6.
            let (ip, may_fail) = match address.contains(':') {
                true => ("ip -6", if verb == "add" { "-" } else { "" }),
                false => ("ip", ""),
            };
            // networkd removes rules of others, but not the kernel's.
            let to = format!("to {address} ipproto tcp dport {port} protocol kernel");
            let rule = format!("{line}{may_fail}/usr/sbin/{ip} rule {verb}");
            let _ = writeln!(
                text,
                "{rule} priority 90 iif lo uidrange 0-0 {to} lookup main"
            );
            let _ = writeln!(text, "{rule} priority 91 {to} prohibit");
        }
    }
    text + "\n[Install]\nWantedBy=sysinit.target\n"
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    fn others_than_root_are_told_no() {
        // In a network of its own, where this may be made.
        let mut script = String::from("set -e\n");
        for line in content().lines() {
            let rule = line.strip_prefix("ExecStart=");
            if let Some(rule) = rule.filter(|r| !r.starts_with('-')) {
                script += &format!("{rule}\n");
            }
        }
        script += "ip link set lo up\nip route add default dev lo\n\
            way() { ip route get \"$@\" >/dev/null 2>&1 && echo yes || echo no; }\n\
            for port in 80 81; do for uid in 0 1000; do\n\
            way 169.254.169.254 ipproto tcp dport $port uid $uid; done; done\n\
            way 169.254.169.253 ipproto tcp dport 80 uid 1000\n";
        let mut command = Command::new("unshare");
        let output = command.args(["--net", "sh", "-c", &script]).output();
        let Some(output) = output.ok().filter(|o| o.status.success()) else {
            println!("no network can be made here: not tried");
            return;
        };
        let ways = String::from_utf8_lossy(&output.stdout).replace('\n', " ");
        assert_eq!(ways, "yes no yes yes yes ");
    }
}
