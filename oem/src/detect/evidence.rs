//! What the machine shows about where it runs. Reading only; missing files are
//! normal, nothing here fails.

use super::cmdline::{self, Cmdline};
use crate::media::Volume;
use crate::provider::PROVIDERS;
use serde::{Deserialize, Serialize};
use std::fs;
use std::path::Path;

/// Largest text file worth reading here, in bytes.
const TEXT_LIMIT: u64 = 64 << 10;

/// SMBIOS strings as the kernel shows them in `/sys/class/dmi/id`. Empty
/// where absent.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[expect(missing_docs, reason = "named after the files")]
pub struct Dmi {
    pub sys_vendor: String,
    pub product_name: String,
    pub product_version: String,
    pub product_family: String,
    pub product_uuid: String,
    pub product_serial: String,
    pub board_vendor: String,
    pub chassis_vendor: String,
    pub chassis_asset_tag: String,
    pub bios_vendor: String,
    pub bios_version: String,
}

/// A block device with a file system we can read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Disk {
    /// Kernel name, e.g. `sr0`.
    pub device: String,
    /// Volume label.
    pub label: String,
    /// `iso9660`, `udf` or `vfat`.
    pub kind: String,
}

/// Everything detection looks at.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Evidence {
    /// SMBIOS strings.
    pub dmi: Dmi,
    /// `/sys/hypervisor/type`, e.g. `xen`.
    pub hypervisor: String,
    /// `/sys/hypervisor/uuid`.
    pub hypervisor_uuid: String,
    /// Labelled disks.
    pub disks: Vec<Disk>,
    /// Kernel command line.
    pub cmdline: Cmdline,
    /// `provider:` in the OEM partition's `oem.yaml`.
    pub oem_provider: Option<String>,
    /// Names of QEMU firmware configuration entries below `opt/`.
    pub fw_cfg: Vec<String>,
    /// Names of systemd's system credentials.
    pub credentials: Vec<String>,
    /// Names of virtio ports.
    pub virtio_ports: Vec<String>,
    /// Those of the providers' [`crate::provider::Provider::files`] that are there.
    pub files: Vec<String>,
    /// What could not be read though it is there.
    pub warnings: Vec<String>,
}

/// The part of `oem.yaml` that matters here; the agent reads the rest.
#[derive(Deserialize)]
struct OemFile {
    provider: Option<String>,
}

impl Evidence {
    /// Reads everything below `root` (`/` on a running machine).
    pub fn gather(root: &Path) -> Evidence {
        let dmi_dir = root.join("sys/class/dmi/id");
        let dmi = |name: &str| line(&dmi_dir.join(name));
        let mut evidence = Evidence {
            dmi: Dmi {
                sys_vendor: dmi("sys_vendor"),
                product_name: dmi("product_name"),
                product_version: dmi("product_version"),
                product_family: dmi("product_family"),
                product_uuid: dmi("product_uuid"),
                product_serial: dmi("product_serial"),
                board_vendor: dmi("board_vendor"),
                chassis_vendor: dmi("chassis_vendor"),
                chassis_asset_tag: dmi("chassis_asset_tag"),
                bios_vendor: dmi("bios_vendor"),
                bios_version: dmi("bios_version"),
            },
            hypervisor: line(&root.join("sys/hypervisor/type")),
            hypervisor_uuid: line(&root.join("sys/hypervisor/uuid")),
            disks: disks(root),
            cmdline: cmdline::parse(&text(&root.join("proc/cmdline")).unwrap_or_default()),
            fw_cfg: fw_cfg(root),
            credentials: names(&root.join("run/credentials/@system")),
            virtio_ports: virtio_ports(root),
            files: files(root),
            ..Evidence::default()
        };
        if let Some(yaml) = text(&root.join("usr/share/oem/oem.yaml")) {
            match serde_saphyr::from_str::<Option<OemFile>>(&yaml) {
                Ok(file) => evidence.oem_provider = file.and_then(|f| f.provider),
                Err(e) => {
                    let cause = e.to_string();
                    let cause = cause.lines().next().unwrap_or_default();
                    evidence
                        .warnings
                        .push(format!("/usr/share/oem/oem.yaml: {cause}: ignored"));
                }
            }
        }
        evidence
    }

    /// The operator's choice of provider and where it was made.
    pub fn pin(&self) -> Option<(String, String)> {
        self.cmdline.provider.clone().or_else(|| {
            let name = self.oem_provider.clone()?;
            Some((name, "`provider:` in /usr/share/oem/oem.yaml".to_owned()))
        })
    }

    /// Whether a provider's file is there.
    pub fn has(&self, file: &str) -> bool {
        self.files.iter().any(|f| f == file)
    }

    /// The first disk with one of `labels`, case ignored.
    pub fn disk(&self, labels: &[&str]) -> Option<&Disk> {
        self.disks
            .iter()
            .find(|d| labels.iter().any(|l| d.label.eq_ignore_ascii_case(l)))
    }
}

/// A small text file, or `None` when absent or unreadable.
fn text(path: &Path) -> Option<String> {
    use std::io::Read;
    let mut bytes = Vec::new();
    fs::File::open(path)
        .ok()?
        .take(TEXT_LIMIT)
        .read_to_end(&mut bytes)
        .ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

fn line(path: &Path) -> String {
    text(path).unwrap_or_default().trim().to_owned()
}

/// Sorted names in a directory.
fn names(dir: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(dir)
        .into_iter()
        .flatten()
        .flatten()
        .map(|e| e.file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

fn virtio_ports(root: &Path) -> Vec<String> {
    let class = root.join("sys/class/virtio-ports");
    let ports = names(&class).into_iter();
    ports
        .map(|port| line(&class.join(port).join("name")))
        .filter(|name| !name.is_empty())
        .collect()
}

fn files(root: &Path) -> Vec<String> {
    let wanted = PROVIDERS.iter().flat_map(|p| p.files);
    wanted
        .filter(|file| root.join(file).exists())
        .map(|file| (*file).to_owned())
        .collect()
}

fn fw_cfg(root: &Path) -> Vec<String> {
    let opt = root.join("sys/firmware/qemu_fw_cfg/by_name/opt");
    let groups = names(&opt);
    groups
        .iter()
        .flat_map(|g| {
            names(&opt.join(g))
                .into_iter()
                .map(move |n| format!("opt/{g}/{n}"))
        })
        .collect()
}

/// Labels of every block device that carries ISO 9660, UDF or FAT. Devices made by
/// the kernel for its own use cannot be configuration drives, and opening an
/// empty floppy drive takes seconds.
fn disks(root: &Path) -> Vec<Disk> {
    const NOT_DRIVES: [&str; 8] = ["loop", "ram", "zram", "dm-", "md", "nbd", "fd", "mtdblock"];
    let class = root.join("sys/class/block");
    let candidates = names(&class).into_iter().filter(|n| {
        !NOT_DRIVES.iter().any(|p| n.starts_with(p)) && line(&class.join(n).join("size")) != "0"
    });
    candidates
        .filter_map(|device| {
            let volume = Volume::open(fs::File::open(root.join("dev").join(&device)).ok()?).ok()?;
            let label = volume.label().to_owned();
            Some(Disk {
                device,
                label,
                kind: volume.kind().to_owned(),
            })
        })
        .collect()
}
