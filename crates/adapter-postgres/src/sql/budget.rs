//! The arithmetic of the portal's budget: [`Bucket`](b24sync_domain::pacing::Bucket) as statements of one row.
//!
//! The row is locked before anything is computed from it, and `seen` is computed once, so that all of a statement speaks of
//! one moment. That moment may be a little earlier than the lock, which drains less than has drained.

use b24sync_domain::pacing::{
    LOWERED, LOWEST_BURST, LOWEST_FACTOR, LOWEST_RATE, MARGIN_PART, MARGIN_SECONDS, MOST_AT_ONCE, PAUSE_FIRST_SECONDS,
    PAUSE_MOST_SECONDS, REFUSALS_MEMORY_SECONDS, RESTORED_PER_SECOND, ROUNDING, RateLimits,
};
use b24sync_domain::ports::Wish;
use diesel::sql_types::{BigInt, Double};

use super::{Sql, sql};
use crate::budget::SliceRow;

/// The row, the limits in force, and the bucket's level now; `$returned` slots of `$version` are taken out of it.
fn bucket<'a>(limits: RateLimits, wish: Option<&Wish>) -> Sql<'a> {
    let returned = wish.and_then(|wish| wish.returned);
    sql("with seen as materialized (select version, level, at, paused_until, refusals, refused_at, factor, clock_timestamp() as now from b24sync.portal_rate where single limit 1 for update), remaining as (select *, least(1, factor + ")
        .bind::<Double, _>(RESTORED_PER_SECOND)
        .text(" * greatest(0, coalesce(extract(epoch from now - refused_at)::double precision, 0))) as part, greatest(0, coalesce(extract(epoch from paused_until - now)::double precision, 0)) as pause from seen), force as (select *, greatest(least(")
        .bind::<Double, _>(limits.per_second())
        .text(", ")
        .bind::<Double, _>(LOWEST_RATE)
        .text("), ")
        .bind::<Double, _>(limits.per_second())
        .text(" * part) as rate, greatest(least(")
        .bind::<Double, _>(limits.burst())
        .text(", ")
        .bind::<Double, _>(LOWEST_BURST)
        .text("), ")
        .bind::<Double, _>(limits.burst())
        .text(" * part) as burst from remaining), bucket as (select *, greatest(1, burst - least(rate * ")
        .bind::<Double, _>(MARGIN_SECONDS)
        .text(", burst * ")
        .bind::<Double, _>(MARGIN_PART)
        .text(")) as capacity, greatest(0, greatest(0, level - rate * greatest(0, extract(epoch from now - at)::double precision)) - case when version = ")
        .bind::<BigInt, _>(returned.map_or(-1, |returned| returned.version))
        .text(" then ")
        .bind::<Double, _>(returned.map_or(0.0, |returned| f64::from(returned.count)))
        .text(" else 0 end) as filled from force)")
}

/// Grants slots, if the row is there.
pub(crate) fn take<'a>(limits: RateLimits, wish: &Wish) -> Sql<'a, SliceRow> {
    let ahead = wish.ahead.as_secs_f64();
    bucket(limits, Some(wish))
        .text(", room as (select *, capacity - filled + ")
        .bind::<Double, _>(ROUNDING)
        .text(" as free, (filled + 1 - capacity) / rate as next from bucket), slice as (select *, case when pause > 0 then 0 when free >= 1 then least(")
        .bind::<Double, _>(f64::from(wish.wanted.min(MOST_AT_ONCE)))
        .text(", floor(free)) else greatest(0, least(")
        .bind::<Double, _>(f64::from(wish.wanted))
        .text(", floor(free + ")
        .bind::<Double, _>(ahead)
        .text(" * rate))) end as granted from room) update b24sync.portal_rate r set level = s.filled + s.granted, at = greatest(r.at, s.now), version = r.version + 1 from slice s where r.single returning s.granted::integer, case when s.pause > 0 then s.pause when s.free >= 1 then 0 when s.granted > 0 then s.next else greatest(0, s.next - ")
        .bind::<Double, _>(ahead)
        .text(") end, case when s.granted > 0 and s.free < 1 then 1 / s.rate else 0 end, r.version, s.rate, ")
        .text("array(select m.method from b24sync.portal_methods m where m.paused_until > s.now order by m.method), array(select extract(epoch from m.paused_until - s.now)::double precision from b24sync.portal_methods m where m.paused_until > s.now order by m.method), array(select m.limit_seconds from b24sync.portal_methods m where m.paused_until > s.now order by m.method)")
        .rows()
}

/// Notes a refusal, and returns the seconds for which everybody pauses, if the row is there.
pub(crate) fn refuse<'a>(limits: RateLimits) -> Sql<'a, (Double,)> {
    bucket(limits, None)
        .text(", further as (select *, refused_at is not null and extract(epoch from now - paused_until) < ")
        .bind::<Double, _>(REFUSALS_MEMORY_SECONDS)
        .text(" as again from bucket), next as (select *, case when again then refusals + 1 else 1 end as count from further), verdict as (select *, case when pause > 0 then pause else least(")
        .bind::<Double, _>(PAUSE_MOST_SECONDS)
        .text(", ")
        .bind::<Double, _>(PAUSE_FIRST_SECONDS)
        .text(" * power(2, least(count, 20) - 1)) end as pausing, case when again then greatest(")
        .bind::<Double, _>(LOWEST_FACTOR)
        .text(", part * ")
        .bind::<Double, _>(LOWERED)
        .text(") else part end as lowered from next) update b24sync.portal_rate r set level = case when v.pause > 0 then r.level else greatest(v.filled, v.capacity) end, at = case when v.pause > 0 then r.at else greatest(r.at, v.now) end, refusals = case when v.pause > 0 then r.refusals else v.count end, refused_at = case when v.pause > 0 then r.refused_at else v.now end, factor = case when v.pause > 0 then r.factor else v.lowered end, paused_until = case when v.pause > 0 then r.paused_until else v.now + v.pausing * interval '1 second' end, version = r.version + 1 from verdict v where r.single returning v.pausing")
        .rows()
}
