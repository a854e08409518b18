use std::io::{Read, Seek, SeekFrom};

use super::{Error, Header, Table, decode_entries, decode_header};

/// Which copy of the table was used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Copy {
    /// The one at the start of the disk.
    Primary,
    /// The one at the end.
    Backup,
}

/// A table read from a disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loaded {
    /// The table.
    pub table: Table,
    /// The copy it came from: the primary unless that is bad.
    pub copy: Copy,
    /// Why the primary was not used.
    pub damage: Option<Error>,
}

/// Reads the table of a disk of `disk_sectors` sectors: the primary copy, or the backup when the primary is bad.
///
/// The backup is looked for in the last sector, and where a readable primary header says it is (a disk that grew).
pub fn load(
    disk: &mut (impl Read + Seek),
    sector_size: u32,
    disk_sectors: u64,
) -> Result<Loaded, Error> {
    if !matches!(sector_size, 512 | 4096) {
        return Err(Error::BadHeader("sector size"));
    }
    let header = read_header(disk, sector_size, 1);
    let primary = header
        .clone()
        .and_then(|header| read_entries(disk, sector_size, disk_sectors, &header));
    let damage = match primary {
        Ok(table) => {
            return Ok(Loaded {
                table,
                copy: Copy::Primary,
                damage: None,
            });
        }
        Err(damage) => damage,
    };
    let mut places = vec![disk_sectors.saturating_sub(1)];
    if let Ok(header) = header
        && header.other_lba < disk_sectors
        && header.other_lba != places[0]
    {
        places.push(header.other_lba);
    }
    let mut reason = Error::NoSignature;
    for lba in places {
        let backup = read_header(disk, sector_size, lba)
            .and_then(|header| read_entries(disk, sector_size, disk_sectors, &header));
        match backup {
            Ok(table) => {
                return Ok(Loaded {
                    table,
                    copy: Copy::Backup,
                    damage: Some(damage),
                });
            }
            Err(error) => reason = error,
        }
    }
    Err(Error::Neither(Box::new(damage), Box::new(reason)))
}

fn read_at(disk: &mut (impl Read + Seek), offset: u64, length: usize) -> Result<Vec<u8>, Error> {
    let mut bytes = vec![0; length];
    disk.seek(SeekFrom::Start(offset))
        .and_then(|_| disk.read_exact(&mut bytes))
        .map_err(|error| Error::Read(format!("{length} bytes at {offset}: {error}")))?;
    Ok(bytes)
}

fn read_header(disk: &mut (impl Read + Seek), sector_size: u32, lba: u64) -> Result<Header, Error> {
    let offset = lba
        .checked_mul(u64::from(sector_size))
        .ok_or(Error::BadHeader("position"))?;
    decode_header(&read_at(disk, offset, sector_size as usize)?, lba)
}

fn read_entries(
    disk: &mut (impl Read + Seek),
    sector_size: u32,
    disk_sectors: u64,
    header: &Header,
) -> Result<Table, Error> {
    if header.last_usable >= disk_sectors {
        return Err(Error::TooSmall);
    }
    let offset = header
        .entries_lba
        .checked_mul(u64::from(sector_size))
        .ok_or(Error::BadHeader("position of the entries"))?;
    decode_entries(
        header,
        &read_at(disk, offset, header.entry_bytes())?,
        sector_size,
    )
}
