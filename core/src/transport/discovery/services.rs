//! In which order those are tried who offer a service (RFC 2782).

use sha2::{Digest, Sha256};

use crate::transport::names::Service;

/// How many of them are tried.
const TARGETS_MAX: usize = 8;

/// The services in the order in which to try them: by priority, and among equals drawn by lot, the
/// heavier sooner. The same `seed` draws the same order.
pub(super) fn in_order(services: &[Service], seed: &[u8; 32]) -> Vec<Service> {
    let mut left = services.to_vec();
    left.sort();
    left.dedup();
    let mut order: Vec<Service> = Vec::new();
    let mut seed = *seed;
    while order.len() < TARGETS_MAX
        && let Some(priority) = left.first().map(|service| service.priority)
    {
        let equals = left
            .iter()
            .take_while(|service| service.priority == priority);
        let weights: Vec<u64> = equals.map(|service| u64::from(service.weight)).collect();
        seed = Sha256::digest(seed).into();
        order.push(left.remove(drawn(&weights, &seed)));
    }
    order
}

/// Which of several is drawn, each as often as it weighs. Nothing weighs nothing at all: it has a
/// small chance, as the standard wants.
fn drawn(weights: &[u64], seed: &[u8; 32]) -> usize {
    const SMALL_CHANCE: u64 = 1;
    const WEIGHT: u64 = 100;
    let chances = || weights.iter().map(|weight| weight * WEIGHT + SMALL_CHANCE);
    let [a, b, c, d, e, f, g, h, ..] = *seed;
    let lot = u64::from_be_bytes([a, b, c, d, e, f, g, h]) % chances().sum::<u64>().max(1);
    let mut through = 0;
    let is_drawn = |chance| {
        through += chance;
        lot < through
    };
    chances().position(is_drawn).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn service(priority: u16, weight: u16, target: &str) -> Service {
        Service {
            priority,
            weight,
            port: 8448,
            target: target.to_owned(),
        }
    }

    fn names(services: &[Service], seed: u8) -> Vec<String> {
        let ordered = in_order(services, &[seed; 32]);
        ordered.into_iter().map(|service| service.target).collect()
    }

    #[test]
    fn disc_8_lower_priorities_come_first_and_each_target_once() {
        let services = [service(20, 9, "c"), service(10, 0, "b"), service(5, 0, "a")];
        for seed in 0..20 {
            assert_eq!(names(&services, seed), ["a", "b", "c"]);
        }
    }

    #[test]
    fn disc_8_among_equals_the_heavier_comes_first_more_often() {
        let services = [
            service(1, 10, "light"),
            service(1, 30, "heavy"),
            service(1, 0, "none"),
        ];
        let mut firsts = std::collections::BTreeMap::new();
        for seed in 0..=255 {
            let order = names(&services, seed);
            assert_eq!(order.len(), 3);
            *firsts.entry(order[0].clone()).or_insert(0) += 1;
        }
        assert!(firsts["heavy"] > 2 * firsts["light"], "{firsts:?}");
        assert!(firsts.get("none").copied().unwrap_or(0) < 8, "{firsts:?}");
    }

    #[test]
    fn disc_8_a_long_list_is_cut() {
        let services: Vec<_> = (0..1000).map(|n| service(n, 0, &n.to_string())).collect();
        assert_eq!(
            names(&services, 1),
            ["0", "1", "2", "3", "4", "5", "6", "7"]
        );
    }
}
