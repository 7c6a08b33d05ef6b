//! Counts within a sliding hour. Time comes from outside, in minutes.

use std::collections::VecDeque;

/// How many minutes count: what happened in a minute counts until the same minute of the next hour begins, so for 59 to
/// 60 minutes.
const HOUR: u64 = 60;

/// How often something happened within the last hour, to the minute. At most 60 entries, and none for idle minutes.
#[derive(Debug, Clone, Default)]
pub struct HourCount {
    /// The minute, and how often; ascending.
    minutes: VecDeque<(u64, u32)>,
}

impl HourCount {
    /// How often, in the hour that ends with the minute `now`.
    pub fn at(&mut self, now: u64) -> u32 {
        while self.minutes.front().is_some_and(|(minute, _)| minute.saturating_add(HOUR) <= now) {
            self.minutes.pop_front();
        }
        self.minutes.iter().fold(0, |sum, (_, count)| sum.saturating_add(*count))
    }

    /// Once more, in the minute `now`; a minute before the newest counts as the newest.
    pub fn add(&mut self, now: u64) {
        match self.minutes.back_mut() {
            Some((minute, count)) if *minute >= now => *count = count.saturating_add(1),
            _ => self.minutes.push_back((now, 1)),
        }
    }

    /// Once less: what was counted did not happen after all.
    pub fn take_back(&mut self) {
        if let Some((_, count)) = self.minutes.iter_mut().rev().find(|(_, count)| *count > 0) {
            *count -= 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_happened_an_hour_ago_is_forgotten() {
        let mut count = HourCount::default();
        assert_eq!(count.at(7), 0);
        for minute in [10, 10, 11, 40] {
            count.add(minute);
        }
        for (now, expected) in [(40, 4), (69, 4), (70, 2), (71, 1), (99, 1), (100, 0), (1_000, 0)] {
            assert_eq!(count.clone().at(now), expected, "at {now}");
        }
        assert_eq!(count.minutes.len(), 3, "a minute is one entry, however much happens in it");
        count.take_back();
        assert_eq!(count.at(40), 3);
        count.at(200);
        count.take_back();
        assert_eq!(count.at(200), 0);
    }

    proptest! {
        /// As if every single event were remembered.
        #[test]
        fn it_counts_as_a_list_would(steps in proptest::collection::vec((0_u64..40, 0_u32..4), 0..80)) {
            let (mut count, mut all, mut now) = (HourCount::default(), Vec::new(), 0);
            for (pause, times) in steps {
                now += pause;
                for _ in 0..times {
                    count.add(now);
                    all.push(now);
                }
                let expected = all.iter().filter(|minute| **minute + 60 > now).count();
                prop_assert_eq!(count.at(now) as usize, expected);
                prop_assert!(count.minutes.len() <= 60);
            }
        }
    }
}
