//! The same run again.

use std::{
    collections::BTreeMap,
    io::{self, BufRead},
    sync::Arc,
};

use comity_core::{
    Action, Config, Federation, Now,
    pdu::{signing::SigningKey, unpadded_base64},
};

use super::{Entry, FORMAT, Heading, Heard, Trace};

/// Why a log cannot be replayed.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// It cannot be read.
    #[error(transparent)]
    Unreadable(#[from] io::Error),
    /// A line is not what a log holds.
    #[error("line {line}: {reason}")]
    Illegible {
        /// Which line, counted from 1.
        line: u64,
        /// What is wrong with it.
        reason: String,
    },
    /// It was written in another format.
    #[error("the log has format {0}, and this program reads format {FORMAT}")]
    OtherFormat(u32),
    /// The key is not the one that the recorded server signed with.
    #[error("the recorded server signed with another key, {0}")]
    OtherKey(String),
}

/// One input of the log and what came of it, then and now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// The line of the input, counted from 1; 0 for the start.
    pub line: u64,
    /// When it happened.
    pub now: Now,
    /// What it was; `start` for the start.
    pub input: &'static str,
    /// What came out of the core when it was recorded.
    pub recorded: Vec<Trace>,
    /// What came out of it now.
    pub replayed: Vec<Trace>,
}

impl Step {
    /// The place of the first action that differs, if one does.
    #[must_use]
    pub fn difference(&self) -> Option<usize> {
        let same = self.recorded.iter().zip(&self.replayed);
        let equal = same.take_while(|(then, now)| then == now).count();
        let all = self.recorded.len().max(self.replayed.len());
        (equal < all).then_some(equal)
    }
}

/// Replays a log with the key that the recorded server signed with, and shows `look` each step. It
/// ends when `look` has seen enough and says `false`, or when the log does. The last line is left
/// out if it was cut off.
///
/// # Errors
/// As [`ReplayError`] says.
pub fn replay(
    log: impl BufRead,
    key: SigningKey,
    mut look: impl FnMut(&Step) -> bool,
) -> Result<(), ReplayError> {
    let mut lines = Lines { log, line: 0 };
    let heading: Heading = lines
        .next()?
        .ok_or_else(|| lines.illegible("it is empty"))?;
    let mut run = Run::start(&heading, key)?;
    let mut step = Step {
        line: 0,
        now: Now::default(),
        input: "start",
        recorded: Vec::new(),
        replayed: run.actions(),
    };
    while let Some(entry) = lines.next()? {
        match entry {
            Entry::Action(trace) => step.recorded.push(trace),
            Entry::End(_) => return Ok(()),
            Entry::Input(now, heard) => {
                if !look(&step) {
                    return Ok(());
                }
                let (input, replayed) = run
                    .input(now, *heard)
                    .ok_or_else(|| lines.illegible("no such input can be"))?;
                step = Step {
                    line: lines.line,
                    now,
                    input,
                    recorded: Vec::new(),
                    replayed,
                };
            }
        }
    }
    Ok(())
}

/// A core under replay.
struct Run {
    federation: Federation,
    computations:
        BTreeMap<comity_core::input::ComputationId, comity_core::engine::compute::Computation>,
}

impl Run {
    fn start(heading: &Heading, key: SigningKey) -> Result<Self, ReplayError> {
        if heading.format != FORMAT {
            return Err(ReplayError::OtherFormat(heading.format));
        }
        let public_key = unpadded_base64::encode(&key.public_key());
        let seed = unpadded_base64::decode_exact(&heading.seed);
        let (true, Some(seed)) = (
            public_key == heading.public_key && key.key_id() == heading.key_id,
            seed,
        ) else {
            return Err(ReplayError::OtherKey(heading.key_id.clone()));
        };
        Ok(Self {
            federation: Federation::new(Config {
                server_name: heading.server_name.clone(),
                signing_key: Arc::new(key),
                seed,
                settings: heading.settings,
                keys: heading.keys.clone(),
                delegates_to: heading.delegates_to.clone(),
            }),
            computations: BTreeMap::new(),
        })
    }

    fn input(&mut self, now: Now, heard: Heard) -> Option<(&'static str, Vec<Trace>)> {
        let compute = |id| self.computations.remove(&id).map(|asked| asked.run());
        let input = heard.input(compute).ok()?;
        let kind = input.kind();
        self.federation.handle(now, input);
        Some((kind, self.actions()))
    }

    fn actions(&mut self) -> Vec<Trace> {
        let mut traces = Vec::new();
        while let Some(action) = self.federation.next_action() {
            traces.push(Trace::of(&action));
            if let Action::Compute(id, computation) = action {
                self.computations.insert(id, computation);
            }
        }
        traces
    }
}

struct Lines<L> {
    log: L,
    line: u64,
}

impl<L: BufRead> Lines<L> {
    /// The next line; `None` at the end, and for a line without one.
    fn next<T: serde::de::DeserializeOwned>(&mut self) -> Result<Option<T>, ReplayError> {
        let mut text = Vec::new();
        self.log.read_until(b'\n', &mut text)?;
        if text.pop() != Some(b'\n') {
            return Ok(None);
        }
        self.line += 1;
        let entry = serde_json::from_slice(&text);
        entry
            .map(Some)
            .map_err(|error| self.illegible(&error.to_string()))
    }

    fn illegible(&self, reason: &str) -> ReplayError {
        ReplayError::Illegible {
            line: self.line,
            reason: reason.to_owned(),
        }
    }
}
