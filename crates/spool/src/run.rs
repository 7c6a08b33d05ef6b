//! Works through the queue: finds each message's ways, starts attempts while there is room, and waits.

use std::sync::Arc;
use std::time::Duration;

use delivery::Courier;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::active::{Active, ActiveMessages, way};
use crate::attempt::{Attempt, Ended, give_way};
use crate::clock::Millis;
use crate::delay;
use crate::id::MessageId;
use crate::obey::{Obeyed, obey};
use crate::order::Ordered;
use crate::patience::Patience;
use crate::schedule::{LaneId, Schedule, Start, Terms, Way};
use crate::shared::Shared;
use crate::store::Due;

/// Messages whose ways are being looked up at a time: each is a read from the disk.
const SORTING: usize = 16;
/// Messages taken from the arrivals at a time.
const ARRIVALS: usize = 1024;
/// Attempts at a time that only say that there is no route.
const NO_ROUTE_ROOM: u32 = 4;
/// A notice of delay that could not be written down is tried again after this, milliseconds.
const TELL_RETRY: Millis = 1000;
/// With nothing to wait for, it waits so long.
const IDLE: Duration = Duration::from_secs(60);

/// What a task comes back with.
enum Event {
    /// The ways a message is to go now, and when to look at it again.
    Sorted {
        id: MessageId,
        ways: Vec<Way>,
        later: Option<Millis>,
    },
    Ended {
        id: MessageId,
        way: Way,
        lane: LaneId,
        given: bool,
        ended: Ended,
    },
    Obeyed {
        id: MessageId,
        obeyed: Obeyed,
    },
}

pub(crate) struct Run {
    shared: Arc<Shared>,
    courier: Courier,
    schedule: Schedule,
    active: ActiveMessages,
    tasks: JoinSet<Event>,
    sorting: usize,
    attempts: usize,
    break_off: CancellationToken,
}

/// Delivers until `shutdown`; then waits for what is under way.
pub(crate) async fn run(shared: Arc<Shared>, courier: Courier, shutdown: CancellationToken) {
    let mut arrivals = shared.arrivals.lock().await;
    let mut orders = shared.orders.1.lock().await;
    let mut couriers = shared.courier.subscribe();
    couriers.mark_unchanged();
    let mut run = Run {
        shared: shared.clone(),
        courier,
        schedule: Schedule::default(),
        active: ActiveMessages::default(),
        tasks: JoinSet::new(),
        sorting: 0,
        attempts: 0,
        break_off: CancellationToken::new(),
    };
    let mut new = Vec::with_capacity(ARRIVALS);
    loop {
        run.start();
        let pause = run.pause();
        tokio::select! {
            () = shutdown.cancelled() => break,
            Some(event) = run.tasks.join_next() => run.take(event),
            count = arrivals.recv_many(&mut new, ARRIVALS) => {
                if count == 0 { break }
                new.drain(..).for_each(|Due { id, at }| run.schedule.wait(at, id));
            }
            Ok(()) = couriers.changed() => {
                if let Some(courier) = couriers.borrow_and_update().clone() {
                    run.courier = courier;
                    run.schedule.forget_ways(run.shared.clock.now());
                }
            }
            Some(ordered) = orders.recv() => run.order(ordered),
            () = tokio::time::sleep(pause) => {}
        }
    }
    run.stop().await;
}

impl Run {
    /// Starts all there is room for.
    fn start(&mut self) {
        let now = self.shared.clock.now();
        while self.sorting < SORTING
            && let Some(id) = self.schedule.next_due(now)
        {
            self.sorting += 1;
            let (shared, courier, active) =
                (self.shared.clone(), self.courier.clone(), self.active.get(id, &self.break_off));
            self.tasks.spawn(sort(shared, courier, active));
        }
        // Slow destinations may use up all there is; each of the others still has room for one, up to as many again.
        while self.attempts < self.most_attempts()
            && let Some(start) = self.schedule.start(now, self.attempts >= self.most_attempts() / 2)
        {
            self.attempt(start);
        }
    }

    fn most_attempts(&self) -> usize {
        let most = usize::try_from(self.shared.settings.max_deliveries).unwrap_or(usize::MAX);
        most.max(1).saturating_mul(2)
    }

    fn attempt(&mut self, start: Start) {
        let Start { id, lane, way, given } = start;
        self.attempts += 1;
        let attempt = Attempt {
            shared: self.shared.clone(),
            courier: self.courier.clone(),
            active: self.active.get(id, &self.break_off),
            way: way.clone(),
            stop: self.break_off.clone(),
        };
        let is_given = given.is_some();
        self.tasks
            .spawn(async move { Event::Ended { id, way, lane, given: is_given, ended: attempt.run(given).await } });
    }

    fn order(&mut self, (id, order, done): Ordered) {
        let (shared, courier, active) =
            (self.shared.clone(), self.courier.clone(), self.active.get(id, &self.break_off));
        let stop = self.break_off.clone();
        self.tasks.spawn(async move {
            let (obeyed, answer) = match obey(&shared, &courier, &active, order, &stop).await {
                Ok(obeyed) => (obeyed, Ok(())),
                Err(error) => (Obeyed::default(), Err(error)),
            };
            // Whoever asked may have gone.
            drop(done.send(answer));
            Event::Obeyed { id, obeyed }
        });
    }

    fn patience(&self, way: &Way) -> Patience {
        Patience::with(&self.shared.settings, way.as_ref().map(|way| (&self.courier, way)))
    }

    fn most(&self, way: &Way) -> u32 {
        let most = |destination| u32::try_from(self.courier.max_connections(destination)).unwrap_or(u32::MAX);
        way.as_ref().map_or(NO_ROUTE_ROOM, most)
    }

    fn pause(&self) -> Duration {
        // What there is no room for waits for an event, not for its time.
        let waiting = self.schedule.next_wait().filter(|_| self.sorting < SORTING);
        let turn = self.schedule.next_turn().filter(|_| self.attempts < self.most_attempts());
        let next = waiting.into_iter().chain(turn).min();
        let wait = next.map(|at| Duration::from_millis(at.saturating_sub(self.shared.clock.now()).max(1)));
        wait.unwrap_or(IDLE).min(IDLE)
    }

    fn take(&mut self, event: Result<Event, tokio::task::JoinError>) {
        match event {
            Ok(Event::Sorted { id, ways, later }) => {
                self.sorting = self.sorting.saturating_sub(1);
                let now = self.shared.clock.now();
                for way in ways {
                    let terms = Terms { most: self.most(&way), life: self.patience(&way).give_up_after };
                    self.schedule.ready(id, way, now, terms);
                }
                if let Some(at) = later {
                    self.schedule.wait(at, id);
                }
                self.active.forget(id);
            }
            Ok(Event::Ended { id, way, lane, given, ended }) => {
                self.attempts = self.attempts.saturating_sub(1);
                let (now, patience) = (self.shared.clock.now(), self.patience(&way));
                self.schedule.end((id, lane), given, ended.went, now, |times| patience.rest(times));
                if let Some(at) = ended.due {
                    self.schedule.wait(at, id);
                }
                self.active.forget(id);
            }
            Ok(Event::Obeyed { id, obeyed }) => {
                let now = self.shared.clock.now();
                obeyed.before.into_iter().for_each(|at| self.schedule.forget(at, id));
                obeyed.due.into_iter().for_each(|at| self.schedule.wait(at, id));
                obeyed.ways.iter().for_each(|way| self.schedule.revive(way, now));
                self.active.forget(id);
            }
            // A panic; the message is looked at again at the next start. Nothing of ours panics.
            Err(error) => tracing::error!(%error, "an attempt ended abnormally"),
        }
    }

    async fn stop(mut self) {
        let grace = tokio::time::sleep(self.shared.settings.stop_grace);
        tokio::pin!(grace);
        loop {
            tokio::select! {
                event = self.tasks.join_next() => match event {
                    Some(event) => self.take(event),
                    None => break,
                },
                () = &mut grace, if !self.break_off.is_cancelled() => self.break_off.cancel(),
            }
        }
        for (at, id) in self.schedule.drain() {
            let _ = self.shared.returns.send(Due { id, at });
        }
    }
}

/// Reads a message and says which ways it is to go now.
async fn sort(shared: Arc<Shared>, courier: Courier, active: Arc<Active>) -> Event {
    let id = active.id;
    let content = match active.content(&shared).await {
        Ok(content) => content,
        Err(error) => return Event::Sorted { id, ways: Vec::new(), later: give_way(&shared, id, error).await },
    };
    let now = shared.clock.now();
    let mut progress = content.progress.lock().await;
    delay::tell(&shared, &courier, &active, content, &mut progress).await;
    let tell = delay::due(&shared, content, &progress).map(|at| at.max(now.saturating_add(TELL_RETRY)));
    let mut ways: Vec<Way> = progress.due(now).map(|at| way(&courier, content, at)).collect();
    ways.sort_unstable();
    ways.dedup();
    Event::Sorted { id, ways, later: progress.later(now).into_iter().chain(tell).min() }
}
