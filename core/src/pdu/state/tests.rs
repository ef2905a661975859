//! A state map against the standard library's map, over sequences of changes.

use std::collections::{BTreeMap, BTreeSet};

use proptest::{prelude::*, test_runner::RngSeed};
use ruma_common::{EventId, OwnedEventId, OwnedUserId};

use super::{
    StateKey, StateMap, UserSet,
    tree::{MAX, Node, key_of},
};

fn same_cases_each_time() -> ProptestConfig {
    let rng_seed = RngSeed::Fixed(1);
    ProptestConfig {
        cases: 60,
        rng_seed,
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

type Model = BTreeMap<StateKey, OwnedEventId>;

fn event_id(number: u32) -> OwnedEventId {
    OwnedEventId::try_from(format!("${number}")).unwrap()
}

fn key(number: u32) -> StateKey {
    StateKey::new(format!("type{}", number % 3), format!("key{number:06}"))
}

/// A key, and the event to set for it or none to remove it.
fn changes(count: usize) -> impl Strategy<Value = Vec<(u32, Option<u32>)>> {
    prop::collection::vec((0..KEYS, prop::option::weighted(0.7, 0..5_u32)), 0..count)
}

/// Enough for a tree of three levels.
const KEYS: u32 = 2_000;

fn apply(map: &mut StateMap, model: &mut Model, changes: &[(u32, Option<u32>)]) {
    for (number, event) in changes {
        match event {
            Some(event) => {
                map.insert(key(*number), event_id(*event));
                model.insert(key(*number), event_id(*event));
            }
            None => {
                map.remove(&key(*number));
                model.remove(&key(*number));
            }
        }
    }
}

fn differences(
    before: &Model,
    after: &Model,
) -> Vec<(StateKey, Option<OwnedEventId>, Option<OwnedEventId>)> {
    let keys: BTreeSet<_> = before.keys().chain(after.keys()).collect();
    keys.into_iter()
        .map(|key| {
            (
                key.clone(),
                before.get(key).cloned(),
                after.get(key).cloned(),
            )
        })
        .filter(|(_, before, after)| before != after)
        .collect()
}

/// Checks sizes, order and depth of every subtree; answers the height.
fn checked_height(node: &Node, is_root: bool) -> usize {
    match node {
        Node::Leaf(rows) => {
            assert!((1..=MAX).contains(&rows.len()));
            assert!(
                rows.iter()
                    .is_sorted_by(|one, other| key_of(*one) < key_of(*other))
            );
            1
        }
        Node::Inner {
            firsts,
            children,
            size,
        } => {
            assert!((1 + usize::from(is_root)..=MAX).contains(&children.len()));
            assert_eq!(
                *size,
                children.iter().map(|child| child.size()).sum::<usize>()
            );
            assert_eq!(firsts.len(), children.len());
            assert!(firsts.iter().is_sorted_by(|one, other| one < other));
            let heights = children.iter().zip(firsts.iter()).map(|(child, first)| {
                assert!(child.first() >= first, "a key that no search finds");
                checked_height(child, false)
            });
            let heights: BTreeSet<_> = heights.collect();
            assert_eq!(heights.len(), 1, "leaves are not equally deep");
            1 + heights.first().unwrap()
        }
    }
}

fn height(map: &StateMap) -> usize {
    map.root
        .as_ref()
        .map_or(0, |root| checked_height(root, true))
}

proptest! {
    #![proptest_config(same_cases_each_time())]

    #[test]
    fn holds_what_an_ordinary_map_holds(first in changes(4_000), second in changes(400)) {
        let (mut map, mut model) = (StateMap::new(), Model::new());
        apply(&mut map, &mut model, &first);
        let (old_map, old_model) = (map.clone(), model.clone());
        apply(&mut map, &mut model, &second);

        for (map, model) in [(&map, &model), (&old_map, &old_model)] {
            height(map);
            prop_assert_eq!(map.len(), model.len());
            prop_assert_eq!(map.is_empty(), model.is_empty());
            prop_assert!(map.iter().eq(model.iter().map(|(key, id)| (key.as_entry(), &**id))));
            for number in 0..KEYS {
                prop_assert_eq!(map.get_key(&key(number)), model.get(&key(number)).map(|id| &**id));
            }
            let rebuilt: StateMap = model.clone().into_iter().collect();
            height(&rebuilt);
            prop_assert_eq!(&rebuilt, map);
            prop_assert_eq!(rebuilt.digest(), map.digest());
        }

        let found: Vec<_> = old_map
            .diff(&map)
            .map(|change| {
                let own = |id: Option<&EventId>| id.map(ToOwned::to_owned);
                (change.key.into(), own(change.before), own(change.after))
            })
            .collect();
        prop_assert_eq!(&found, &differences(&old_model, &model));
        prop_assert_eq!(old_map == map, found.is_empty());
        prop_assert_eq!(old_map.digest() == map.digest(), found.is_empty());
    }
}

proptest! {
    #![proptest_config(same_cases_each_time())]

    #[test]
    fn a_set_of_users_holds_what_an_ordinary_set_holds(
        first in prop::collection::vec(0..300_u32, 0..300),
        changes in prop::collection::vec((0..300_u32, any::<bool>()), 0..300),
    ) {
        let user = |number: u32| OwnedUserId::try_from(format!("@u{number}:example.org")).unwrap();
        let mut users: UserSet = first.iter().map(|number| user(*number)).collect();
        let mut model: BTreeSet<_> = first.iter().map(|number| user(*number)).collect();
        for (number, put_in) in changes {
            let user = user(number);
            let expected = if put_in { model.insert(user.clone()) } else { model.remove(&user) };
            prop_assert_eq!(if put_in { users.insert(&user) } else { users.remove(&user) }, expected);
            prop_assert_eq!(users.contains(&user), put_in);
        }
        prop_assert!(users.iter().eq(model.iter().map(|user| &**user)));
        prop_assert_eq!(users.len(), model.len());
        prop_assert_eq!(users.is_empty(), model.is_empty());
    }
}

#[test]
fn no_order_of_keys_makes_the_tree_high() {
    let count = 20_000;
    let orders: [Box<dyn Iterator<Item = u32>>; 3] = [
        Box::new(0..count),
        Box::new((0..count).rev()),
        Box::new((0..count).map(move |i| if i % 2 == 0 { i } else { count - i })),
    ];
    for order in orders {
        let mut map = StateMap::new();
        order.for_each(|number| map.insert(key(number), event_id(number)));
        assert!(height(&map) <= 4, "log₁₆ 20,000 is 3.6");
    }
}

#[test]
fn a_difference_visits_only_what_differs() {
    let large: StateMap = (0..20_000)
        .map(|number| (key(number), event_id(number)))
        .collect();
    let mut changed = large.clone();
    for number in [3, 9_999, 19_990] {
        changed.insert(key(number), event_id(0));
    }
    changed.remove(&key(5_000));
    changed.insert(key(30_000), event_id(0));
    let (mut before, mut after) = (
        super::Pending::start(&large.root),
        super::Pending::start(&changed.root),
    );
    let steps = std::iter::from_fn(|| super::Pending::compare(&mut before, &mut after)).count();
    assert!(
        steps < 1_000,
        "{steps} steps for 5 differences among 20,000 entries"
    );
    assert_eq!(large.diff(&changed).count(), 5);
}

#[test]
fn the_digest_tells_where_one_text_ends() {
    let one: StateMap = [(StateKey::new("ab", "c"), event_id(1))]
        .into_iter()
        .collect();
    let other: StateMap = [(StateKey::new("a", "bc"), event_id(1))]
        .into_iter()
        .collect();
    assert_ne!(one.digest(), other.digest());
    assert_eq!(one.digest_text().len(), 43);
}
