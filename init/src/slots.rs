//! Which partitions hold the `/usr` that a root hash names.
//!
//! By the Discoverable Partitions Specification the PARTUUIDs of the data and the hash partition are the two halves of
//! the root hash, so the hash on the kernel command line finds both, on whichever disk and in whichever slot.

use crate::cmdline::RootHash;
use crate::gpt::{Guid, Partition, Table, types};

/// The two partitions of a slot, by number, and the disk (index into what was given to [`find`]).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slot {
    /// Index of the disk.
    pub disk: usize,
    /// Number of the data partition.
    pub usr: u32,
    /// Number of the hash partition.
    pub verity: u32,
    /// The disk has another copy of one of them. Both are equally good: verity checks what is read.
    pub repeated: bool,
}

/// Why no slot can be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Missing {
    /// No disk has the data partition.
    Nowhere {
        /// PARTUUID that was looked for.
        usr: Guid,
    },
    /// A disk (index) has the data but not the hash partition.
    NoVerity {
        /// Index of the disk.
        disk: usize,
        /// PARTUUID that was looked for.
        verity: Guid,
    },
    /// More than one disk has both (indices of the first two).
    TwoDisks(usize, usize),
}

/// Looks for the slot of `hash` on disks with these tables.
///
/// Two disks with the same slot are refused: the root partition would be a matter of luck.
pub fn find<'a>(
    tables: impl IntoIterator<Item = &'a Table>,
    hash: RootHash,
) -> Result<Slot, Missing> {
    let (usr_guid, verity_guid) = hash.partition_guids();
    let mut found: Option<Slot> = None;
    let mut missing = Missing::Nowhere { usr: usr_guid };
    for (disk, table) in tables.into_iter().enumerate() {
        let of = |type_guid: Guid, guid: Guid| -> Vec<&Partition> {
            table
                .by_type(type_guid)
                .filter(|partition| partition.guid == guid)
                .collect()
        };
        let usr = of(types::USR, usr_guid);
        let verity = of(types::USR_VERITY, verity_guid);
        match (usr.first(), verity.first(), found) {
            (Some(_), Some(_), Some(other)) => return Err(Missing::TwoDisks(other.disk, disk)),
            (Some(data), Some(tree), None) => {
                let repeated = usr.len() > 1 || verity.len() > 1;
                found = Some(Slot {
                    disk,
                    usr: data.number,
                    verity: tree.number,
                    repeated,
                });
            }
            (Some(_), None, _) => {
                missing = Missing::NoVerity {
                    disk,
                    verity: verity_guid,
                }
            }
            (None, _, _) => {}
        }
    }
    found.ok_or(missing)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::gpt::Attributes;

    fn hash() -> RootHash {
        RootHash(std::array::from_fn(|at| at as u8))
    }

    /// A table of partitions of 1 MiB with these types and PARTUUIDs.
    pub(crate) fn disk(partitions: &[(Guid, Guid)]) -> Table {
        let mut table = Table::new(512, 1 << 20, Guid::from_random([1; 16])).unwrap();
        for (at, (type_guid, guid)) in partitions.iter().enumerate() {
            let first_lba = 2048 * (at as u64 + 1);
            let partition = Partition {
                number: 0,
                type_guid: *type_guid,
                guid: *guid,
                first_lba,
                last_lba: first_lba + 2047,
                attributes: Attributes::default(),
                name: String::new(),
            };
            table.add(partition).unwrap();
        }
        table
    }

    #[test]
    fn finds_the_slot() {
        let (usr, verity) = hash().partition_guids();
        let other = Guid::from_random([7; 16]);
        let empty = disk(&[(types::ESP, usr)]);
        let good = disk(&[
            (types::USR, other),
            (types::USR_VERITY, other),
            (types::USR, usr),
            (types::USR_VERITY, verity),
        ]);
        let slot = Slot {
            disk: 1,
            usr: 3,
            verity: 4,
            repeated: false,
        };
        assert_eq!(find([&empty, &good], hash()), Ok(slot));
        assert_eq!(find([&empty], hash()), Err(Missing::Nowhere { usr }));
        assert_eq!(find([], hash()), Err(Missing::Nowhere { usr }));
        assert_eq!(
            find([&good, &empty, &good], hash()),
            Err(Missing::TwoDisks(0, 2))
        );
        let half = disk(&[(types::USR, usr)]);
        assert_eq!(
            find([&half], hash()),
            Err(Missing::NoVerity { disk: 0, verity })
        );
        assert_eq!(find([&half, &good], hash()), Ok(slot));
        let twice = disk(&[
            (types::USR, usr),
            (types::USR_VERITY, verity),
            (types::USR, usr),
            (types::USR_VERITY, verity),
        ]);
        assert_eq!(
            find([&twice], hash()),
            Ok(Slot {
                disk: 0,
                usr: 1,
                verity: 2,
                repeated: true
            })
        );
    }
}
