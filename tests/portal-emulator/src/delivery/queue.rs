//! What is sent when. Time is an argument, chance follows from the seed.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::plan::DeliveryPlan;
use super::tally::{Deliveries, DeliveryRecord, Tally};
use crate::data::{below, mix};
use crate::events::{Auth, Event};

/// One event on its way to one handler.
#[derive(Clone, Debug)]
pub(crate) struct Parcel {
    pub(crate) handler_id: Option<i64>,
    pub(crate) url: Arc<str>,
    pub(crate) event: Arc<Event>,
    pub(crate) auth: Auth,
}

impl Parcel {
    fn record(&self, status: Option<u16>, lost: bool) -> DeliveryRecord {
        let (event, id) = (self.event.name.clone(), self.event.id);
        DeliveryRecord { event, id, handler: self.url.to_string(), status, lost }
    }
}

/// What can be done now.
#[derive(Debug)]
pub(super) enum Next {
    /// Send this; it is in flight from now on.
    Send(Parcel),
    /// Nothing before so much time has passed.
    Wait(Duration),
    /// Nothing until something changes.
    Idle,
}

/// The deliveries of one handler: a slow one holds nobody else up.
#[derive(Debug, Default)]
struct Lane {
    /// By the moment they are due, and by number.
    waiting: BTreeMap<(Instant, u64), Parcel>,
    last_due: Option<Instant>,
    /// A slow handler is left alone until then.
    rests_until: Option<Instant>,
}

impl Lane {
    /// When the next delivery can start.
    fn ready_at(&self) -> Option<Instant> {
        let ((due, _), _) = self.waiting.first_key_value()?;
        Some(self.rests_until.map_or(*due, |rest| rest.max(*due)))
    }
}

/// The deliveries of all handlers.
#[derive(Debug, Default)]
pub(super) struct Queue {
    plan: DeliveryPlan,
    paused: bool,
    lanes: BTreeMap<Arc<str>, Lane>,
    in_flight: usize,
    numbered: u64,
    rolled: u64,
    tally: Tally,
}

impl Queue {
    pub(super) fn set_plan(&mut self, plan: DeliveryPlan) {
        self.plan = plan;
    }

    pub(super) fn pause(&mut self, paused: bool) {
        self.paused = paused;
    }

    pub(super) fn timeout(&self) -> Duration {
        Duration::from_millis(self.plan.timeout_milliseconds.max(1))
    }

    fn roll(&mut self) -> u64 {
        self.rolled += 1;
        mix(self.plan.seed ^ mix(self.rolled))
    }

    fn chance(&mut self, percent: u8) -> bool {
        percent > 0 && self.roll() % 100 < u64::from(percent)
    }

    /// Whether a robot causes the event that is announced now.
    pub(super) fn is_by_robot(&mut self) -> bool {
        self.chance(self.plan.robot_percent)
    }

    /// Takes a delivery that the plan may lose, double and delay, not before `earliest`.
    pub(super) fn put(&mut self, parcel: Parcel, earliest: Instant) {
        if self.chance(self.plan.lost_percent) {
            self.tally.add(parcel.record(None, true));
            return;
        }
        if self.chance(self.plan.doubled_percent) {
            self.put_certain(parcel.clone(), earliest);
        }
        self.put_certain(parcel, earliest);
    }

    /// Takes a delivery that the plan may only delay, not before `earliest`.
    pub(super) fn put_certain(&mut self, parcel: Parcel, earliest: Instant) {
        let (least, longest) = self.plan.delay_milliseconds;
        let span = longest.saturating_sub(least);
        let extra = if span == 0 { 0 } else { below(self.roll(), span + 1).unsigned_abs() };
        let mut due = earliest + Duration::from_millis(least + extra);
        self.numbered += 1;
        let lane = self.lanes.entry(Arc::clone(&parcel.url)).or_default();
        if self.plan.reorder_window == 0 {
            due = lane.last_due.map_or(due, |last| last.max(due));
        }
        lane.last_due = Some(due);
        lane.waiting.insert((due, self.numbered), parcel);
    }

    /// Takes what is to be sent next out of the queue.
    pub(super) fn next(&mut self, now: Instant) -> Next {
        if self.paused || self.in_flight >= self.plan.parallel.max(1) {
            return Next::Idle;
        }
        let first = self.lanes.iter().filter_map(|(url, lane)| Some((lane.ready_at()?, url))).min();
        let Some((ready, url)) = first else { return Next::Idle };
        if ready > now {
            return Next::Wait(ready - now);
        }
        let url = Arc::clone(url);
        self.take(&url, now).map_or(Next::Idle, Next::Send)
    }

    /// Takes one of the deliveries that are due, the first or one that overtakes it.
    fn take(&mut self, url: &Arc<str>, now: Instant) -> Option<Parcel> {
        let window = self.plan.reorder_window;
        let roll = if window == 0 { 0 } else { self.roll() };
        let waiting = &mut self.lanes.get_mut(url)?.waiting;
        let due = waiting.range(..=(now, u64::MAX)).take(window.saturating_add(1)).count();
        let chosen = usize::try_from(below(roll, u64::try_from(due).unwrap_or(1))).unwrap_or(0);
        let key = *waiting.keys().nth(chosen)?;
        let parcel = waiting.remove(&key)?;
        self.in_flight += 1;
        Some(parcel)
    }

    /// Notes how a delivery ended that took so long.
    pub(super) fn settle(&mut self, parcel: &Parcel, status: Option<u16>, took: Duration, now: Instant) {
        self.in_flight = self.in_flight.saturating_sub(1);
        let slow = self.plan.slow_after_milliseconds.is_some_and(|limit| took > Duration::from_millis(limit));
        if let (true, Some(lane)) = (slow, self.lanes.get_mut(&parcel.url)) {
            lane.rests_until = Some(now + Duration::from_millis(self.plan.throttle_milliseconds));
        }
        self.tally.add(parcel.record(status, false));
    }

    pub(super) fn is_empty(&self) -> bool {
        self.in_flight == 0 && self.lanes.values().all(|lane| lane.waiting.is_empty())
    }

    pub(super) fn numbers(&self) -> Deliveries {
        let count = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
        let queued = self.lanes.values().map(|lane| lane.waiting.len()).sum();
        Deliveries { queued: count(queued), in_flight: count(self.in_flight), ..self.tally.numbers() }
    }

    pub(super) fn records(&self) -> impl Iterator<Item = &DeliveryRecord> {
        self.tally.records()
    }

    /// Forgets what was counted; what waits keeps waiting.
    pub(super) fn reset_tally(&mut self) {
        self.tally = Tally::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entity::Entity;
    use crate::events::{Grant, Verb};

    fn parcel(url: &str, id: i64) -> Parcel {
        let auth = Auth { application_token: "t".into(), grant: Grant::Nothing };
        let event = Arc::new(Event::record(Entity::Deal, Verb::Update, id));
        Parcel { handler_id: Some(1), url: url.into(), event, auth }
    }

    fn queue(plan: DeliveryPlan, ids: std::ops::Range<i64>, now: Instant) -> Queue {
        let mut queue = Queue { plan, ..Queue::default() };
        for id in ids {
            queue.put(parcel("u", id), now);
        }
        queue
    }

    /// Sends everything that is due; returns the ids.
    fn drain(queue: &mut Queue, now: Instant) -> Vec<i64> {
        let mut ids = Vec::new();
        while let Next::Send(parcel) = queue.next(now) {
            ids.extend(parcel.event.id);
            queue.settle(&parcel, Some(200), Duration::ZERO, now);
        }
        ids
    }

    #[test]
    fn a_kind_plan_keeps_the_order_and_a_window_does_not() {
        let now = Instant::now();
        assert_eq!(drain(&mut queue(DeliveryPlan::default(), 0..50, now), now), (0..50).collect::<Vec<_>>());
        let plan = DeliveryPlan { reorder_window: 3, ..DeliveryPlan::default() };
        let mut ids = drain(&mut queue(plan, 0..50, now), now);
        // Nobody overtakes more than three.
        assert!(ids.iter().zip(0..).all(|(id, at)| *id <= at + 3), "{ids:?}");
        assert!(!ids.is_sorted());
        ids.sort_unstable();
        assert_eq!(ids, (0..50).collect::<Vec<_>>());
    }

    #[test]
    fn delays_hold_up_those_behind_unless_they_may_overtake() {
        let (now, ms) = (Instant::now(), Duration::from_millis);
        let plan = DeliveryPlan { delay_milliseconds: (100, 200), ..DeliveryPlan::default() };
        let mut fifo = queue(plan.clone(), 0..50, now);
        assert!(matches!(fifo.next(now), Next::Wait(wait) if wait >= ms(100)));
        let mut ids = drain(&mut fifo, now + ms(150));
        ids.extend(drain(&mut fifo, now + ms(200)));
        assert_eq!(ids, (0..50).collect::<Vec<_>>());
        let mut free = queue(DeliveryPlan { reorder_window: 1, ..plan }, 0..50, now);
        let early = drain(&mut free, now + ms(150));
        assert!((10..40).contains(&early.len()), "{early:?}");
        assert_eq!(drain(&mut free, now + ms(200)).len(), 50 - early.len());
    }

    #[test]
    fn chance_loses_and_doubles_as_the_seed_says() {
        let now = Instant::now();
        let plan = DeliveryPlan { lost_percent: 20, doubled_percent: 10, ..DeliveryPlan::default() };
        let run = |plan: &DeliveryPlan| {
            let mut queue = queue(plan.clone(), 0..1_000, now);
            (drain(&mut queue, now), queue.numbers())
        };
        let (ids, numbers) = run(&plan);
        assert!((150..250).contains(&numbers.lost), "{numbers:?}");
        let distinct = ids.iter().collect::<std::collections::BTreeSet<_>>().len();
        assert!((50..150).contains(&(ids.len() - distinct)));
        assert_eq!((numbers.sent, numbers.queued), (u64::try_from(ids.len()).unwrap(), 0));
        assert_eq!(run(&plan).0, ids);
        assert_ne!(run(&DeliveryPlan { seed: 25, ..plan }).0, ids);
    }

    #[test]
    fn a_slow_handler_rests_and_holds_nobody_else_up() {
        let (now, ms) = (Instant::now(), Duration::from_millis);
        let plan = DeliveryPlan {
            slow_after_milliseconds: Some(10),
            throttle_milliseconds: 500,
            parallel: 1,
            ..DeliveryPlan::default()
        };
        let mut queue = queue(plan, 0..2, now);
        queue.put(parcel("v", 7), now);
        let Next::Send(first) = queue.next(now) else { panic!("nothing to send") };
        assert!(matches!(queue.next(now), Next::Idle), "one at a time");
        queue.settle(&first, None, ms(11), now);
        let Next::Send(other) = queue.next(now) else { panic!("nothing to send") };
        assert_eq!(other.event.id, Some(7));
        queue.settle(&other, Some(200), ms(9), now);
        assert!(matches!(queue.next(now), Next::Wait(wait) if wait == ms(500)));
        assert_eq!(drain(&mut queue, now + ms(500)), [1]);
        assert!(queue.is_empty());
        assert_eq!(queue.numbers().failed, 1);
    }

    #[test]
    fn a_pause_keeps_everything_waiting() {
        let now = Instant::now();
        let mut queue = queue(DeliveryPlan::default(), 0..3, now);
        queue.pause(true);
        assert!(matches!(queue.next(now), Next::Idle));
        assert_eq!((queue.numbers().queued, queue.is_empty()), (3, false));
        queue.pause(false);
        assert_eq!(drain(&mut queue, now).len(), 3);
    }
}
