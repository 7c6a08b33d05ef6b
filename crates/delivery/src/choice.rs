//! The order of hosts: best first, and by chance among equals.

use std::hash::{BuildHasher as _, RandomState};

/// Sorts by `rank`, the lowest first; among equals by chance, so that load is shared (RFC 5321 section 5.1), each first as
/// often as its weight says (RFC 2782).
pub(crate) fn order<T, R: Ord>(items: Vec<T>, rank: impl Fn(&T) -> R, weight: impl Fn(&T) -> u16) -> Vec<T> {
    let mut drawn: Vec<(f64, T)> = items.into_iter().map(|item| (wait(weight(&item)), item)).collect();
    drawn.sort_by(|(one_wait, one), (other_wait, other)| {
        rank(one).cmp(&rank(other)).then(one_wait.total_cmp(other_wait))
    });
    drawn.into_iter().map(|(_, item)| item).collect()
}

/// Of waits that end by chance at rates like the weights, the one that ends first is the weighted choice.
fn wait(weight: u16) -> f64 {
    // The standard library's only source of chance: the keys of its hash maps.
    let chance = RandomState::new().hash_one(()) >> 11;
    #[allow(clippy::cast_precision_loss)] // 53 bits are left
    let even = (chance as f64 + 1.0) / (1_u64 << 53) as f64;
    -even.ln() / f64::from(weight.max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn best_first_and_equals_by_weight() {
        let mut first = [0; 3];
        for _ in 0..3000 {
            let ordered = order(vec![(20, 0, 9), (10, 1, 1), (10, 2, 3)], |item| item.0, |item| item.2);
            assert_eq!(ordered[2].1, 0);
            first[ordered[0].1] += 1;
        }
        // Of 3000, three quarters: 2250, and six standard deviations of 24 either way.
        assert!(first[0] == 0 && (2100..2400).contains(&first[2]), "{first:?}");
    }
}
