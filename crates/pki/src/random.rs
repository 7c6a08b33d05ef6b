//! Randomness: nonces, and a little disorder so that not everybody asks at once.

use std::time::Duration;

use aws_lc_rs::rand;

/// Random octets; `None` only where the system has none.
pub(crate) fn octets<const N: usize>() -> Option<[u8; N]> {
    let mut octets = [0; N];
    rand::fill(&mut octets).ok()?;
    Some(octets)
}

/// Some part of `most`.
pub(crate) fn up_to(most: Duration) -> Duration {
    let part = octets().map_or(0, u16::from_be_bytes);
    most.mul_f64(f64::from(part) / f64::from(u16::MAX))
}
