//! What is left of a plan when most of it is left out: what a failure needs, on one line.
//!
//! A part keeps some of everything that there is to keep, by number, and each thing left out makes
//! the plan simpler. So making a failing plan small is leaving out numbers, and the line says
//! which are kept: `226 servers 0,2 steps 0,4-6 pauses 4 crowds oddities`.

use std::{collections::BTreeSet, fmt, ops::RangeInclusive, str::FromStr, time::Duration};

use thiserror::Error;

use super::{Deed, Plan, ServerPlan, What};

/// A number of a server or of a step.
type Number = usize;

/// What there is to keep of a plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kept {
    /// Servers, with what they and their users do.
    Servers,
    /// Steps.
    Steps,
    /// The times that pass after steps.
    Pauses,
    /// Steps that say many things at once; the others say one.
    Crowds,
    /// Servers that are not as usual.
    Oddities,
}

impl Kept {
    /// All of them, the greatest part of a plan first.
    pub const ALL: [Self; 5] = [
        Self::Servers,
        Self::Steps,
        Self::Pauses,
        Self::Crowds,
        Self::Oddities,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::Servers => "servers",
            Self::Steps => "steps",
            Self::Pauses => "pauses",
            Self::Crowds => "crowds",
            Self::Oddities => "oddities",
        }
    }
}

/// A part of the plan of a seed.
#[derive(Clone, Debug, PartialEq)]
pub struct Part {
    seed: u64,
    whole: Plan,
    kept: [BTreeSet<Number>; Kept::ALL.len()],
}

/// A line names no part of a plan.
#[derive(Clone, Debug, Error, PartialEq)]
#[error("{0:?} is not as in: 226 servers 0,2 steps 0,4-6 pauses 4 crowds oddities")]
pub struct NoPart(String);

impl Part {
    /// The whole plan of a seed.
    pub fn whole(seed: u64) -> Self {
        let whole = Plan::draw(seed);
        let servers = || (0..whole.servers.len()).collect();
        let steps = || (0..whole.steps.len()).collect();
        let kept = [servers(), steps(), steps(), steps(), servers()];
        Self { seed, whole, kept }.tidied()
    }

    /// Of which seed it is a part.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// The numbers of what is kept of one kind.
    pub fn kept(&self, kind: Kept) -> &BTreeSet<Number> {
        &self.kept[kind as usize]
    }

    /// The same part with these left out as well.
    pub fn without(&self, kind: Kept, numbers: &[Number]) -> Self {
        let mut less = self.clone();
        less.kept[kind as usize].retain(|number| !numbers.contains(number));
        less.tidied()
    }

    /// Leaves out what makes no difference any more.
    fn tidied(mut self) -> Self {
        let Self { whole, kept, .. } = &mut self;
        let [servers, steps, pauses, crowds, oddities] = kept;
        let present = |index: u8| servers.contains(&usize::from(index));
        steps.retain(|number| {
            let step = whole.steps.get(*number);
            step.is_some_and(|step| step.what.servers().into_iter().all(present))
        });
        let step = |number: &Number| whole.steps.get(*number).filter(|_| steps.contains(number));
        pauses.retain(|number| step(number).is_some_and(|step| step.pause > Duration::ZERO));
        crowds.retain(|number| {
            let what = step(number).map(|step| &step.what);
            matches!(what, Some(What::Deed(_, Deed::Say(_, 2..))))
        });
        oddities.retain(|number| {
            let server = whole.servers.get(*number);
            let odd = server.is_some_and(|server| *server != ServerPlan::usual(server.index));
            odd && servers.contains(number)
        });
        self
    }

    /// The plan that this is.
    pub fn plan(&self) -> Plan {
        let Plan {
            seed,
            mut servers,
            mut steps,
        } = self.whole.clone();
        for (number, step) in steps.iter_mut().enumerate() {
            if !self.kept(Kept::Pauses).contains(&number) {
                step.pause = Duration::ZERO;
            }
            if let What::Deed(_, Deed::Say(_, times)) = &mut step.what
                && !self.kept(Kept::Crowds).contains(&number)
            {
                *times = 1;
            }
        }
        for (number, server) in servers.iter_mut().enumerate() {
            if !self.kept(Kept::Oddities).contains(&number) {
                *server = ServerPlan::usual(server.index);
            }
        }
        Plan {
            seed,
            servers: only(self.kept(Kept::Servers), servers),
            steps: only(self.kept(Kept::Steps), steps),
        }
    }
}

/// The items with these numbers.
fn only<T>(numbers: &BTreeSet<Number>, items: Vec<T>) -> Vec<T> {
    let numbered = items.into_iter().enumerate();
    numbered
        .filter(|(number, _)| numbers.contains(number))
        .map(|(_, item)| item)
        .collect()
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.seed)?;
        for kind in Kept::ALL {
            write!(f, " {}", kind.name())?;
            let ranges = ranges(self.kept(kind));
            if !ranges.is_empty() {
                write!(f, " {}", ranges.join(","))?;
            }
        }
        Ok(())
    }
}

/// Numbers as `0,4-6`.
fn ranges(numbers: &BTreeSet<Number>) -> Vec<String> {
    let mut runs: Vec<(Number, Number)> = Vec::new();
    for number in numbers {
        match runs.last_mut() {
            Some((_, last)) if *last + 1 == *number => *last = *number,
            _ => runs.push((*number, *number)),
        }
    }
    let shown = runs.into_iter().map(|(first, last)| match first == last {
        true => first.to_string(),
        false => format!("{first}-{last}"),
    });
    shown.collect()
}

impl FromStr for Part {
    type Err = NoPart;

    fn from_str(line: &str) -> Result<Self, NoPart> {
        read(line).ok_or_else(|| NoPart(line.to_owned()))
    }
}

/// Reads what `Display` writes; a seed alone stands for its whole plan.
fn read(line: &str) -> Option<Part> {
    let mut words = line.split_whitespace().peekable();
    let mut part = Part::whole(words.next()?.parse().ok()?);
    if words.peek().is_none() {
        return Some(part);
    }
    let mut lists: [Vec<RangeInclusive<Number>>; Kept::ALL.len()] = Default::default();
    let mut named = None;
    for word in words {
        match Kept::ALL.into_iter().find(|kind| kind.name() == word) {
            Some(kind) => named = Some(kind),
            None => lists[named? as usize] = word.split(',').map(run).collect::<Option<_>>()?,
        }
    }
    for (kept, list) in part.kept.iter_mut().zip(lists) {
        kept.retain(|number| list.iter().any(|run| run.contains(number)));
    }
    Some(part.tidied())
}

/// Reads `4` or `4-6`.
fn run(text: &str) -> Option<RangeInclusive<Number>> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    Some(first.parse().ok()?..=last.parse().ok()?)
}
