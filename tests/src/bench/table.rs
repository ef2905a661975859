//! The table of a run, as Markdown.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

use super::Software;
use super::figures::{Better, Outcome};

/// What came of a scenario with each server: the middle of its runs.
#[derive(Debug, Serialize)]
pub struct Row {
    /// The scenario.
    pub scenario: &'static str,
    /// By the server that it was played with.
    pub outcomes: BTreeMap<Software, Outcome>,
}

/// All rows; shown by [`fmt::Display`].
#[derive(Debug, Serialize)]
pub struct Table {
    /// In the order in which they were played.
    pub rows: Vec<Row>,
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        line(
            f,
            ["scenario", "figure", "Comity", "Synapse", "times better"],
        )?;
        line(f, ["---", "---", "---:", "---:", "---:"])?;
        self.rows.iter().try_for_each(|row| row.fmt(f))?;
        self.rows.iter().try_for_each(|row| row.write_remarks(f))
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut scenario = self.scenario;
        for name in self.names() {
            let [comity, synapse] =
                [Software::Comity, Software::Synapse].map(|software| self.figure(software, name));
            let ratio = match (comity, synapse) {
                (Some((comity, Better::More)), Some((synapse, _))) => Some(comity / synapse),
                (Some((comity, Better::Less)), Some((synapse, _))) => Some(synapse / comity),
                _ => None,
            };
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
    /// The figures' names, as the first server has them.
    fn names(&self) -> impl Iterator<Item = &str> {
        let first = self.outcomes.values().next();
        let figures = first.into_iter().flat_map(|outcome| &outcome.figures);
        figures.map(|figure| figure.name.as_str())
    }

    fn figure(&self, software: Software, name: &str) -> Option<(f64, Better)> {
        let figures = &self.outcomes.get(&software)?.figures;
        let found = figures.iter().find(|figure| figure.name == name)?;
        Some((found.value, found.better))
    }

    fn write_remarks(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (software, outcome) in &self.outcomes {
            for remark in &outcome.remarks {
                writeln!(f, "\n{}, {software:?}: {remark}.", self.scenario)?;
            }
        }
        Ok(())
    }
}

fn line(f: &mut fmt::Formatter<'_>, [a, b, c, d, e]: [&str; 5]) -> fmt::Result {
    writeln!(f, "| {a:<16} | {b:<34} | {c:>9} | {d:>9} | {e:>12} |")
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
