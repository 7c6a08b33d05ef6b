//! Works through the queue: finds each message's ways, starts attempts while there is room, and waits.

use std::sync::Arc;
use std::time::Duration;

use delivery::{Cause, Courier};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::active::{Active, ActiveMessages};
use crate::attempt::{Attempt, Ended, give_way, way};
use crate::clock::{Millis, millis};
use crate::id::MessageId;
use crate::schedule::{Schedule, Way};
use crate::shared::Shared;
use crate::store::Due;

/// Messages whose ways are being looked up at a time: each is a read from the disk.
const SORTING: usize = 16;
/// Messages taken from the arrivals at a time.
const ARRIVALS: usize = 1024;
/// Attempts at a time that only say that there is no route.
const NO_ROUTE_ROOM: usize = 4;
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
        ended: Ended,
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
                    run.schedule.forget_ways();
                }
            }
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
            let (shared, courier, active) = (self.shared.clone(), self.courier.clone(), self.active.get(id));
            self.tasks.spawn(sort(shared, courier, active));
        }
        let most = usize::try_from(self.shared.settings.max_deliveries).unwrap_or(usize::MAX).max(1);
        loop {
            // Slow routes may use up all there is; each of the others still has room for one.
            let full = self.attempts >= most;
            let courier = &self.courier;
            let room = |way: &Way| match way {
                _ if full => 1,
                Some(destination) => courier.max_connections(destination),
                None => NO_ROUTE_ROOM,
            };
            // An id is the microsecond of its message's arrival.
            let oldest = now.saturating_sub(millis(self.shared.settings.give_up_after));
            let is_stale = |id: MessageId| id.raw() / 1000 < oldest;
            let Some((id, way, given)) = self.schedule.start(now, room, is_stale) else { break };
            self.attempt(id, way, given);
        }
    }

    fn attempt(&mut self, id: MessageId, way: Way, given: Option<Cause>) {
        self.attempts += 1;
        let attempt = Attempt {
            shared: self.shared.clone(),
            courier: self.courier.clone(),
            active: self.active.get(id),
            way: way.clone(),
            break_off: self.break_off.clone(),
        };
        self.tasks.spawn(async move { Event::Ended { id, way, ended: attempt.run(given).await } });
    }

    fn pause(&self) -> Duration {
        let next = self.schedule.next_time().filter(|_| self.sorting < SORTING);
        let wait = next.map(|at| Duration::from_millis(at.saturating_sub(self.shared.clock.now()).max(1)));
        wait.unwrap_or(IDLE).min(IDLE)
    }

    fn take(&mut self, event: Result<Event, tokio::task::JoinError>) {
        match event {
            Ok(Event::Sorted { id, ways, later }) => {
                self.sorting = self.sorting.saturating_sub(1);
                ways.into_iter().for_each(|way| self.schedule.ready(id, way));
                if let Some(at) = later {
                    self.schedule.wait(at, id);
                }
                self.active.forget(id);
            }
            Ok(Event::Ended { id, way, ended }) => {
                self.attempts = self.attempts.saturating_sub(1);
                let probe = self.shared.clock.now().saturating_add(millis(self.shared.settings.retry_interval));
                self.schedule.end(id, &way, ended.unreachable.map(|cause| (probe, cause)));
                if let Some(at) = ended.due {
                    self.schedule.wait(at, id);
                }
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
    let progress = content.progress.lock().await;
    let mut ways: Vec<Way> = progress.due(now).map(|at| way(&courier, content, at)).collect();
    ways.sort_unstable();
    ways.dedup();
    Event::Sorted { id, ways, later: progress.later(now) }
}
