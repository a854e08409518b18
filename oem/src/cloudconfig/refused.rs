//! Keys of cloud-init and CoreOS that mean nothing on this system: warned about
//! by name and with what to use instead, so that nobody wonders whether they were
//! a typing error.

/// A key, and what to use in its place.
#[derive(Debug)]
pub struct Refused {
    /// The key.
    pub name: &'static str,
    /// What to use instead.
    pub instead: &'static str,
}

const fn key(name: &'static str, instead: &'static str) -> Refused {
    Refused { name, instead }
}

const PACKAGES: &str = "/usr cannot be changed: run the program in a container, or add the package to the image's recipe (`packages:`)";
const REPOSITORIES: &str =
    "there is no package manager here: add packages to the image's recipe (`packages:`)";
const MANAGER: &str =
    "run the agent in a container, from a unit in coreos.units with `command: start`";
const SUBSCRIPTION: &str = "this system has no subscription; leave the key out";
const STAGES: &str = "what is applied, and in which order, is fixed here; leave the key out";

/// At the top level.
pub const KEYS: &[Refused] = &[
    key("ansible", MANAGER),
    key("apk_repos", REPOSITORIES),
    key("apt", REPOSITORIES),
    key("apt_pipelining", REPOSITORIES),
    key("apt_mirror", REPOSITORIES),
    key("apt_preserve_sources_list", REPOSITORIES),
    key("apt_proxy", REPOSITORIES),
    key(
        "apt_reboot_if_required",
        "updates of this system are images; see `coreos.update.reboot_strategy`",
    ),
    key("apt_sources", REPOSITORIES),
    key("apt_update", REPOSITORIES),
    key("apt_upgrade", REPOSITORIES),
    key(
        "autoinstall",
        "the image is the installed system; leave the key out",
    ),
    key("byobu_by_default", PACKAGES),
    key("chef", MANAGER),
    key("cloud_config_modules", STAGES),
    key("cloud_final_modules", STAGES),
    key("cloud_init_modules", STAGES),
    key(
        "datasource",
        "pin the provider in oem.yaml on the OEM partition (`provider: cloudstack`)",
    ),
    key(
        "datasource_list",
        "pin the provider in oem.yaml on the OEM partition (`provider: cloudstack`)",
    ),
    key(
        "drivers",
        "drivers are in the image; add modules to its recipe",
    ),
    key(
        "fan",
        "use a wireguard interface or a netdev unit in coreos.units",
    ),
    key("grub_dpkg", "the boot loader is part of the image"),
    key(
        "jinja",
        "write the values out, or use $public_ipv4 and $private_ipv4",
    ),
    key("landscape", SUBSCRIPTION),
    key(
        "launch_index",
        "every part is applied on every machine; send each machine its own user-data",
    ),
    key("lxd", "run containers with docker or systemd-nspawn"),
    key("mcollective", MANAGER),
    key("migrate", STAGES),
    key(
        "network",
        "the provider's network configuration is applied, not one in user-data: write `.network` units into coreos.units",
    ),
    key(
        "output",
        "output of tasks is in the journal: `journalctl -u 'oem*'`",
    ),
    key(
        "package_reboot_if_required",
        "updates of this system are images; see `coreos.update.reboot_strategy`",
    ),
    key("package_update", REPOSITORIES),
    key(
        "package_upgrade",
        "updates of this system are images; see `coreos.update`",
    ),
    key("packages", PACKAGES),
    key("puppet", MANAGER),
    key(
        "reporting",
        "`oem status --json` has the result; `phone_home` sends a message",
    ),
    key("rh_subscription", SUBSCRIPTION),
    key("rpi", "boards are not supported by this image"),
    key(
        "rsyslog",
        "there is no syslog daemon: run one in a container that reads /run/log/journal, or set `ForwardToSocket=` in /etc/systemd/journald.conf.d",
    ),
    key("salt_minion", MANAGER),
    key("snap", PACKAGES),
    key("snappy", PACKAGES),
    key("spacewalk", SUBSCRIPTION),
    key(
        "system_info",
        "the default user is `core`; add others under `users`",
    ),
    key("ubuntu_advantage", SUBSCRIPTION),
    key(
        "ubuntu_autoinstall",
        "the image is the installed system; leave the key out",
    ),
    key("ubuntu_pro", SUBSCRIPTION),
    key(
        "user",
        "the default user is `core`; add others under `users`",
    ),
    key("yum_repo_dir", REPOSITORIES),
    key("yum_repos", REPOSITORIES),
    key("zypper", REPOSITORIES),
];

/// In the table `coreos`.
pub const COREOS: &[Refused] = &[
    key(
        "ssh_import_github",
        "write `coreos_ssh_import_github` into an item of `users`",
    ),
    key(
        "write_files",
        "`write_files` stands at the top level, not under `coreos`",
    ),
];
