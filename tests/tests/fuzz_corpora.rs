//! Every fuzz target over its corpus, and over thousands of inputs that differ a little from it:
//! the same on every run, a fraction of a second each.

use std::{error::Error, fs, path::Path};

use comity_tests::fuzzing::BODIES;

/// How many variations of each corpus are tried.
const VARIATIONS: usize = 4_000;

/// And of these, which start a whole server for each.
const OF_WHOLE_SERVERS: (&[&str], usize) =
    (&["requests", "responses", "transaction", "well_known"], 200);

#[test]
fn every_body_stands_its_corpus_and_variations_of_it() {
    for (name, body) in BODIES {
        let inputs = corpus(name).unwrap();
        assert!(!inputs.is_empty(), "fuzz/corpus/{name} is empty");
        inputs.iter().for_each(|input| body(input));
        let mut dice = Dice(1);
        let (whole_servers, fewer) = OF_WHOLE_SERVERS;
        let variations = match whole_servers.contains(name) {
            true => fewer,
            false => VARIATIONS,
        };
        for _ in 0..variations {
            body(&variation(&inputs, &mut dice));
        }
    }
}

#[test]
fn every_body_has_a_target_of_its_name() {
    let targets = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/fuzz_targets");
    for (name, _) in BODIES {
        let target = fs::read_to_string(targets.join(name).with_extension("rs")).unwrap();
        assert!(target.contains(&format!("fuzzing::{name}(")), "{name}");
    }
    assert_eq!(fs::read_dir(targets).unwrap().count(), BODIES.len());
}

/// The inputs in `fuzz/corpus`, in the order of their names.
fn corpus(name: &str) -> Result<Vec<Vec<u8>>, Box<dyn Error>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../fuzz/corpus")
        .join(name);
    let entries = fs::read_dir(folder)?.collect::<Result<Vec<_>, _>>()?;
    let mut paths: Vec<_> = entries.into_iter().map(|entry| entry.path()).collect();
    paths.sort();
    Ok(paths.into_iter().map(fs::read).collect::<Result<_, _>>()?)
}

/// An input with a few bytes changed, cut out or taken from another input.
fn variation(inputs: &[Vec<u8>], dice: &mut Dice) -> Vec<u8> {
    let mut input = dice.pick(inputs).cloned().unwrap_or_default();
    for _ in 0..=dice.below(4) {
        let at = dice.below(input.len() + 1);
        let rest = input.split_off(at);
        match dice.below(4) {
            0 => input.extend(rest.iter().skip(1 + dice.below(8))),
            1 => {
                input.push(
                    dice.below(256)
                        .to_le_bytes()
                        .into_iter()
                        .next()
                        .unwrap_or(0),
                );
                input.extend(rest.iter().skip(1));
            }
            2 => {
                let other = dice.pick(inputs).cloned().unwrap_or_default();
                let from = dice.below(other.len() + 1);
                input.extend(other.iter().skip(from).take(dice.below(32)));
                input.extend(rest);
            }
            _ => {
                input.extend(rest.iter().take(dice.below(16)));
                input.extend(rest);
            }
        }
    }
    input
}

/// A small generator of numbers (SplitMix64), the same on every run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let limit = u64::try_from(limit).unwrap_or(u64::MAX).max(1);
        usize::try_from((mixed ^ (mixed >> 31)) % limit).unwrap_or(0)
    }

    fn pick<'i, T>(&mut self, items: &'i [T]) -> Option<&'i T> {
        items.get(self.below(items.len()))
    }
}
