use super::{ALIGNMENT, Error, Partition, Table};

impl Table {
    /// Fits the table to a disk that now has `disk_sectors` sectors: the backup copy belongs in the last ones.
    ///
    /// Changes memory only. Growing is always possible, shrinking while no partition is cut.
    pub fn move_backup(&mut self, disk_sectors: u64) -> Result<(), Error> {
        let last_usable = disk_sectors
            .checked_sub(2 + self.entry_sectors())
            .ok_or(Error::TooSmall)?;
        if self
            .partitions
            .iter()
            .any(|partition| partition.last_lba > last_usable)
            || last_usable < self.first_usable
        {
            return Err(Error::TooSmall);
        }
        self.disk_sectors = disk_sectors;
        self.last_usable = last_usable;
        Ok(())
    }

    /// Sectors of 1 MiB, the alignment of partitions.
    fn align(&self) -> u64 {
        ALIGNMENT / u64::from(self.sector_size)
    }

    /// The largest free run of whole, aligned mebibytes: first and last sector (inclusive).
    pub fn largest_free(&self) -> Option<(u64, u64)> {
        let mut order: Vec<(u64, u64)> = self
            .partitions
            .iter()
            .map(|p| (p.first_lba, p.last_lba))
            .collect();
        order.sort_unstable();
        order.push((self.last_usable + 1, self.last_usable + 1));
        let mut best: Option<(u64, u64)> = None;
        let mut start = self.first_usable;
        for (first, last) in order {
            let (from, to) = (
                start.next_multiple_of(self.align()),
                first / self.align() * self.align(),
            );
            if to > from && best.is_none_or(|(a, b)| to - from > b + 1 - a) {
                best = Some((from, to - 1));
            }
            start = last + 1;
        }
        best
    }

    /// Adds a partition; a `number` of 0 takes the number after the highest in use, else the lowest free one.
    /// Returns the number.
    pub fn add(&mut self, mut partition: Partition) -> Result<u32, Error> {
        if partition.number == 0 {
            let highest = self.partitions.iter().map(|p| p.number).max().unwrap_or(0);
            partition.number = if highest < self.entry_count {
                highest + 1
            } else {
                (1..=self.entry_count)
                    .find(|number| self.partition(*number).is_none())
                    .ok_or(Error::Full)?
            };
        } else if self.partition(partition.number).is_some() {
            return Err(Error::Overlap(partition.number, partition.number));
        }
        let number = partition.number;
        let mut changed = self.clone();
        changed.partitions.push(partition);
        changed.partitions.sort_by_key(|p| p.number);
        changed.check()?;
        *self = changed;
        Ok(number)
    }

    /// Extends the partition over the free space behind it, to a whole mebibyte. Returns whether it grew.
    pub fn extend(&mut self, number: u32) -> Result<bool, Error> {
        let target = self.partition(number).ok_or(Error::NoPartition(number))?;
        let next = self
            .partitions
            .iter()
            .map(|p| p.first_lba)
            .filter(|first| *first > target.last_lba)
            .min();
        let end = next.unwrap_or(self.last_usable + 1) / self.align() * self.align();
        if end <= target.last_lba + 1 {
            return Ok(false);
        }
        for partition in &mut self.partitions {
            if partition.number == number {
                partition.last_lba = end - 1;
            }
        }
        Ok(true)
    }
}
