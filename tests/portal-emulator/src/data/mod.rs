//! Deterministic data: every value of a record follows from (seed, entity, id), so that a million records cost
//! nothing until they are read.

pub(crate) mod dictionary;
pub(crate) mod names;
pub(crate) mod recipe;
pub(crate) mod text;
pub(crate) mod user_value;

use crate::config::Counts;
use crate::entity::Entity;

/// A well mixed 64-bit number from another (the finaliser of `SplitMix64`).
pub(crate) fn mix(seed: u64) -> u64 {
    let mut value = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

/// A stable number for a field name.
pub(crate) fn salt_of(name: &str) -> u64 {
    name.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

/// A roll as a signed number below `limit`.
pub(crate) fn below(roll: u64, limit: u64) -> i64 {
    i64::try_from(roll.checked_rem(limit).unwrap_or(0)).unwrap_or(0)
}

/// Picks one entry of a list.
pub(crate) fn pick<'t>(roll: u64, list: &[&'t str]) -> &'t str {
    let index = below(roll, u64::try_from(list.len()).unwrap_or(1));
    list.get(usize::try_from(index).unwrap_or(0)).copied().unwrap_or("")
}

/// What all records of a portal have in common.
#[derive(Clone, Debug)]
pub(crate) struct World {
    pub(crate) seed: u64,
    pub(crate) counts: Counts,
    /// The first and the last moment of generated history.
    pub(crate) from: i64,
    pub(crate) until: i64,
    /// Odd characters and unusual empty forms.
    pub(crate) odd_values: bool,
    /// Integers beyond 64 bits, in very few records.
    pub(crate) huge_integers: bool,
}

/// Rows in one block of ids; after each block there is a large gap.
const BLOCK: i64 = 1_000;
/// Ids spanned by one block: three for each row, then the gap.
const BLOCK_SPAN: i64 = 8_000;
/// Rows of a block, by index, that one mass change touched in the same second.
const BULK: std::ops::Range<i64> = 100..520;

impl World {
    pub(crate) fn count(&self, entity: Entity) -> i64 {
        i64::try_from(self.counts.of(entity)).unwrap_or(i64::MAX)
    }

    /// The sparse id of the generated record number `index`.
    pub(crate) fn id_at(&self, entity: Entity, index: i64) -> i64 {
        let jitter = below(mix(self.root(entity) ^ index.cast_unsigned()), 3);
        1 + BLOCK_SPAN * (index / BLOCK) + 3 * (index % BLOCK) + jitter
    }

    /// The number of the generated record that has this id, or would have it.
    pub(crate) fn index_of(id: i64) -> i64 {
        let at = (id - 1).max(0);
        BLOCK * (at / BLOCK_SPAN) + at % BLOCK_SPAN / 3
    }

    /// The id of some existing record of an entity, or `None` if the portal has none.
    pub(crate) fn some_id(&self, entity: Entity, roll: u64) -> Option<i64> {
        let count = u64::try_from(self.count(entity)).unwrap_or(0);
        (count > 0).then(|| self.id_at(entity, below(roll, count)))
    }

    fn root(&self, entity: Entity) -> u64 {
        mix(self.seed ^ entity.type_id().cast_unsigned().wrapping_mul(0x5851_f42d_4c95_7f2d))
    }

    /// When the generated record number `index` was created, without jitter.
    fn created_at(&self, entity: Entity, index: i64) -> i64 {
        let span = self.until - self.from;
        self.from + span * index.min(self.count(entity)) / self.count(entity).max(1)
    }
}

/// One record as a source of rolls.
#[derive(Clone, Debug)]
pub(crate) struct Subject<'w> {
    pub(crate) world: &'w World,
    pub(crate) entity: Entity,
    pub(crate) id: i64,
    pub(crate) created: i64,
    pub(crate) modified: i64,
    root: u64,
}

impl<'w> Subject<'w> {
    pub(crate) fn new(world: &'w World, entity: Entity, id: i64) -> Self {
        let root = mix(world.root(entity) ^ id.cast_unsigned().wrapping_mul(0xd6e8_feb8_6659_fd93));
        let index = World::index_of(id);
        let created = (world.created_at(entity, index) + below(root, 3_600)).min(world.until);
        let modified = if BULK.contains(&(index % BLOCK)) {
            let block_end = index / BLOCK * BLOCK + BULK.end;
            (world.created_at(entity, block_end) + 7_200).min(world.until)
        } else {
            (created + below(root >> 20, 90 * 86_400)).min(world.until)
        };
        Self { world, entity, id, created, modified, root }
    }

    /// A roll that depends on nothing but the record and `salt`.
    pub(crate) fn roll(&self, salt: u64) -> u64 {
        mix(self.root ^ salt.wrapping_mul(0xa24b_aed4_963e_e407))
    }

    /// True for about `percent` of the records.
    pub(crate) fn chance(&self, salt: u64, percent: u64) -> bool {
        self.roll(salt) % 100 < percent
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    fn world() -> World {
        World {
            seed: 7,
            counts: Counts { deals: 3_500, leads: 10, contacts: 10, companies: 0 },
            from: 1_600_000_000,
            until: 1_700_000_000,
            odd_values: true,
            huge_integers: true,
        }
    }

    #[test]
    fn ids_rise_with_gaps_and_lead_back_to_their_index() {
        let world = world();
        let ids: Vec<i64> = (0..3_500).map(|index| world.id_at(Entity::Deal, index)).collect();
        assert!(ids.windows(2).all(|pair| pair[0] < pair[1]));
        assert!(ids.windows(2).any(|pair| pair[1] - pair[0] > 5_000));
        assert!(ids.iter().zip(0..).all(|(id, index)| World::index_of(*id) == index));
        assert_eq!(world.some_id(Entity::Company, 5), None);
    }

    #[test]
    fn hundreds_of_records_share_one_modified_second() {
        let world = world();
        let mut seconds: HashMap<i64, usize> = HashMap::new();
        for index in 0..3_500 {
            let subject = Subject::new(&world, Entity::Deal, world.id_at(Entity::Deal, index));
            assert!(subject.created <= subject.modified && subject.modified <= world.until);
            *seconds.entry(subject.modified).or_default() += 1;
        }
        assert!(seconds.values().filter(|count| **count >= 400).count() >= 3);
    }

    #[test]
    fn rolls_depend_on_the_seed_and_on_the_record() {
        let (one, other) = (world(), World { seed: 8, ..world() });
        let roll = |world: &World, id| Subject::new(world, Entity::Deal, id).roll(3);
        assert_eq!(roll(&one, 5), roll(&one, 5));
        assert_ne!(roll(&one, 5), roll(&one, 6));
        assert_ne!(roll(&one, 5), roll(&other, 5));
    }
}
