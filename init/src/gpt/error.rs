use std::fmt;

/// Why bytes are not a partition table, or why a table cannot be changed as asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Error {
    /// Fewer bytes than the structure needs.
    Short {
        /// Bytes needed.
        need: usize,
        /// Bytes given.
        have: usize,
    },
    /// No `EFI PART` signature.
    NoSignature,
    /// A field of the header holds a value that cannot be right.
    BadHeader(&'static str),
    /// The checksum of the header differs.
    HeaderChecksum,
    /// The checksum of the partition entries differs.
    EntriesChecksum,
    /// A partition (number given) lies outside the usable area or ends before it starts.
    Range(u32),
    /// Two partitions (numbers given) share sectors.
    Overlap(u32, u32),
    /// Every entry of the table is in use.
    Full,
    /// The disk is smaller than the table or its partitions need.
    TooSmall,
    /// No partition has this number.
    NoPartition(u32),
    /// A partition name has more than 36 UTF-16 units.
    LongName(String),
    /// Neither copy is good; the reasons for the primary and the backup.
    Neither(Box<Error>, Box<Error>),
    /// Reading the disk failed.
    Read(String),
}

impl Error {
    /// What to do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Read(_) => "check the disk and its cable or backing store",
            Self::LongName(_) => "use at most 36 characters",
            Self::Full | Self::TooSmall => "use a larger disk or remove a partition",
            Self::NoPartition(_) => "list the partitions and use a number shown there",
            _ => "repair the table (sgdisk --verify, --load-backup) or write the image again",
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Short { need, have } => {
                write!(f, "partition table needs {need} bytes, found {have}")
            }
            Self::NoSignature => f.write_str("no GPT signature"),
            Self::BadHeader(field) => write!(f, "GPT header has a wrong {field}"),
            Self::HeaderChecksum => f.write_str("GPT header checksum differs"),
            Self::EntriesChecksum => f.write_str("GPT entries checksum differs"),
            Self::Range(number) => write!(f, "partition {number} lies outside the usable area"),
            Self::Overlap(a, b) => write!(f, "partitions {a} and {b} overlap"),
            Self::Full => f.write_str("no free partition entry"),
            Self::TooSmall => f.write_str("disk too small for its partitions"),
            Self::NoPartition(number) => write!(f, "no partition {number}"),
            Self::LongName(name) => write!(f, "partition name too long: {name:?}"),
            Self::Neither(primary, backup) => {
                write!(f, "no good GPT: primary: {primary}; backup: {backup}")
            }
            Self::Read(error) => write!(f, "reading the partition table: {error}"),
        }
    }
}

impl std::error::Error for Error {}
