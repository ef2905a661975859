//! The table of a run, as Markdown.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

use super::Software;
use super::figures::{Better, Outcome};

/// What came of a scenario with each server.
#[derive(Debug, Serialize)]
pub struct Row {
    /// The scenario.
    pub scenario: &'static str,
    /// Every run, by the server that it was played with.
    pub runs: BTreeMap<Software, Vec<Outcome>>,
}

/// The head of the table, to which rows are added as they come.
pub struct Head;

impl fmt::Display for Head {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        line(
            f,
            ["scenario", "figure", "Comity", "Synapse", "times better"],
        )?;
        line(f, ["---", "---", "---:", "---:", "---:"])
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut scenario = self.scenario;
        let servers = [Software::Comity, Software::Synapse].map(|one| self.middle(one));
        for name in names(&servers) {
            let [comity, synapse] = servers.each_ref().map(|outcome| figure(outcome, name));
            let ratio = match (comity, synapse) {
                (Some((comity, Better::More)), Some((synapse, _))) => Some(comity / synapse),
                (Some((comity, Better::Less)), Some((synapse, _))) => Some(synapse / comity),
                _ => None,
            };
            let ratio = ratio.filter(|ratio: &f64| ratio.is_finite());
            let shown = |value: Option<f64>| value.map(rounded).unwrap_or_default();
            let value = |found: Option<(f64, Better)>| shown(found.map(|(value, _)| value));
            line(
                f,
                [
                    scenario,
                    name,
                    &value(comity),
                    &value(synapse),
                    &shown(ratio),
                ],
            )?;
            scenario = "";
        }
        Ok(())
    }
}

impl Row {
    /// What must be known to read the figures, one sentence in a line.
    pub fn remarks(&self) -> String {
        let servers = self
            .runs
            .keys()
            .map(|software| (software, self.middle(*software)));
        let sentence = |(software, remark)| format!("{}, {software:?}: {remark}.\n", self.scenario);
        let remarks = servers.flat_map(|(software, outcome)| {
            let remarks = outcome.remarks.into_iter();
            remarks.map(move |remark| (software, remark))
        });
        remarks.map(sentence).collect()
    }

    fn middle(&self, software: Software) -> Outcome {
        let runs = self.runs.get(&software);
        Outcome::middle(runs.map_or(&[], Vec::as_slice))
    }
}

/// The figures' names, as the first server has them that has any.
fn names(servers: &[Outcome]) -> impl Iterator<Item = &str> {
    let first = servers.iter().find(|outcome| !outcome.figures.is_empty());
    let figures = first.into_iter().flat_map(|outcome| &outcome.figures);
    figures.map(|figure| figure.name.as_str())
}

fn figure(outcome: &Outcome, name: &str) -> Option<(f64, Better)> {
    let mut figures = outcome.figures.iter();
    let found = figures.find(|figure| figure.name == name)?;
    Some((found.value, found.better))
}

fn line(f: &mut fmt::Formatter<'_>, [a, b, c, d, e]: [&str; 5]) -> fmt::Result {
    writeln!(f, "| {a:<16} | {b:<36} | {c:>9} | {d:>9} | {e:>12} |")
}

/// Three digits, or all before the point.
fn rounded(value: f64) -> String {
    let digits = match value.abs() {
        0.0 => 0,
        small if small < 1.0 => 3,
        small if small < 10.0 => 2,
        small if small < 100.0 => 1,
        _ => 0,
    };
    let plain = format!("{value:.digits$}");
    let (whole, rest) = plain
        .split_once('.')
        .map_or((&*plain, ""), |(whole, rest)| (whole, rest));
    let mut shown = String::new();
    for (index, digit) in whole.chars().enumerate() {
        if index > 0 && (whole.len() - index).is_multiple_of(3) {
            shown.push(',');
        }
        shown.push(digit);
    }
    match rest {
        "" => shown,
        rest => format!("{shown}.{rest}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_as_exact_as_they_need_to_be() {
        let numbers = [0.0, 0.1234, 1.234, 12.34, 123.4, 12_345.6];
        let shown = numbers.map(rounded);
        assert_eq!(shown, ["0", "0.123", "1.23", "12.3", "123", "12,346"]);
    }
}
