//! Revoked serial numbers in little memory: rows of one width, in hash order, found by a directory of small buckets.
//!
//! A serial of up to 16 octets takes 19.5 octets: the serial, three for reason and date, half a one of directory.
//! Building needs no second copy, so that loading a list costs hardly more memory than keeping it.

use std::collections::BTreeMap;
use std::hash::{BuildHasher as _, RandomState};

use crate::certificate::Serial;
use crate::time::Time;

/// What a list says of one certificate. The date is exact to the hour, which is what fits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Entry {
    /// `CRLReason`, RFC 5280 section 5.3.1; 0 where none is given.
    pub(crate) reason: u8,
    pub(crate) date: Time,
}

const SECONDS_PER_HOUR: i64 = 3600;

impl Entry {
    /// Reason in four bits, hours since 1970 in twenty: until the year 2089.
    fn pack(self) -> [u8; 3] {
        let hours = (self.date.unix() / SECONDS_PER_HOUR).clamp(0, 0xf_ffff);
        let packed = u32::from(self.reason & 0x0f) << 20 | u32::try_from(hours).unwrap_or(0);
        let [_, a, b, c] = packed.to_be_bytes();
        [a, b, c]
    }

    fn unpack([a, b, c]: [u8; 3]) -> Self {
        let packed = u32::from_be_bytes([0, a, b, c]);
        let date = Time::from_unix(i64::from(packed & 0xf_ffff) * SECONDS_PER_HOUR);
        Self { reason: (packed >> 20) as u8, date }
    }
}

/// The serials of one certificate issuer in one list.
#[derive(Debug, Default)]
pub(crate) struct SerialTable {
    short: Rows<8>,
    long: Rows<16>,
    longest: Rows<20>,
    /// Negative ones, and those beyond the 20 octets of RFC 5280 section 4.1.2.2.
    odd: BTreeMap<Box<[u8]>, Entry>,
}

impl SerialTable {
    /// Adds a serial, given as the content octets of its INTEGER. [`SerialTable::finish`] must follow.
    pub(crate) fn push(&mut self, serial: &[u8], entry: Entry) {
        match unsigned(serial) {
            Some(magnitude) if magnitude.len() <= 8 => self.short.push(magnitude, entry),
            Some(magnitude) if magnitude.len() <= 16 => self.long.push(magnitude, entry),
            Some(magnitude) if magnitude.len() <= 20 => self.longest.push(magnitude, entry),
            _ => {
                self.odd.insert(serial.into(), entry);
            }
        }
    }

    /// Puts the rows in order for lookups.
    pub(crate) fn finish(&mut self) {
        self.short.finish();
        self.long.finish();
        self.longest.finish();
    }

    pub(crate) fn find(&self, serial: &Serial) -> Option<Entry> {
        match unsigned(serial.octets()) {
            Some(magnitude) if magnitude.len() <= 8 => self.short.find(magnitude),
            Some(magnitude) if magnitude.len() <= 16 => self.long.find(magnitude),
            Some(magnitude) if magnitude.len() <= 20 => self.longest.find(magnitude),
            _ => self.odd.get(serial.octets()).copied(),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.short.rows.len() + self.long.rows.len() + self.longest.rows.len() + self.odd.len()
    }
}

/// The magnitude of an INTEGER that is not negative, without leading zeros.
fn unsigned(octets: &[u8]) -> Option<&[u8]> {
    match octets {
        [first, ..] if first & 0x80 != 0 => None,
        [0, rest @ ..] => Some(rest),
        _ => Some(octets),
    }
}

/// Serials of up to `W` octets.
#[derive(Debug)]
struct Rows<const W: usize> {
    rows: Vec<Row<W>>,
    /// Where each bucket begins; one more at the end.
    directory: Box<[u32]>,
    seed: u64,
}

#[derive(Debug, Clone, Copy)]
struct Row<const W: usize> {
    /// Zeros first.
    serial: [u8; W],
    entry: [u8; 3],
}

/// On average; a bucket is looked through from its beginning.
const ROWS_PER_BUCKET: usize = 8;
/// Of the first round of sorting; as many places to write to as the caches follow.
const PARTS: usize = 256;

impl<const W: usize> Default for Rows<W> {
    fn default() -> Self {
        // A seed of its own for each table: no choice of serials makes a bucket long.
        Self { rows: Vec::new(), directory: Box::default(), seed: RandomState::new().hash_one(W) }
    }
}

impl<const W: usize> Rows<W> {
    fn push(&mut self, magnitude: &[u8], entry: Entry) {
        self.rows.push(Row { serial: padded(magnitude), entry: entry.pack() });
    }

    /// Sorts the rows into their buckets, in place. In two rounds, few large parts and then the buckets of each, because
    /// a row that goes anywhere in a large table is a cache miss.
    fn finish(&mut self) {
        self.rows.shrink_to_fit();
        let buckets = self.rows.len().div_ceil(ROWS_PER_BUCKET);
        let mut starts = vec![0_u32; buckets + 1];
        for row in &self.rows {
            if let Some(count) = starts.get_mut(self.bucket(&row.serial, buckets) + 1) {
                *count = count.saturating_add(1);
            }
        }
        let mut sum = 0_u32;
        for start in &mut starts {
            sum = sum.saturating_add(*start);
            *start = sum;
        }
        let per_part = buckets.div_ceil(PARTS).max(1);
        let mut parts: Vec<u32> = starts.iter().step_by(per_part).copied().collect();
        parts.push(sum);
        let mut rows = std::mem::take(&mut self.rows);
        distribute(&mut rows, &parts, |row| self.bucket(&row.serial, buckets) / per_part);
        for first in (0..buckets).step_by(per_part) {
            let Some(bounds) = starts.get(first..=(first + per_part).min(buckets)) else { break };
            let range = bounds.first().map_or(0, |start| *start as usize)..bounds.last().map_or(0, |end| *end as usize);
            let Some(part) = rows.get_mut(range) else { break };
            distribute(part, bounds, |row| self.bucket(&row.serial, buckets).saturating_sub(first));
        }
        self.rows = rows;
        self.directory = starts.into();
    }

    fn find(&self, magnitude: &[u8]) -> Option<Entry> {
        let serial = padded(magnitude);
        let bucket = self.bucket(&serial, self.directory.len().checked_sub(1)?);
        let start = *self.directory.get(bucket)? as usize;
        let end = *self.directory.get(bucket + 1)? as usize;
        let row = self.rows.get(start..end)?.iter().find(|row| row.serial == serial)?;
        Some(Entry::unpack(row.entry))
    }

    fn bucket(&self, serial: &[u8; W], buckets: usize) -> usize {
        let mut hash = self.seed;
        for chunk in serial.rchunks(8) {
            let word = chunk.iter().fold(0_u64, |word, &octet| word << 8 | u64::from(octet));
            hash = (hash ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            hash ^= hash >> 32;
        }
        // The upper bits of a product with the number of buckets: an even spread without a division.
        ((u128::from(hash.wrapping_mul(0xd6e8_feb8_6659_fd93)) * buckets as u128) >> 64) as usize
    }
}

/// An American flag sort: swaps each row to the part that it belongs to. `bounds` are where the parts begin, and where
/// the last ends, counted from wherever the first of them does.
fn distribute<const W: usize>(rows: &mut [Row<W>], bounds: &[u32], part_of: impl Fn(&Row<W>) -> usize) {
    let base = bounds.first().copied().unwrap_or_default();
    let mut next: Vec<u32> = bounds.iter().map(|bound| bound.saturating_sub(base)).collect();
    for (part, end) in bounds.iter().skip(1).enumerate() {
        while let Some(at) = next.get(part).copied().filter(|at| *at < end.saturating_sub(base)) {
            let Some(home) = rows.get(at as usize).map(&part_of) else { return };
            let Some(free) = next.get_mut(home) else { return };
            if home != part {
                rows.swap(at as usize, *free as usize);
            }
            *free += 1;
        }
    }
}

fn padded<const W: usize>(magnitude: &[u8]) -> [u8; W] {
    let mut serial = [0; W];
    for (to, from) in serial.iter_mut().rev().zip(magnitude.iter().rev()) {
        *to = *from;
    }
    serial
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashMap;

    fn entry(reason: u8) -> Entry {
        Entry { reason, date: Time::from_unix(1_300_000_000 / 3600 * 3600) }
    }

    fn serial(octets: &[u8]) -> Serial {
        Serial::from_octets(octets)
    }

    #[test]
    fn a_negative_serial_is_not_its_unsigned_twin() {
        let mut table = SerialTable::default();
        table.push(&[0x00, 0xff], entry(1));
        table.finish();
        assert_eq!(table.find(&serial(&[0x00, 0xff])), Some(entry(1)));
        assert_eq!(table.find(&serial(&[0xff])), None);
    }

    #[test]
    fn dates_are_kept_to_the_hour() {
        for (date, expected) in [
            ("2011-04-15T13:59:59Z", "2011-04-15T13:00:00Z"),
            ("1950-01-01T00:00:00Z", "1970-01-01T00:00:00Z"),
            ("9999-12-31T23:59:59Z", "2089-08-14T15:00:00Z"),
        ] {
            let entry = Entry { reason: 10, date: Time::from_rfc3339(date).unwrap() };
            let kept = Entry::unpack(entry.pack());
            assert_eq!((kept.reason, kept.date.to_string().as_str()), (10, expected));
        }
    }

    #[test]
    fn rows_are_as_small_as_promised() {
        assert_eq!(std::mem::size_of::<Row<16>>(), 19);
    }

    #[test]
    fn large_tables_too() {
        let mut table = SerialTable::default();
        let serial_of = |number: u32| [&[0x11; 12][..], &number.wrapping_mul(2_654_435_761).to_be_bytes()].concat();
        for number in 0..50_000 {
            table.push(&serial_of(number), entry((number % 11) as u8));
        }
        table.finish();
        for number in 0..50_000 {
            assert_eq!(table.find(&serial(&serial_of(number))), Some(entry((number % 11) as u8)));
        }
        assert_eq!(table.find(&serial(&serial_of(50_000))), None);
    }

    #[test]
    fn buckets_stay_small_for_serials_in_sequence() {
        let mut rows = Rows::<16>::default();
        for number in 0..100_000_u32 {
            rows.push(&number.to_be_bytes(), entry(0));
        }
        rows.finish();
        let longest = rows.directory.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap();
        assert!(longest < 60, "{longest}");
    }

    proptest! {
        #[test]
        fn finds_what_was_put_in_and_nothing_else(
            serials in proptest::collection::hash_map(proptest::collection::vec(any::<u8>(), 1..24), 0_u8..11, 0..300),
            others in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 1..24), 0..50),
        ) {
            // Two encodings of one number are one serial, and DER allows only the shorter.
            let minimal = |octets: &[u8]| crate::der::check_integer(octets, "serial").is_ok();
            let serials: HashMap<_, _> = serials.into_iter().filter(|(octets, _)| minimal(octets)).collect();
            let mut table = SerialTable::default();
            for (octets, reason) in &serials {
                table.push(octets, entry(*reason));
            }
            table.finish();
            prop_assert_eq!(table.len(), serials.len());
            for (octets, reason) in &serials {
                prop_assert_eq!(table.find(&serial(octets)), Some(entry(*reason)));
            }
            for octets in others.iter().filter(|octets| minimal(octets)) {
                prop_assert_eq!(table.find(&serial(octets)).is_some(), serials.contains_key(octets));
            }
        }
    }
}
