//! What the nemesis will do, before it does it.

use std::fmt;

use b24sync_portal_emulator::{Counts, Dialect, Entity, Fault, FaultPlan, PortalConfig, RateLimit};

use super::change::{Change, ENTITIES};
use super::random::Random;
use b24sync_testkit::proxy::Side;

/// Everything that follows from a seed.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) seed: u64,
    pub(super) dialect: Dialect,
    pub(super) portal: PortalConfig,
    pub(super) rounds: Vec<Round>,
}

/// Some processes, what happens to them, and what changes meanwhile.
#[derive(Debug)]
pub(super) struct Round {
    /// Seconds that the portal's clock goes on before it: the watermark follows the clock with a distance.
    pub(super) seconds_later: u64,
    /// Where the first process is caught, and what happens then.
    pub(super) snag: Option<Snag>,
    /// Processes that run at the same time: milliseconds after the beginning, and arguments.
    pub(super) starts: Vec<(u64, Job)>,
    /// Misfortunes: milliseconds after the beginning, and which.
    pub(super) acts: Vec<(u64, Act)>,
    /// Milliseconds for the processes to end by themselves once all is well again; then they are killed.
    pub(super) patience: u64,
}

/// A moment of a process, found not by the clock but by what it asks for.
#[derive(Debug)]
pub(super) struct Snag {
    pub(super) way: Way,
    pub(super) side: Side,
    /// The request with these words, after so many of them.
    pub(super) request: &'static str,
    pub(super) spared: usize,
    pub(super) then: Vec<Act>,
    /// Who takes the lease meanwhile, which runs out.
    pub(super) overtaken_by: Option<Job>,
}

/// What a proxy stands before.
#[derive(Debug, Clone, Copy)]
pub(super) enum Way {
    Database,
    Portal,
}

/// What a process is asked to do.
#[derive(Debug, Clone)]
pub(super) enum Job {
    /// The program with these arguments.
    Run(&'static [&'static str]),
    /// `sync ENTITY --id …` with as many ids, of records that are there or gone.
    SyncByIds { entity: Entity, ids: Vec<u64> },
}

/// One thing that goes wrong, or changes.
#[derive(Debug, Clone)]
pub(super) enum Act {
    Change(Change),
    /// SIGKILL to a process of the round.
    Kill(usize),
    /// SIGTERM to a process of the round.
    Terminate(usize),
    /// SIGSTOP, and SIGCONT so many milliseconds later.
    Pause(usize, u64),
    /// Every connection's backend is ended, so many times in a row.
    TerminateBackends(u64),
    /// The server crashes and comes back.
    RestartServer,
    /// All leases run out: owners that do not know are overtaken.
    ExpireLeases,
    /// Something happens on the way to the database.
    Database(Wire),
    /// Something happens on the way to the portal.
    Portal(Wire),
    /// The portal's answers go wrong.
    Faults(FaultPlan),
    /// The portal's user may read less.
    Rights(Rights),
    /// The portal takes no more requests a second than this.
    Rate(RateLimit),
}

/// What can happen to connections.
#[derive(Debug, Clone, Copy)]
pub(super) enum Wire {
    Cut,
    /// No new connections for so many milliseconds.
    Refuse(u64),
    /// Milliseconds that every chunk is held up.
    Delay(u64),
    /// Answers to requests with these words are lost: all but the first `spared`, `count` of them.
    LoseAnswers {
        request: &'static str,
        spared: usize,
        count: usize,
    },
}

/// What the portal's user may not do any more.
#[derive(Debug, Clone, Copy)]
pub(super) enum Rights {
    HideAll(Entity),
    HideSome(Entity, usize),
    TypeRemoved(Entity),
    WebhookRevoked,
    NoCrm,
    NoAdministrator,
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "seed {}, {:?}, {:?}", self.seed, self.dialect, self.portal.counts)?;
        for (number, round) in self.rounds.iter().enumerate() {
            writeln!(f, "  round {number}, {} s later, patience {} ms", round.seconds_later, round.patience)?;
            if let Some(snag) = &round.snag {
                writeln!(f, "          {snag:?}")?;
            }
            for (at, job) in &round.starts {
                writeln!(f, "    {at:>5} ms: {job:?}")?;
            }
            for (at, act) in &round.acts {
                writeln!(f, "    {at:>5} ms: {act:?}")?;
            }
        }
        Ok(())
    }
}

const SYNCS: [&[&str]; 9] = [
    &["sync", "--all"],
    &["sync", "--all"],
    &["sync", "--all", "--incremental"],
    &["sync", "--all", "--incremental"],
    &["sync", "deal"],
    &["sync", "deal", "--incremental"],
    &["sync", "lead", "contact"],
    &["verify", "--all"],
    &["verify", "deal", "--repair"],
];

impl Plan {
    pub(super) fn of(seed: u64) -> Plan {
        let mut random = Random::new(seed);
        let dialect = if random.once_in(3) { Dialect::Classic } else { Dialect::Item };
        let portal = portal(seed, &mut random);
        let count = if random.once_in(4) { 4 } else { 3 };
        let mut rounds: Vec<Round> = (0..count).map(|number| round(&mut random, number)).collect();
        if seed % 8 == 5 {
            let last = rounds.last_mut().unwrap();
            last.acts.push((0, Act::Change(Change::DeleteMany)));
            last.acts.sort_by_key(|(at, _)| *at);
        }
        Plan { seed, dialect, portal, rounds }
    }

    /// Whether somebody has to confirm deletions in the end.
    pub(super) fn deletes_many(&self) -> bool {
        let acts = self.rounds.iter().flat_map(|round| &round.acts);
        acts.into_iter().any(|(_, act)| matches!(act, Act::Change(Change::DeleteMany)))
    }
}

fn portal(seed: u64, random: &mut Random) -> PortalConfig {
    PortalConfig {
        seed,
        counts: Counts {
            // One answer brings up to 2,500 records; some portals need several of them.
            deals: if random.once_in(6) { random.between(2_600, 3_400) } else { random.between(300, 600) },
            leads: random.between(30, 90),
            contacts: random.between(30, 90),
            companies: random.between(20, 60),
        },
        user_fields: small(random, 5, 10),
        odd_values: random.once_in(2),
        clock_skew_seconds: i64::try_from(random.between(0, 6)).unwrap() - 3,
        gzip: random.once_in(3),
        php_escapes: random.once_in(3),
        workers: 1,
        ..PortalConfig::default()
    }
}

fn round(random: &mut Random, number: u64) -> Round {
    let mut starts = Vec::new();
    if number == 0 {
        starts.push((0, Job::Run(&["sync", "--all"])));
    } else {
        starts.push((0, job(random)));
    }
    if random.once_in(2) {
        starts.push((random.between(0, 150), job(random)));
    }
    let processes = starts.len();
    let mut acts = Vec::new();
    // Answers that take a while, so that the moments spread over reading and writing.
    if random.once_in(2) {
        acts.push((0, Act::Portal(Wire::Delay(random.between(1, 8)))));
    }
    if random.once_in(2) {
        acts.push((0, Act::Database(Wire::Delay(random.between(1, 3)))));
    }
    if random.once_in(2) {
        let (spared, count) = (small(random, 0, 12), small(random, 1, 3));
        acts.push((0, Act::Database(Wire::LoseAnswers { request: "COMMIT", spared, count })));
    }
    let snag = (!random.once_in(3)).then(|| snag(random));
    for _ in 0..random.between(3, 8) {
        acts.push((random.between(0, 500), Act::Change(Change::of(random))));
    }
    for _ in 0..random.between(1, 3) {
        acts.push((random.between(20, 500), misfortune(random, processes)));
    }
    acts.sort_by_key(|(at, _)| *at);
    let patience = if random.once_in(4) { 2_000 } else { random.between(150, 700) };
    let seconds_later = random.pick(&[0, 30, 310, 1_000, 90_000]);
    Round { seconds_later, snag, starts, acts, patience }
}

fn small(random: &mut Random, low: u64, high: u64) -> usize {
    usize::try_from(random.between(low, high)).unwrap()
}

fn snag(random: &mut Random) -> Snag {
    let way = if random.once_in(2) { Way::Database } else { Way::Portal };
    let request = match way {
        Way::Database => "COMMIT",
        Way::Portal => "POST",
    };
    let spared = small(random, 0, 11);
    let mut then: Vec<Act> = (0..random.between(0, 3)).map(|_| Act::Change(Change::of(random))).collect();
    // A transaction that is not committed keeps its locks: nobody can overtake its process.
    if random.once_in(3) {
        let overtaken_by = Some(Job::Run(random.pick(&SYNCS[..6])));
        return Snag { way, side: Side::Answer, request, spared, then, overtaken_by };
    }
    let side = if random.once_in(2) { Side::Request } else { Side::Answer };
    let misfortune = match random.between(0, 9) {
        0..=4 => Act::Kill(0),
        5 => Act::Terminate(0),
        6 => Act::RestartServer,
        7 => Act::TerminateBackends(1),
        8 => Act::Database(Wire::Cut),
        _ => Act::Portal(Wire::Cut),
    };
    then.push(misfortune);
    Snag { way, side, request, spared, then, overtaken_by: None }
}

fn job(random: &mut Random) -> Job {
    if random.once_in(4) {
        let entity = if random.once_in(2) { Entity::Deal } else { random.pick(&ENTITIES) };
        let ids = (0..random.between(1, 12)).map(|_| random.next()).collect();
        return Job::SyncByIds { entity, ids };
    }
    Job::Run(random.pick(&SYNCS))
}

fn misfortune(random: &mut Random, processes: usize) -> Act {
    let process = usize::try_from(random.next() % u64::try_from(processes).unwrap()).unwrap();
    match random.between(0, 18) {
        0..=3 => Act::Kill(process),
        4 => Act::Terminate(process),
        5 => Act::Pause(process, random.between(50, 400)),
        6 | 7 => Act::TerminateBackends(random.between(1, 5)),
        8 | 9 => Act::RestartServer,
        10 => Act::ExpireLeases,
        11 | 12 => Act::Database(wire(random, &["COMMIT", "COMMIT", "b24sync.leases", "insert into", "select"])),
        13 => Act::Portal(wire(random, &["crm.", "batch", "POST"])),
        14..=16 => Act::Faults(faults(random)),
        17 => Act::Rights(rights(random)),
        _ => {
            #[expect(clippy::cast_precision_loss, clippy::as_conversions, reason = "small whole numbers")]
            let number = |number: u64| number as f64;
            Act::Rate(RateLimit { per_second: number(random.between(5, 50)), burst: number(random.between(2, 20)) })
        }
    }
}

fn wire(random: &mut Random, requests: &'static [&'static str]) -> Wire {
    match random.between(0, 5) {
        0 => Wire::Cut,
        1 => Wire::Refuse(random.between(30, 400)),
        2 => Wire::Delay(random.between(5, 40)),
        _ => Wire::LoseAnswers {
            request: random.pick(requests),
            spared: small(random, 0, 6),
            count: small(random, 1, 3),
        },
    }
}

fn faults(random: &mut Random) -> FaultPlan {
    let mut plan = FaultPlan::none();
    for _ in 0..random.between(1, 2) {
        let faults = (0..random.between(1, 3)).map(|_| fault(random)).collect();
        let method = random.pick(&[None, None, Some("batch"), Some("crm.deal.*"), Some("crm.item.*")]);
        let when = match random.between(0, 3) {
            0 => b24sync_portal_emulator::When::Always,
            1 => b24sync_portal_emulator::When::Next(random.between(1, 4)),
            2 => b24sync_portal_emulator::When::After(random.between(1, 8)),
            _ => b24sync_portal_emulator::When::Every(random.between(2, 7)),
        };
        plan = plan.and(method, when, faults);
    }
    plan
}

fn fault(random: &mut Random) -> Fault {
    // Not `NOT_FOUND`: a portal that says so of a record by its id is the evidence that a row may go.
    const CODES: [&str; 9] = [
        "INTERNAL_SERVER_ERROR",
        "QUERY_LIMIT_EXCEEDED",
        "OPERATION_TIME_LIMIT",
        "OVERLOAD_LIMIT",
        "ERROR_UNEXPECTED_ANSWER",
        "expired_token",
        "insufficient_scope",
        "ACCESS_DENIED",
        "ERROR_METHOD_NOT_FOUND",
    ];
    match random.between(0, 15) {
        0 => Fault::Status { status: random.pick(&[400, 403, 404, 429, 500, 502, 503, 504]) },
        1 => Fault::HtmlWith200,
        2 => Fault::TruncatedBody,
        3 => Fault::CutJson,
        4 => Fault::InvalidJson,
        5 => Fault::Delay { milliseconds: random.between(10, 300) },
        6 => Fault::ConnectionReset,
        7 => Fault::LostAfterExecution,
        8 => Fault::error(random.pick(&CODES)),
        9 => Fault::BatchPartialError { code: random.pick(&CODES).to_owned() },
        10 => Fault::ShortPage,
        11 => Fault::WrongOrder,
        12 => Fault::IgnoredFilter,
        13 => Fault::OversizedBody { bytes: 1 << 20 },
        14 => Fault::DeepNesting { depth: 200 },
        _ => Fault::Redirect302 { location: "http://127.0.0.1:9".to_owned() },
    }
}

fn rights(random: &mut Random) -> Rights {
    let entity = random.pick(&ENTITIES);
    match random.between(0, 5) {
        0 => Rights::HideAll(entity),
        1 => Rights::HideSome(entity, usize::try_from(random.between(1, 30)).unwrap()),
        2 => Rights::TypeRemoved(entity),
        3 => Rights::WebhookRevoked,
        4 => Rights::NoCrm,
        _ => Rights::NoAdministrator,
    }
}
