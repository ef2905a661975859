//! A state map against the standard library's map, over sequences of changes.

use std::collections::BTreeMap;

use proptest::{prelude::*, test_runner::RngSeed};
use ruma_common::{EventId, OwnedEventId};

use super::{StateKey, StateMap, tree::Tree};

fn same_cases_each_time() -> ProptestConfig {
    let rng_seed = RngSeed::Fixed(1);
    ProptestConfig {
        cases: 500,
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
    prop::collection::vec((0..40_u32, prop::option::weighted(0.7, 0..5_u32)), 0..count)
}

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
    let keys: std::collections::BTreeSet<_> = before.keys().chain(after.keys()).collect();
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

/// Checks sizes, order and balance of every subtree; answers the height.
fn height_of_balanced(tree: &Tree) -> usize {
    let Some(node) = tree else { return 0 };
    let size = |tree: &Tree| tree.as_ref().map_or(0, |node| node.size);
    let (left, right) = (size(&node.left), size(&node.right));
    assert_eq!(node.size, left + right + 1);
    assert!(
        left < 3 * (right + 1) && right < 3 * (left + 1),
        "{left} beside {right}"
    );
    assert!(node.left.as_ref().is_none_or(|left| left.key < node.key));
    assert!(node.right.as_ref().is_none_or(|right| right.key > node.key));
    1 + height_of_balanced(&node.left).max(height_of_balanced(&node.right))
}

proptest! {
    #![proptest_config(same_cases_each_time())]

    #[test]
    fn holds_what_an_ordinary_map_holds(first in changes(80), second in changes(80)) {
        let (mut map, mut model) = (StateMap::new(), Model::new());
        apply(&mut map, &mut model, &first);
        let (old_map, old_model) = (map.clone(), model.clone());
        apply(&mut map, &mut model, &second);

        for (map, model) in [(&map, &model), (&old_map, &old_model)] {
            height_of_balanced(&map.root);
            prop_assert_eq!(map.len(), model.len());
            prop_assert!(map.iter().eq(model.iter().map(|(key, id)| (key, &**id))));
            for number in 0..40 {
                prop_assert_eq!(map.get_key(&key(number)), model.get(&key(number)).map(|id| &**id));
            }
            let rebuilt: StateMap = model.clone().into_iter().collect();
            height_of_balanced(&rebuilt.root);
            prop_assert_eq!(&rebuilt, map);
            prop_assert_eq!(rebuilt.digest(), map.digest());
        }

        let found: Vec<_> = old_map
            .diff(&map)
            .into_iter()
            .map(|change| {
                let own = |id: Option<&EventId>| id.map(ToOwned::to_owned);
                (change.key.clone(), own(change.before), own(change.after))
            })
            .collect();
        prop_assert_eq!(&found, &differences(&old_model, &model));
        prop_assert_eq!(old_map == map, found.is_empty());
        prop_assert_eq!(old_map.digest() == map.digest(), found.is_empty());
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
        assert!(
            height_of_balanced(&map.root) <= 34,
            "2.41 · log₂ 20,000 is 34.4"
        );
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
    assert_eq!(large.diff(&changed).len(), 5);
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
