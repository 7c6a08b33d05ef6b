//! What is to be tried next: messages that wait for their time, and for each destination those whose time has come.
//!
//! No step costs more than O(log n), however many messages and destinations there are. A message costs one entry among
//! the waiting, or its number and a mark for each destination it is ready for; a destination is kept once.

mod window;

use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};

use delivery::{Cause, Destination};

use crate::clock::Millis;
use crate::id::MessageId;
use window::Window;

/// A destination, or the way of those for whom there is none.
pub(crate) type Way = Option<Destination>;

/// The number of a way, as long as anything is there for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct LaneId(u32);

/// What holds for a way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Terms {
    /// Most attempts at a time.
    pub(crate) most: u32,
    /// The age at which a message is given up.
    pub(crate) life: Millis,
}

/// What an attempt says of its way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Went {
    /// Somebody is there and talks.
    Well,
    /// Nobody is, or breaks off, or wants to be left alone.
    Badly(Cause),
    /// Nobody was asked.
    Nowhere,
}

/// An attempt to be made.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Start {
    pub(crate) id: MessageId,
    pub(crate) lane: LaneId,
    pub(crate) way: Way,
    /// The message has grown too old waiting for a destination that is down: this came of it, there is nothing to try.
    pub(crate) given: Option<Cause>,
}

/// The schedule.
#[derive(Debug, Default)]
pub(crate) struct Schedule {
    waiting: BTreeSet<(Millis, MessageId)>,
    lanes: HashMap<LaneId, Lane>,
    numbers: HashMap<Way, LaneId>,
    last_number: u32,
    /// In a lane, or under way.
    taken: HashSet<(MessageId, LaneId)>,
    /// The lanes with something to do, now or later, in the order of their turns.
    turns: BTreeSet<(Turn, LaneId)>,
    turn: u64,
}

/// When it is a lane's turn. Those with nothing under way come first, each after the last one served: so none waits for
/// another, slow or crowded as that may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Turn {
    /// Nothing is under way.
    Idle(u64),
    /// Something is, and there is room for more.
    Busy(u64),
    /// It is down; not before this.
    Later(Millis),
}

/// The messages ready for one way.
#[derive(Debug)]
struct Lane {
    way: Way,
    terms: Terms,
    ready: VecDeque<MessageId>,
    under_way: u32,
    /// So many of them only to be given up.
    given: u32,
    window: Window,
    /// It cannot be reached: no attempt before `until`, and then one at a time.
    down: Option<Down>,
    turn: Option<Turn>,
}

#[derive(Debug)]
struct Down {
    until: Millis,
    cause: Cause,
}

impl Lane {
    fn new(way: Way, terms: Terms) -> Self {
        let (ready, window) = (VecDeque::new(), Window::new(terms.most));
        Self { way, terms, ready, under_way: 0, given: 0, window, down: None, turn: None }
    }

    /// When the message is too old. An id is the microsecond of its message's arrival.
    fn expires(&self, id: MessageId) -> Millis {
        (id.raw() / 1000).saturating_add(self.terms.life)
    }

    /// The turn it is to have, as number `turn`; none when there is nothing to do or no room.
    fn next_turn(&self, now: Millis, turn: u64) -> Option<Turn> {
        let on_its_turn = if self.under_way == 0 { Turn::Idle(turn) } else { Turn::Busy(turn) };
        let Some(down) = &self.down else {
            let wants = !self.ready.is_empty() && self.under_way < self.window.size();
            return wants.then_some(on_its_turn);
        };
        let probe = (self.under_way == self.given).then_some(down.until);
        let expiry = self.ready.front().map(|&first| self.expires(first));
        let room = self.under_way < self.terms.most.max(1);
        let at = probe.into_iter().chain(expiry).min().filter(|_| room)?;
        Some(if at <= now && !self.ready.is_empty() { on_its_turn } else { Turn::Later(at) })
    }
}

impl Schedule {
    /// Looks at the message at `at`.
    pub(crate) fn wait(&mut self, at: Millis, id: MessageId) {
        self.waiting.insert((at, id));
    }

    /// The message waits no longer for `at`.
    pub(crate) fn forget(&mut self, at: Millis, id: MessageId) {
        self.waiting.remove(&(at, id));
    }

    /// The next message whose time has come.
    pub(crate) fn next_due(&mut self, now: Millis) -> Option<MessageId> {
        let first = *self.waiting.first()?;
        (first.0 <= now).then(|| {
            self.waiting.remove(&first);
            first.1
        })
    }

    /// When a message is next to be looked at.
    pub(crate) fn next_wait(&self) -> Option<Millis> {
        self.waiting.first().map(|(at, _)| *at)
    }

    /// When something is next to be done about a destination that is down.
    pub(crate) fn next_turn(&self) -> Option<Millis> {
        self.first_later().map(|(at, _)| at)
    }

    fn first_later(&self) -> Option<(Millis, LaneId)> {
        match self.turns.range((Turn::Later(0), LaneId(0))..).next() {
            Some(&(Turn::Later(at), lane)) => Some((at, lane)),
            _ => None,
        }
    }

    /// The message is ready for a way, unless it is already.
    pub(crate) fn ready(&mut self, id: MessageId, way: Way, now: Millis, terms: Terms) {
        let number = match self.numbers.get(&way) {
            Some(number) => *number,
            None => {
                self.last_number = self.free_number();
                let number = LaneId(self.last_number);
                self.lanes.insert(number, Lane::new(way.clone(), terms));
                self.numbers.insert(way, number);
                number
            }
        };
        if self.taken.insert((id, number))
            && let Some(lane) = self.lanes.get_mut(&number)
        {
            lane.ready.push_back(id);
            self.settle(number, now);
        }
    }

    fn free_number(&self) -> u32 {
        let mut number = self.last_number.wrapping_add(1);
        while self.lanes.contains_key(&LaneId(number)) {
            number = number.wrapping_add(1);
        }
        number
    }

    /// The next attempt. When all is `full`, only for a lane that has none under way.
    pub(crate) fn start(&mut self, now: Millis, full: bool) -> Option<Start> {
        while let Some((at, number)) = self.first_later()
            && at <= now
        {
            // One that was kept only because it was down is known no longer.
            if let Some(lane) = self.lanes.get_mut(&number)
                && lane.ready.is_empty()
            {
                lane.down = None;
            }
            self.settle(number, now);
        }
        let number = match self.turns.first()? {
            (Turn::Idle(_), number) => *number,
            (Turn::Busy(_), number) if !full => *number,
            _ => return None,
        };
        let lane = self.lanes.get_mut(&number)?;
        let id = lane.ready.pop_front()?;
        let too_old = lane.expires(id) <= now;
        let given = lane.down.as_ref().filter(|_| too_old).map(|down| down.cause.clone());
        lane.under_way += 1;
        lane.given += u32::from(given.is_some());
        let way = lane.way.clone();
        self.turn = self.turn.wrapping_add(1);
        self.take_turn(number);
        self.settle(number, now);
        Some(Start { id, lane: number, way, given })
    }

    /// An attempt has ended, which had been `given` its outcome or not. `rest` says how long to leave a way alone that has
    /// been found down so many times on end.
    pub(crate) fn end(
        &mut self,
        (id, number): (MessageId, LaneId),
        given: bool,
        went: Went,
        now: Millis,
        rest: impl FnOnce(u32) -> Millis,
    ) {
        self.taken.remove(&(id, number));
        let Some(lane) = self.lanes.get_mut(&number) else { return };
        lane.under_way = lane.under_way.saturating_sub(1);
        lane.given = lane.given.saturating_sub(u32::from(given));
        match went {
            Went::Nowhere => {}
            Went::Well => {
                lane.window.grow(lane.terms.most);
                lane.down = None;
            }
            Went::Badly(cause) => {
                // Others that set out before it was found down say nothing new.
                let is_news = lane.down.as_ref().is_none_or(|down| down.until <= now);
                if is_news && lane.window.shrink() {
                    let until = now.saturating_add(rest(lane.window.downs()));
                    lane.down = Some(Down { until, cause });
                }
            }
        }
        self.settle(number, now);
    }

    /// Tries a way that is down without waiting any longer.
    pub(crate) fn revive(&mut self, way: &Way, now: Millis) {
        if let Some(number) = self.numbers.get(way).copied() {
            if let Some(down) = self.lanes.get_mut(&number).and_then(|lane| lane.down.as_mut()) {
                down.until = now;
            }
            self.settle(number, now);
        }
    }

    /// Puts a lane where it belongs among the turns, or forgets it. Its place in the order stays.
    fn settle(&mut self, number: LaneId, now: Millis) {
        let Some(lane) = self.lanes.get_mut(&number) else { return };
        let turn = match lane.turn {
            Some(Turn::Idle(turn) | Turn::Busy(turn)) => turn,
            _ => self.turn,
        };
        // Of an earlier courier: nothing comes to it any more.
        let is_old = self.numbers.get(&lane.way) != Some(&number);
        let is_done = lane.ready.is_empty() && lane.under_way == 0 && (is_old || lane.down.is_none());
        let next = if is_done { None } else { lane.next_turn(now, turn) };
        let before = std::mem::replace(&mut lane.turn, next);
        if before != next {
            before.map(|turn| self.turns.remove(&(turn, number)));
            next.map(|turn| self.turns.insert((turn, number)));
        }
        if is_done
            && let Some(lane) = self.lanes.remove(&number)
            && !is_old
        {
            self.numbers.remove(&lane.way);
        }
    }

    /// Its next turn is the last.
    fn take_turn(&mut self, number: LaneId) {
        if let Some(turn) = self.lanes.get_mut(&number).and_then(|lane| lane.turn.take()) {
            self.turns.remove(&(turn, number));
        }
    }

    /// The routes have changed: what is ready has to find its way again, and no way is what it was.
    pub(crate) fn forget_ways(&mut self, now: Millis) {
        self.numbers.clear();
        let numbers: Vec<LaneId> = self.lanes.keys().copied().collect();
        for number in numbers {
            if let Some(lane) = self.lanes.get_mut(&number) {
                lane.down = None;
                for id in std::mem::take(&mut lane.ready) {
                    self.taken.remove(&(id, number));
                    self.waiting.insert((0, id));
                }
            }
            self.settle(number, now);
        }
    }

    /// Everything that is not under way.
    pub(crate) fn drain(&mut self) -> impl Iterator<Item = (Millis, MessageId)> {
        self.forget_ways(0);
        std::mem::take(&mut self.waiting).into_iter()
    }
}

#[cfg(test)]
mod tests;
