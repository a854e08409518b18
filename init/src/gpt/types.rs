//! Partition type GUIDs: those of the UEFI and the Discoverable Partitions Specification that Holdfast uses.
use super::Guid;

/// EFI system partition.
pub const ESP: Guid = Guid::literal("c12a7328-f81f-11d2-ba4b-00a0c93ec93b");
/// BIOS boot partition (GRUB's core image).
pub const BIOS_BOOT: Guid = Guid::literal("21686148-6449-6e6f-744e-656564454649");
/// Generic Linux data.
pub const LINUX_GENERIC: Guid = Guid::literal("0fc63daf-8483-4772-8e79-3d69d8477de4");

/// The types whose GUID depends on the architecture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ArchTypes {
    /// `/usr`.
    pub usr: Guid,
    /// Verity tree of `/usr`.
    pub usr_verity: Guid,
    /// Signature of the root hash of `/usr`.
    pub usr_verity_sig: Guid,
    /// The root file system.
    pub root: Guid,
}

/// x86-64.
pub const X86_64: ArchTypes = ArchTypes {
    usr: Guid::literal("8484680c-9521-48c6-9c11-b0720656f69e"),
    usr_verity: Guid::literal("77ff5f63-e7b6-4633-acf4-1565b864c0e6"),
    usr_verity_sig: Guid::literal("e7bb33fb-06cf-4e81-8273-e543b413e2e2"),
    root: Guid::literal("4f68bce3-e8cd-4db1-96e7-fbcaf984b709"),
};
/// 64-bit ARM.
pub const ARM64: ArchTypes = ArchTypes {
    usr: Guid::literal("b0e01050-ee5f-4390-949a-9101b17104e9"),
    usr_verity: Guid::literal("6e11a4e7-fbca-4ded-b9e9-e1a512bb664e"),
    usr_verity_sig: Guid::literal("c23ce4ff-44bd-4b00-b2d4-b41b3419e02a"),
    root: Guid::literal("b921b045-1df0-41c3-af44-4c6f280d3fae"),
};
/// The architecture this program was built for.
pub const NATIVE: ArchTypes = if cfg!(target_arch = "aarch64") {
    ARM64
} else {
    X86_64
};

/// `/usr` on the native architecture.
pub const USR: Guid = NATIVE.usr;
/// Verity tree of `/usr` on the native architecture.
pub const USR_VERITY: Guid = NATIVE.usr_verity;
/// Root file system on the native architecture.
pub const ROOT: Guid = NATIVE.root;
