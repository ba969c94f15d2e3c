//! Good tokens, changed at random: none verifies, none makes anything panic.

use std::sync::LazyLock;

use proptest::prelude::*;
use tokio::runtime::Runtime;

use crate::support::{Key, Project, SECRET};

struct Scene {
    runtime: Runtime,
    project: Project,
    tokens: Vec<String>,
}

static SCENE: LazyLock<Scene> = LazyLock::new(|| {
    let keys = [Key::ec().jwk(), Key::rsa().jwk()];
    let project = Project::with(&keys, |settings| settings.jwt_secret = Some(SECRET.into()));
    let tokens = [Key::ec(), Key::rsa(), Key::secret(SECRET)].iter().map(|key| project.token(key)).collect();
    Scene { runtime: Runtime::new().unwrap(), project, tokens }
});

impl Scene {
    fn accepts(&self, token: &str) -> bool {
        self.runtime.block_on(self.project.identify(token)).is_ok()
    }
}

#[derive(Debug, Clone)]
enum Mutation {
    Replace(prop::sample::Index, char),
    Insert(prop::sample::Index, char),
    Remove(prop::sample::Index, usize),
    Duplicate(prop::sample::Index, usize),
    Swap(prop::sample::Index, prop::sample::Index),
    /// Puts a part of another token in the place of this one's.
    Graft(usize, usize),
}

fn character() -> impl Strategy<Value = char> {
    prop_oneof![
        8 => prop::sample::select("ABCXYZabcxyz0189-_".chars().collect::<Vec<_>>()),
        2 => prop::sample::select(".=+/ \n\0%,".chars().collect::<Vec<_>>()),
        1 => any::<char>(),
    ]
}

fn mutation() -> impl Strategy<Value = Mutation> {
    let index = any::<prop::sample::Index>;
    prop_oneof![
        4 => (index(), character()).prop_map(|(at, with)| Mutation::Replace(at, with)),
        2 => (index(), character()).prop_map(|(at, with)| Mutation::Insert(at, with)),
        2 => (index(), 1_usize..40).prop_map(|(at, count)| Mutation::Remove(at, count)),
        1 => (index(), 1_usize..40).prop_map(|(at, count)| Mutation::Duplicate(at, count)),
        1 => (index(), index()).prop_map(|(one, other)| Mutation::Swap(one, other)),
        1 => (0_usize..3, 0_usize..3).prop_map(|(part, from)| Mutation::Graft(part, from)),
    ]
}

fn apply(token: &str, mutation: &Mutation) -> String {
    let mut chars: Vec<char> = token.chars().collect();
    let length = chars.len();
    if length == 0 {
        return String::new();
    }
    match mutation {
        Mutation::Replace(at, with) => chars[at.index(length)] = *with,
        Mutation::Insert(at, with) => chars.insert(at.index(length), *with),
        Mutation::Remove(at, count) => {
            let start = at.index(length);
            chars.drain(start..(start + count).min(length));
        }
        Mutation::Duplicate(at, count) => {
            let start = at.index(length);
            let again = chars[start..(start + count).min(length)].to_vec();
            chars.splice(start..start, again);
        }
        Mutation::Swap(one, other) => chars.swap(one.index(length), other.index(length)),
        Mutation::Graft(part, from) => {
            let mut parts: Vec<&str> = token.split('.').collect();
            if let (Some(place), Some(graft)) = (parts.get_mut(*part), SCENE.tokens[*from].split('.').nth(*part)) {
                *place = graft;
            }
            return parts.join(".");
        }
    }
    chars.into_iter().collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_mutated_token_never_verifies(which in 0_usize..3, mutations in prop::collection::vec(mutation(), 1..6)) {
        let mutated = mutations.iter().fold(SCENE.tokens[which].clone(), |token, mutation| apply(&token, mutation));
        let is_good = SCENE.tokens.contains(&mutated);
        prop_assert_eq!(SCENE.accepts(&mutated), is_good, "{}", mutated);
    }

    #[test]
    fn any_text_is_refused(text in any::<String>(), header in any::<Vec<u8>>(), payload in any::<Vec<u8>>()) {
        prop_assert!(!SCENE.accepts(&text));
        for key in [Key::ec(), Key::secret(SECRET)] {
            prop_assert!(!SCENE.accepts(&crate::support::signed(&header, &payload, &key)));
            prop_assert!(!SCENE.accepts(&crate::support::signed(key.header().to_string(), &payload, &key)));
        }
    }
}
