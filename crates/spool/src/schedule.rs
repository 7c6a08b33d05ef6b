//! What is to be tried next: messages that wait for their time, and for each route those whose time has come.

use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};

use delivery::{Cause, Destination};

use crate::clock::Millis;
use crate::id::MessageId;

/// A destination, or the way of those for whom there is none.
pub(crate) type Way = Option<Destination>;

/// The schedule. Per message: one entry among the waiting, or one for each way it is ready for.
#[derive(Debug, Default)]
pub(crate) struct Schedule {
    waiting: BTreeSet<(Millis, MessageId)>,
    lanes: HashMap<Way, Lane>,
    /// In a lane, or under way.
    taken: HashSet<(MessageId, Way)>,
    /// Whose turn it is, so that no route starves another.
    turn: usize,
}

/// The messages ready for one route.
#[derive(Debug, Default)]
struct Lane {
    ready: VecDeque<MessageId>,
    under_way: usize,
    /// Since when the route cannot be reached: no attempt before `until`, and then one at a time.
    down: Option<Down>,
}

#[derive(Debug)]
struct Down {
    until: Millis,
    cause: Cause,
}

impl Schedule {
    /// Looks at the message at `at`.
    pub(crate) fn wait(&mut self, at: Millis, id: MessageId) {
        self.waiting.insert((at, id));
    }

    /// The next message whose time has come.
    pub(crate) fn next_due(&mut self, now: Millis) -> Option<MessageId> {
        let first = *self.waiting.first()?;
        (first.0 <= now).then(|| {
            self.waiting.remove(&first);
            first.1
        })
    }

    /// When there will be something to do, if nothing happens before.
    pub(crate) fn next_time(&self) -> Option<Millis> {
        let waiting = self.waiting.first().map(|(at, _)| *at);
        let idle_and_down = |lane: &Lane| {
            lane.down.as_ref().filter(|_| !lane.ready.is_empty() && lane.under_way == 0).map(|down| down.until)
        };
        self.lanes.values().filter_map(idle_and_down).chain(waiting).min()
    }

    /// The message is ready for a way, unless it is already.
    pub(crate) fn ready(&mut self, id: MessageId, way: Way) {
        if self.taken.insert((id, way.clone())) {
            self.lanes.entry(way).or_default().ready.push_back(id);
        }
    }

    /// The next attempt, in turn over the ways that have room. With a cause, it is for a message that has grown too old
    /// waiting for a route that is down: there is nothing to try any more.
    pub(crate) fn start(
        &mut self,
        now: Millis,
        room: impl Fn(&Way) -> usize,
        is_stale: impl Fn(MessageId) -> bool,
    ) -> Option<(MessageId, Way, Option<Cause>)> {
        let mut ways: Vec<Way> = self.lanes.keys().cloned().collect();
        ways.sort_unstable();
        for step in 0..ways.len() {
            let at = self.turn.wrapping_add(step) % ways.len();
            let way = ways.get(at)?;
            let lane = self.lanes.get_mut(way)?;
            let given = match (&lane.down, lane.ready.front()) {
                (Some(down), Some(&first)) if is_stale(first) => Some(down.cause.clone()),
                _ => None,
            };
            let has_room = match &lane.down {
                Some(down) if given.is_none() => down.until <= now && lane.under_way == 0,
                _ => lane.under_way < room(way),
            };
            if has_room && let Some(id) = lane.ready.pop_front() {
                lane.under_way += 1;
                self.turn = at.wrapping_add(1);
                return Some((id, way.clone(), given));
            }
        }
        None
    }

    /// An attempt has ended. `down` says that the route could not be reached, and when to try it again.
    pub(crate) fn end(&mut self, id: MessageId, way: &Way, down: Option<(Millis, Cause)>) {
        self.taken.remove(&(id, way.clone()));
        if let Some(lane) = self.lanes.get_mut(way) {
            lane.under_way = lane.under_way.saturating_sub(1);
            lane.down = down.map(|(until, cause)| Down { until, cause });
            if lane.ready.is_empty() && lane.under_way == 0 && lane.down.is_none() {
                self.lanes.remove(way);
            }
        }
    }

    /// The routes have changed: what is ready has to find its way again.
    pub(crate) fn forget_ways(&mut self) {
        for (way, lane) in &mut self.lanes {
            lane.down = None;
            for id in lane.ready.drain(..) {
                self.taken.remove(&(id, way.clone()));
                self.waiting.insert((0, id));
            }
        }
    }

    /// Everything that is not under way.
    pub(crate) fn drain(&mut self) -> impl Iterator<Item = (Millis, MessageId)> {
        self.forget_ways();
        std::mem::take(&mut self.waiting).into_iter()
    }
}

#[cfg(test)]
mod tests;
