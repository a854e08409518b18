//! Unified kernel images: systemd's EFI stub with kernel, initrd and command line
//! as further PE sections (UAPI UKI specification).
//!
//! Every section starts on a 512-byte sector of the file, so that GRUB can read
//! kernel and initrd out of it by block lists on BIOS machines. The reader is
//! [`updater::uki`].

use object::LittleEndian as LE;
use object::pe::{ImageDosHeader, ImageNtHeaders64};
use object::read::pe::{ImageNtHeaders, ImageOptionalHeader};

use super::pe::checksum;
use crate::error::{Context, Error, Result};

/// What goes into a UKI.
#[derive(Debug, Clone, Copy)]
pub struct Parts<'a> {
    /// systemd's stub (`linuxx64.efi.stub`).
    pub stub: &'a [u8],
    /// `os-release`; the version in it is what boot menus show.
    pub os_release: &'a str,
    /// Kernel command line, without a newline.
    pub cmdline: &'a str,
    /// Kernel release.
    pub uname: &'a str,
    /// Kernel (bzImage).
    pub linux: &'a [u8],
    /// Initrd.
    pub initrd: &'a [u8],
}

/// `IMAGE_SCN_CNT_INITIALIZED_DATA | IMAGE_SCN_MEM_READ`.
const DATA: u32 = 0x4000_0040;
const SECTION_HEADER: usize = 40;
const SECTOR: u32 = 512;

/// Makes the UKI.
pub fn build(parts: &Parts) -> Result<Vec<u8>> {
    let added = [
        (".osrel", parts.os_release.as_bytes()),
        (".cmdline", parts.cmdline.as_bytes()),
        (".uname", parts.uname.as_bytes()),
        (".initrd", parts.initrd),
        // Last, as the kernel may use the memory behind it when it is unpacked.
        (".linux", parts.linux),
    ];
    append(parts.stub, &added)
}

/// Adds sections to a PE file.
fn append(stub: &[u8], added: &[(&str, &[u8])]) -> Result<Vec<u8>> {
    let what = || "reading the EFI stub".to_owned();
    let dos = ImageDosHeader::parse(stub).input(what)?;
    let pe = dos.nt_headers_offset() as usize;
    let mut at = u64::from(dos.nt_headers_offset());
    let (nt, _) = ImageNtHeaders64::parse(stub, &mut at).input(what)?;
    let sections = nt.sections(stub, at).input(what)?;
    let header = nt.optional_header();
    let (alignment, file_alignment) = (header.section_alignment(), header.file_alignment());
    let table = at as usize;
    let last = sections.len();
    let room = (header.size_of_headers() as usize).saturating_sub(table) / SECTION_HEADER;
    if !alignment.is_power_of_two() || file_alignment != SECTOR {
        return Err(Error::input(format!(
            "the EFI stub's sections are aligned to {file_alignment} bytes, not 512"
        )));
    }
    if last + added.len() > room {
        return Err(Error::input(format!(
            "the EFI stub has room for {room} sections only"
        )));
    }

    let mut out = stub.to_vec();
    let mut address = 0;
    for section in sections.iter() {
        let end = section
            .virtual_address
            .get(LE)
            .saturating_add(section.virtual_size.get(LE));
        address = address.max(align(end, alignment)?);
    }
    let mut initialised = nt.optional_header.size_of_initialized_data.get(LE);
    for (index, (name, data)) in added.iter().enumerate() {
        out.resize(align(size(out.len())?, SECTOR)? as usize, 0);
        let (offset, len) = (size(out.len())?, size(data.len())?);
        out.extend_from_slice(data);
        out.resize(align(size(out.len())?, SECTOR)? as usize, 0);
        let raw = size(out.len())? - offset;

        let entry = table + SECTION_HEADER * (last + index);
        let mut short = [0; 8];
        for (to, from) in short.iter_mut().zip(name.bytes()) {
            *to = from;
        }
        patch(&mut out, entry, &short);
        for (field, value) in [len, address, raw, offset].into_iter().enumerate() {
            patch(&mut out, entry + 8 + 4 * field, &value.to_le_bytes());
        }
        patch(&mut out, entry + 36, &DATA.to_le_bytes());
        address = align(address.saturating_add(len), alignment)?;
        initialised = initialised.saturating_add(raw);
    }
    // Offsets in the COFF header and the PE32+ optional header.
    let count = u16::try_from(last + added.len()).unwrap_or(u16::MAX);
    patch(&mut out, pe + 6, &count.to_le_bytes());
    let optional = pe + 24;
    patch(&mut out, optional + 8, &initialised.to_le_bytes());
    patch(&mut out, optional + 56, &address.to_le_bytes());
    patch(&mut out, optional + 64, &[0; 4]);
    let sum = checksum(&out);
    patch(&mut out, optional + 64, &sum.to_le_bytes());
    Ok(out)
}

/// Overwrites bytes; all offsets used lie within the parsed headers.
fn patch(out: &mut [u8], at: usize, bytes: &[u8]) {
    if let Some(to) = out.get_mut(at..at + bytes.len()) {
        to.copy_from_slice(bytes);
    }
}

fn size(len: usize) -> Result<u32> {
    u32::try_from(len).map_err(|_| Error::input("a UKI cannot have 4 GiB or more"))
}

fn align(n: u32, to: u32) -> Result<u32> {
    n.checked_next_multiple_of(to)
        .ok_or_else(|| Error::input("a UKI cannot have 4 GiB or more"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A PE32+ file with one section and room for more.
    fn stub() -> Vec<u8> {
        let mut file = vec![0u8; 0x600];
        file[..2].copy_from_slice(b"MZ");
        file[0x3c..0x40].copy_from_slice(&0x40u32.to_le_bytes());
        file[0x40..0x44].copy_from_slice(b"PE\0\0");
        file[0x44..0x46].copy_from_slice(&0x8664u16.to_le_bytes());
        file[0x46..0x48].copy_from_slice(&1u16.to_le_bytes());
        file[0x54..0x56].copy_from_slice(&112u16.to_le_bytes());
        let optional = 0x58;
        file[optional..optional + 2].copy_from_slice(&0x20bu16.to_le_bytes());
        file[optional + 32..optional + 36].copy_from_slice(&4096u32.to_le_bytes());
        file[optional + 36..optional + 40].copy_from_slice(&512u32.to_le_bytes());
        file[optional + 60..optional + 64].copy_from_slice(&0x400u32.to_le_bytes());
        let section = optional + 112;
        file[section..section + 5].copy_from_slice(b".text");
        for (i, value) in [0x10u32, 0x1000, 0x200, 0x400].into_iter().enumerate() {
            file[section + 8 + 4 * i..section + 12 + 4 * i].copy_from_slice(&value.to_le_bytes());
        }
        file
    }

    #[test]
    fn what_is_written_is_read_back() {
        let (linux, initrd) = (vec![7u8; 70_000], vec![9u8; 1000]);
        let parts = Parts {
            stub: &stub(),
            os_release: "ID=holdfast\n",
            cmdline: "usrhash=00 quiet",
            uname: "6.12",
            linux: &linux,
            initrd: &initrd,
        };
        let uki = build(&parts).unwrap();
        assert_eq!(
            updater::uki::text(&uki, ".cmdline").unwrap().as_deref(),
            Some("usrhash=00 quiet")
        );
        assert_eq!(
            updater::uki::section(&uki, ".linux").unwrap(),
            Some(&linux[..])
        );
        let slot = updater::grub::Slot::from_uki(&"1".parse().unwrap(), &uki).unwrap();
        let at = slot.initrd.0 as usize * 512;
        assert_eq!(&uki[at..at + 1000], &initrd[..]);
        assert_eq!(slot.initrd.1, 2);
        // Sections follow each other in memory, a page each at least.
        let image = object::read::pe::PeFile64::parse(&*uki).unwrap();
        let mut end = 0x1000;
        for section in image.section_table().iter() {
            assert_eq!(section.virtual_address.get(LE), end);
            end = (end + section.virtual_size.get(LE)).next_multiple_of(4096);
        }
        assert_eq!(
            image.nt_headers().optional_header.size_of_image.get(LE),
            end
        );
    }

    #[test]
    fn refuses_what_is_no_stub() {
        assert!(append(b"MZ", &[]).is_err());
        assert!(append(&stub(), &[("x", &[][..]); 30]).is_err());
    }
}
