use super::{Attributes, ENTRY_SIZE, Error, Guid, Partition, Table, crc32};

const SIGNATURE: &[u8; 8] = b"EFI PART";
const REVISION_1_0: u32 = 0x0001_0000;
const HEADER_SIZE: usize = 92;
/// Tables larger than this are refused; the usual size is 16 KiB.
const MAX_ENTRY_BYTES: u64 = 1024 * 1024;

/// The fields of a GPT header that passed its checksum.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// Sector this header is in.
    pub my_lba: u64,
    /// Sector of the other copy.
    pub other_lba: u64,
    /// First sector a partition may use.
    pub first_usable: u64,
    /// Last sector a partition may use (inclusive).
    pub last_usable: u64,
    /// GUID of the disk.
    pub disk_guid: Guid,
    /// First sector of the entries.
    pub entries_lba: u64,
    /// Number of entries.
    pub entry_count: u32,
    /// Bytes of one entry.
    pub entry_size: u32,
    /// Checksum of all entries.
    pub entries_crc: u32,
}

impl Header {
    /// Bytes all entries take, at most 1 MiB.
    pub fn entry_bytes(&self) -> usize {
        self.entry_count as usize * self.entry_size as usize
    }
}

fn array<const N: usize>(bytes: &[u8], at: usize) -> Result<[u8; N], Error> {
    bytes
        .get(at..at.saturating_add(N))
        .and_then(|slice| slice.try_into().ok())
        .ok_or(Error::Short {
            need: at.saturating_add(N),
            have: bytes.len(),
        })
}

fn u32_at(bytes: &[u8], at: usize) -> Result<u32, Error> {
    array(bytes, at).map(u32::from_le_bytes)
}

fn u64_at(bytes: &[u8], at: usize) -> Result<u64, Error> {
    array(bytes, at).map(u64::from_le_bytes)
}

/// Decodes the header in `sector`, which was read from sector number `lba`.
pub fn decode_header(sector: &[u8], lba: u64) -> Result<Header, Error> {
    if array::<8>(sector, 0)? != *SIGNATURE {
        return Err(Error::NoSignature);
    }
    if u32_at(sector, 8)? < REVISION_1_0 {
        return Err(Error::BadHeader("revision"));
    }
    let size = u32_at(sector, 12)? as usize;
    if size < HEADER_SIZE || size > sector.len() {
        return Err(Error::BadHeader("header size"));
    }
    let mut checked = sector[..size].to_vec();
    checked[16..20].fill(0);
    if crc32(&checked) != u32_at(sector, 16)? {
        return Err(Error::HeaderChecksum);
    }
    let header = Header {
        my_lba: u64_at(sector, 24)?,
        other_lba: u64_at(sector, 32)?,
        first_usable: u64_at(sector, 40)?,
        last_usable: u64_at(sector, 48)?,
        disk_guid: Guid::from_disk(array(sector, 56)?),
        entries_lba: u64_at(sector, 72)?,
        entry_count: u32_at(sector, 80)?,
        entry_size: u32_at(sector, 84)?,
        entries_crc: u32_at(sector, 88)?,
    };
    if header.my_lba != lba {
        return Err(Error::BadHeader("own position"));
    }
    if header.entry_size < ENTRY_SIZE || !header.entry_size.is_power_of_two() {
        return Err(Error::BadHeader("entry size"));
    }
    if header.entry_count == 0
        || u64::from(header.entry_count) * u64::from(header.entry_size) > MAX_ENTRY_BYTES
    {
        return Err(Error::BadHeader("number of entries"));
    }
    if header.first_usable > header.last_usable || header.last_usable == u64::MAX {
        return Err(Error::BadHeader("usable area"));
    }
    Ok(header)
}

/// Decodes the entries that belong to `header` and checks the whole table.
pub fn decode_entries(header: &Header, entries: &[u8], sector_size: u32) -> Result<Table, Error> {
    let length = header.entry_bytes();
    let entries = entries.get(..length).ok_or(Error::Short {
        need: length,
        have: entries.len(),
    })?;
    if crc32(entries) != header.entries_crc {
        return Err(Error::EntriesChecksum);
    }
    let mut partitions = Vec::new();
    for (number, entry) in (1..).zip(entries.chunks_exact(header.entry_size as usize)) {
        let type_guid = Guid::from_disk(array(entry, 0)?);
        if type_guid == Guid::ZERO {
            continue;
        }
        let units: Vec<u16> = entry[56..128]
            .as_chunks::<2>()
            .0
            .iter()
            .map(|unit| u16::from_le_bytes(*unit))
            .take_while(|unit| *unit != 0)
            .collect();
        partitions.push(Partition {
            number,
            type_guid,
            guid: Guid::from_disk(array(entry, 16)?),
            first_lba: u64_at(entry, 32)?,
            last_lba: u64_at(entry, 40)?,
            attributes: Attributes(u64_at(entry, 48)?),
            name: String::from_utf16_lossy(&units),
        });
    }
    let table = Table {
        sector_size,
        disk_sectors: header
            .my_lba
            .max(header.other_lba)
            .checked_add(1)
            .ok_or(Error::BadHeader("other position"))?,
        disk_guid: header.disk_guid,
        first_usable: header.first_usable,
        last_usable: header.last_usable,
        entry_count: header.entry_count,
        partitions,
    };
    table.check()?;
    Ok(table)
}
