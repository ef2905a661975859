//! What was measured, and the middle of several runs.

use serde::Serialize;

use super::meter::Usage;

const MEBIBYTE: f64 = 1024.0 * 1024.0;

/// Which figure is the better one of two.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Better {
    /// The greater: a rate.
    More,
    /// The lesser: a time, a cost.
    Less,
    /// Neither: how large the task was.
    Neither,
}

/// One number with its unit.
#[derive(Clone, Debug, Serialize)]
pub struct Figure {
    /// What it is, with its unit.
    pub name: String,
    /// The number.
    pub value: f64,
    /// How to compare it.
    pub better: Better,
}

/// What came of one run of one scenario with one server.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Outcome {
    /// The figures, the most important first.
    pub figures: Vec<Figure>,
    /// What must be known to read them, such as that events were lost.
    pub remarks: Vec<String>,
}

impl Outcome {
    /// Of a task of this size.
    pub fn of(size: usize, things: &str) -> Self {
        Self::default().with(things, size as f64, Better::Neither)
    }

    /// With one more figure.
    pub fn with(mut self, name: impl Into<String>, value: f64, better: Better) -> Self {
        self.figures.push(Figure {
            name: name.into(),
            value,
            better,
        });
        self
    }

    /// With one more remark.
    pub fn remark(mut self, remark: impl Into<String>) -> Self {
        self.remarks.push(remark.into());
        self
    }

    /// With what so many things cost: processor time and bytes written of each, and the peak of
    /// memory.
    pub fn with_costs(self, usage: &Usage, things: usize, thing: &str) -> Self {
        let things = things.max(1) as f64;
        let cpu = format!("CPU, ms per {thing}");
        let written = format!("written to disk, bytes per {thing}");
        self.with(cpu, 1000.0 * usage.cpu / things, Better::Less)
            .with(written, usage.written / things, Better::Less)
            .with_peak(usage)
    }

    /// With the peak of memory.
    pub fn with_peak(self, usage: &Usage) -> Self {
        self.with("peak memory, MiB", usage.peak / MEBIBYTE, Better::Less)
    }

    /// The middle one of each figure, and all remarks once.
    pub fn middle(runs: &[Self]) -> Self {
        let first = runs.first().cloned().unwrap_or_default();
        let middle = |figure: Figure| {
            let same = runs.iter().flat_map(|run| &run.figures);
            let values = same.filter(|other| other.name == figure.name);
            let value = median(values.map(|other| other.value).collect());
            Figure { value, ..figure }
        };
        let mut remarks: Vec<String> = runs.iter().flat_map(|run| run.remarks.clone()).collect();
        remarks.sort();
        remarks.dedup();
        Self {
            figures: first.figures.into_iter().map(middle).collect(),
            remarks,
        }
    }
}

/// Of an even number of values the mean of the two in the middle.
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let half = values.len() / 2;
    let from = if values.len().is_multiple_of(2) {
        half.saturating_sub(1)
    } else {
        half
    };
    let middle = values.get(from..=half).unwrap_or_default();
    middle.iter().sum::<f64>() / middle.len().max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_in_the_middle() {
        assert_eq!(median(vec![3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(vec![4.0, 1.0, 2.0, 3.0]), 2.5);
    }
}
