use super::{ENTRY_SIZE, Error, Table, crc32};

const HEADER_SIZE: usize = 92;

/// All bytes of a partition table, ready to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Encoded {
    /// Protective MBR for byte 0 of the disk; its first 440 bytes are free for boot code.
    pub protective_mbr: [u8; 512],
    /// Primary header and entries, whole sectors.
    pub primary: Vec<u8>,
    /// Byte offset of `primary` on the disk (one sector).
    pub primary_offset: u64,
    /// Backup entries and header, whole sectors.
    pub backup: Vec<u8>,
    /// Byte offset of `backup` on the disk.
    pub backup_offset: u64,
}

impl Table {
    /// Encodes both copies. The same table always gives the same bytes.
    pub fn encode(&self) -> Result<Encoded, Error> {
        self.check()?;
        let sector = self.sector_size as usize;
        let entry_sectors = self.entry_sectors();
        let room = self.first_usable >= 2 + entry_sectors
            && self
                .last_usable
                .checked_add(entry_sectors + 2)
                .is_some_and(|need| need <= self.disk_sectors);
        if !room {
            return Err(Error::TooSmall);
        }
        let entries = self.encode_entries()?;
        let last = self.disk_sectors - 1;
        let backup_entries = last - entry_sectors;
        let mut entries_padded = entries.clone();
        entries_padded.resize(entry_sectors as usize * sector, 0);

        let mut primary = self.encode_header(&entries, 1, last, 2);
        primary.extend_from_slice(&entries_padded);
        let mut backup = entries_padded;
        backup.extend_from_slice(&self.encode_header(&entries, last, 1, backup_entries));
        Ok(Encoded {
            protective_mbr: protective_mbr(self.disk_sectors),
            primary,
            primary_offset: u64::from(self.sector_size),
            backup,
            backup_offset: backup_entries * u64::from(self.sector_size),
        })
    }

    fn encode_entries(&self) -> Result<Vec<u8>, Error> {
        let mut bytes = vec![0u8; self.entry_count as usize * ENTRY_SIZE as usize];
        for partition in &self.partitions {
            let units: Vec<u16> = partition.name.encode_utf16().collect();
            if units.len() > 36 {
                return Err(Error::LongName(partition.name.clone()));
            }
            // `check` made sure that the number is between 1 and `entry_count`.
            let at = (partition.number - 1) as usize * ENTRY_SIZE as usize;
            let entry = &mut bytes[at..at + ENTRY_SIZE as usize];
            entry[0..16].copy_from_slice(&partition.type_guid.to_disk());
            entry[16..32].copy_from_slice(&partition.guid.to_disk());
            entry[32..40].copy_from_slice(&partition.first_lba.to_le_bytes());
            entry[40..48].copy_from_slice(&partition.last_lba.to_le_bytes());
            entry[48..56].copy_from_slice(&partition.attributes.0.to_le_bytes());
            for (place, unit) in entry[56..128].chunks_exact_mut(2).zip(units) {
                place.copy_from_slice(&unit.to_le_bytes());
            }
        }
        Ok(bytes)
    }

    /// One sector with the header.
    fn encode_header(
        &self,
        entries: &[u8],
        my_lba: u64,
        other_lba: u64,
        entries_lba: u64,
    ) -> Vec<u8> {
        let mut sector = Vec::with_capacity(self.sector_size as usize);
        sector.extend_from_slice(b"EFI PART");
        sector.extend_from_slice(&0x0001_0000u32.to_le_bytes());
        sector.extend_from_slice(&(HEADER_SIZE as u32).to_le_bytes());
        sector.extend_from_slice(&[0; 8]);
        sector.extend_from_slice(&my_lba.to_le_bytes());
        sector.extend_from_slice(&other_lba.to_le_bytes());
        sector.extend_from_slice(&self.first_usable.to_le_bytes());
        sector.extend_from_slice(&self.last_usable.to_le_bytes());
        sector.extend_from_slice(&self.disk_guid.to_disk());
        sector.extend_from_slice(&entries_lba.to_le_bytes());
        sector.extend_from_slice(&self.entry_count.to_le_bytes());
        sector.extend_from_slice(&ENTRY_SIZE.to_le_bytes());
        sector.extend_from_slice(&crc32(entries).to_le_bytes());
        let crc = crc32(&sector);
        sector[16..20].copy_from_slice(&crc.to_le_bytes());
        sector.resize(self.sector_size as usize, 0);
        sector
    }
}

/// The protective MBR of a GPT disk of `disk_sectors` sectors, without boot code.
pub fn protective_mbr(disk_sectors: u64) -> [u8; 512] {
    let mut mbr = [0u8; 512];
    // Entry 1: type 0xee from sector 1, with the CHS values the UEFI specification prescribes.
    mbr[446..454].copy_from_slice(&[0, 0, 2, 0, 0xee, 0xff, 0xff, 0xff]);
    mbr[454..458].copy_from_slice(&1u32.to_le_bytes());
    mbr[510..512].copy_from_slice(&[0x55, 0xaa]);
    set_protective_size(&mut mbr, disk_sectors);
    mbr
}

/// Sets the size of the protective partition after the disk grew; boot code and the rest stay.
pub fn set_protective_size(mbr: &mut [u8; 512], disk_sectors: u64) {
    let size = u32::try_from(disk_sectors.saturating_sub(1)).unwrap_or(u32::MAX);
    if mbr[450] == 0xee {
        mbr[458..462].copy_from_slice(&size.to_le_bytes());
    }
}
