//! Carries a plan out.

use std::time::{Duration, Instant};

use b24sync_portal_emulator::Portal;
use b24sync_testkit::proxy::Proxy;
use tokio::time::sleep_until;

use super::arena::{Arena, Process};
use super::change::History;
use super::plan::{Act, Job, Plan, Rights, Round, Snag, Way, Wire};
use super::witness::Known;

/// Time for a process to get where it is to be caught.
const CAUGHT_WITHIN: Duration = Duration::from_secs(2);

/// Time for a process to do its work while another one is held.
const OVERTAKEN_WITHIN: Duration = Duration::from_secs(4);

/// What is still to happen in a round.
enum Due {
    Start(Job),
    Act(Act),
    Continue(usize),
    Welcome(Way),
}

/// One round after the other; returns what is known in the end.
pub(super) async fn carry_out(plan: &Plan, arena: &mut Arena<'_>) -> Known {
    let mut known = Known::default();
    for round in &plan.rounds {
        arena.portal().clock().advance(Duration::from_secs(round.seconds_later));
        let mut processes = fight(round, arena, &mut known.history).await;
        arena.heal().await;
        let deadline = Instant::now() + Duration::from_millis(round.patience);
        for process in &mut processes {
            process.signal("-CONT");
            process.ends_within(deadline.saturating_duration_since(Instant::now())).await;
        }
        let ended = processes.into_iter().map(Process::end).collect();
        known.look(arena, ended).await;
    }
    known
}

async fn fight(round: &Round, arena: &mut Arena<'_>, history: &mut History) -> Vec<Process> {
    let mut processes = Vec::new();
    let mut starts = round.starts.iter();
    if let (Some(snag), Some((_, job))) = (&round.snag, starts.as_slice().first()) {
        starts.next();
        processes.push(arena.start(&arguments(job, arena.portal(), history)));
        catch(snag, arena, &mut processes, history).await;
    }
    let starts = starts.map(|(at, job)| (*at, Due::Start(job.clone())));
    let acts = round.acts.iter().map(|(at, act)| (*at, Due::Act(act.clone())));
    let mut due: Vec<(u64, Due)> = starts.chain(acts).collect();
    // What comes first stands last.
    due.sort_by_key(|(at, _)| std::cmp::Reverse(*at));
    let began = tokio::time::Instant::now();
    while let Some((at, next)) = due.pop() {
        sleep_until(began + Duration::from_millis(at)).await;
        let follows = match next {
            Due::Start(job) => {
                let arguments = arguments(&job, arena.portal(), history);
                processes.push(arena.start(&arguments));
                None
            }
            Due::Act(act) => happen(act, arena, &mut processes, history).await,
            Due::Continue(process) => {
                signal(&mut processes, process, "-CONT");
                None
            }
            Due::Welcome(Way::Database) => {
                arena.way_to_database.refuse(false);
                None
            }
            Due::Welcome(Way::Portal) => {
                arena.way_to_portal.refuse(false);
                None
            }
        };
        if let Some((later, what)) = follows {
            let place = due.partition_point(|(other, _)| *other > at + later);
            due.insert(place, (at + later, what));
        }
    }
    processes
}

/// Waits until the first process is where it is to be caught, or ends without getting there.
async fn catch(snag: &Snag, arena: &mut Arena<'_>, processes: &mut Vec<Process>, history: &mut History) {
    arena.way(snag.way).hold(snag.side, snag.request, snag.spared);
    let deadline = Instant::now() + CAUGHT_WITHIN;
    while !arena.way(snag.way).held(Duration::from_millis(5)).await {
        if Instant::now() > deadline || processes[0].has_ended() {
            arena.way(snag.way).release();
            return;
        }
    }
    for act in &snag.then {
        let undone = happen(act.clone(), arena, processes, history).await;
        assert!(undone.is_none(), "nothing that lasts can happen at a snag");
    }
    if let Some(job) = &snag.overtaken_by {
        let lease = arena.lease_of(&processes[0]).await;
        happen(Act::ExpireLeases, arena, processes, history).await;
        let mut other = arena.start(&arguments(job, arena.portal(), history));
        other.ends_within(OVERTAKEN_WITHIN).await;
        processes.push(other);
        // Held at the portal's answer, the first one has still to commit what it is reading.
        if let (Way::Portal, Some((scope, token))) = (snag.way, lease)
            && arena.token(&scope).await > token
        {
            processes[0].overtaken = Some(scope);
        }
    }
    arena.way(snag.way).release();
}

fn arguments(job: &Job, portal: &Portal, history: &History) -> Vec<String> {
    match job {
        Job::Run(arguments) => arguments.iter().map(|&argument| argument.to_owned()).collect(),
        Job::SyncByIds { entity, ids } => {
            let ids: Vec<String> = ids.iter().map(|roll| history.any_id(portal, *entity, *roll).to_string()).collect();
            ["sync", entity.name(), "--id", &ids.join(",")].map(str::to_owned).into()
        }
    }
}

fn signal(processes: &mut [Process], process: usize, name: &str) {
    // The one that is meant may not have begun.
    if let Some(process) = processes.get_mut(process) {
        process.signal(name);
    }
}

/// Lets a misfortune happen; returns what undoes it, and how many milliseconds later.
async fn happen(
    act: Act,
    arena: &mut Arena<'_>,
    processes: &mut [Process],
    history: &mut History,
) -> Option<(u64, Due)> {
    match act {
        Act::Change(change) => {
            history.apply(arena.portal(), change);
        }
        Act::Kill(process) => signal(processes, process, "-KILL"),
        Act::Terminate(process) => signal(processes, process, "-TERM"),
        Act::Pause(process, milliseconds) => {
            signal(processes, process, "-STOP");
            return Some((milliseconds, Due::Continue(process)));
        }
        Act::TerminateBackends(times) => {
            for _ in 0..times {
                arena.server.terminate_backends(&arena.database).await;
            }
        }
        Act::RestartServer => arena.server.restart_immediate().await,
        Act::ExpireLeases => {
            // Before the first migration there is no such table.
            let sql = "update b24sync.leases set expires_at = clock_timestamp() where expires_at > clock_timestamp()";
            let _ = arena.client().await.batch_execute(sql).await;
        }
        Act::Database(wire) => return on_the_way(&arena.way_to_database, Way::Database, wire),
        Act::Portal(wire) => return on_the_way(&arena.way_to_portal, Way::Portal, wire),
        Act::Faults(faults) => arena.portal().set_faults(faults),
        Act::Rights(rights) => restrict(arena.portal(), rights, history),
        Act::Rate(rate) => arena.portal().set_rate(Some(rate)),
    }
    None
}

fn on_the_way(proxy: &Proxy, way: Way, wire: Wire) -> Option<(u64, Due)> {
    match wire {
        Wire::Cut => {
            proxy.cut();
        }
        Wire::Refuse(milliseconds) => {
            proxy.refuse(true);
            proxy.cut();
            return Some((milliseconds, Due::Welcome(way)));
        }
        Wire::Delay(milliseconds) => proxy.delay(Duration::from_millis(milliseconds)),
        Wire::LoseAnswers { request, spared, count } => proxy.lose_answers(request, spared, count),
    }
    None
}

fn restrict(portal: &Portal, rights: Rights, history: &mut History) {
    match rights {
        Rights::HideAll(entity) => {
            history.hide(portal, entity, &portal.ids(entity));
            portal.hide_all(entity);
        }
        Rights::HideSome(entity, count) => {
            let ids: Vec<i64> = portal.ids(entity).into_iter().step_by(3).take(count).collect();
            history.hide(portal, entity, &ids);
        }
        Rights::TypeRemoved(entity) => portal.remove_entity_type(entity, true),
        Rights::WebhookRevoked => portal.revoke_webhook(),
        Rights::NoCrm => portal.set_crm_rights(false),
        Rights::NoAdministrator => portal.set_admin(false),
    }
}
