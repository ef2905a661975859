//! What happened in a run: how often each kind of thing, and, if wanted, line by line.

use std::{collections::BTreeMap, ops::AddAssign, time::Duration};

use comity_core::{
    Monotonic, Now,
    messaging::{
        command::CommandError,
        join::candidates::{Failure, NotLetIn, RoomFault},
    },
    persistence::tables::Verdict,
    transport::remote_response::RemoteError,
};
use http::Response;
use ruma_common::{OwnedServerName, ServerName};
use serde_json::Value;

use super::{
    invariants::StoredEvents,
    plan::{Deed, Fault, NAMES, Plan},
    server::Finished,
    sight::{Asked, Sight},
    tale::{self, Teller},
};

/// How often each kind of thing happened, by its name.
pub type Counts = BTreeMap<String, u64>;

/// What one run, or many, came to.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Report {
    /// How much time passed.
    pub time: Duration,
    /// The same, times the number of servers.
    pub server_time: Duration,
    /// Events that honest servers stored.
    pub events: u64,
    /// Requests between servers.
    pub requests: u64,
    /// What users did.
    pub deeds: Counts,
    /// What broke.
    pub faults: Counts,
    /// How far events had come where servers crashed.
    pub interrupted: Counts,
    /// What hostile servers did.
    pub lies: Counts,
    /// Events that a server soft-failed and another accepted, by which of the plan's servers it was:
    /// each knew another state when they came, as an invariant sees to.
    pub soft_failures: Counts,
    /// Rooms on servers, and why some need not agree with others.
    pub exempt: Counts,
    /// What servers did about it: answers, errors, verdicts and notices.
    pub branches: Counts,
}

impl AddAssign<&Self> for Report {
    fn add_assign(&mut self, other: &Self) {
        self.time += other.time;
        self.server_time += other.server_time;
        self.events += other.events;
        self.requests += other.requests;
        let both = [
            (&mut self.deeds, &other.deeds),
            (&mut self.faults, &other.faults),
            (&mut self.interrupted, &other.interrupted),
            (&mut self.lies, &other.lies),
            (&mut self.soft_failures, &other.soft_failures),
            (&mut self.exempt, &other.exempt),
            (&mut self.branches, &other.branches),
        ];
        for (ours, theirs) in both {
            for (name, count) in theirs {
                *ours.entry(name.clone()).or_default() += count;
            }
        }
    }
}

/// Counts and tells what happens.
#[derive(Debug, Default)]
pub struct Chronicle {
    report: Report,
    /// What happened, line by line, if anybody wants to know.
    tale: Option<Vec<String>>,
    teller: Teller,
    now: Monotonic,
}

impl Chronicle {
    /// Whether what happens is also told line by line.
    pub fn set_telling(&mut self, tell: bool) {
        self.tale = tell.then(Vec::new);
    }

    /// What happened, line by line.
    pub fn take_tale(&mut self) -> Vec<String> {
        self.tale.take().unwrap_or_default()
    }

    /// What it all came to.
    pub fn report(&self, plan: &Plan) -> Report {
        Report {
            time: self.now.0,
            server_time: self.now.0 * u32::try_from(plan.servers.len()).unwrap_or(u32::MAX),
            ..self.report.clone()
        }
    }

    /// Adds a line to the tale.
    pub fn tell(&mut self, now: Now, line: impl FnOnce() -> String) {
        self.now = now.monotonic;
        if let Some(tale) = &mut self.tale {
            tale.push(format!(
                "{:>14.3} {}",
                now.monotonic.0.as_secs_f64(),
                line()
            ));
        }
    }

    /// A user does something.
    pub fn count_deed(&mut self, deed: &Deed) {
        count(&mut self.report.deeds, kind(deed));
    }

    /// Something breaks.
    pub fn count_fault(&mut self, fault: &Fault) {
        count(&mut self.report.faults, kind(fault));
    }

    /// A server has crashed while events had come so far.
    pub fn count_interrupted(&mut self, stages: impl IntoIterator<Item = &'static str>) {
        for stage in stages {
            count(&mut self.report.interrupted, stage.to_owned());
        }
    }

    /// A hostile server lies.
    pub fn count_lie(&mut self, kind: &str) {
        count(&mut self.report.lies, kind.to_owned());
    }

    /// So many rooms on servers are held to all promises, and so many not.
    pub fn count_exempt(&mut self, counts: Counts) {
        self.report.exempt = counts;
    }

    /// A command has ended.
    pub fn completed(&mut self, now: Now, server: &ServerName, outcome: &Finished) {
        self.tell(now, || {
            format!("{server} tells its user {}", tale::outcome(outcome))
        });
        let reasons = outcome.as_ref().err().map(reasons).unwrap_or_default();
        for reason in reasons {
            count(&mut self.report.branches, format!("command: {reason}"));
        }
    }

    /// Counts what servers think of the events that they hold.
    pub fn count_events(&mut self, stored: &BTreeMap<OwnedServerName, StoredEvents>) {
        for event in stored.values().flat_map(BTreeMap::values) {
            self.report.events += 1;
            let verdict = match &event.verdict {
                Verdict::Accepted if event.is_outlier() => "held as an outlier".to_owned(),
                Verdict::Accepted => continue,
                Verdict::SoftFailed(reason) => format!("soft-failed: {}", gist(reason)),
                Verdict::Rejected(reason) => format!("rejected: {}", gist(reason)),
            };
            count(&mut self.report.branches, verdict);
        }
    }

    /// Counts, by server, what one soft-failed and another accepted.
    pub fn count_soft_failures(&mut self, stored: &BTreeMap<OwnedServerName, StoredEvents>) {
        for (server, events) in stored {
            let soft_failed = events
                .iter()
                .filter(|(_, event)| matches!(event.verdict, Verdict::SoftFailed(_)));
            for (event_id, _) in soft_failed {
                let mut elsewhere = stored.values().filter_map(|events| events.get(event_id));
                if elsewhere.any(|event| event.verdict == Verdict::Accepted) {
                    count(&mut self.report.soft_failures, server.to_string());
                }
            }
        }
    }

    /// Takes note of what can be seen.
    pub fn sees(&mut self, now: Now, sight: &Sight<'_>) {
        match sight {
            Sight::Started(server) => self.tell(now, || format!("{server} is started")),
            Sight::Down(server) => self.tell(now, || format!("{server} is down")),
            Sight::Noticed(server, notice) => {
                count(
                    &mut self.report.branches,
                    format!("notice {}", kind(notice)),
                );
                self.tell(now, || format!("{server} shows {}", tale::notice(notice)));
            }
            Sight::Requested(asked, request) => {
                self.report.requests += 1;
                let told = self.told(|teller| teller.request(asked, request.body()));
                self.tell(now, || format!("{} → {}: {told}", asked.from, asked.to));
            }
            Sight::Answered(asked, response) => self.answered(now, *asked, response),
            Sight::Concluded(asked, outcome) => {
                if let Err(error) = outcome {
                    self.tell(now, || {
                        let what = asked.endpoint();
                        format!("{} ← {}: nothing for {what}: {error}", asked.from, asked.to)
                    });
                }
            }
            Sight::Written(_, batch) if self.tale.is_some() => self.teller.learn(batch),
            Sight::Written(..) | Sight::Slowed(..) | Sight::Arrived(_) | Sight::Abandoned(_) => {}
        }
    }

    /// What the teller says, if anybody wants to know.
    fn told(&self, tell: impl FnOnce(&Teller) -> String) -> String {
        let wanted = self.tale.as_ref().map(|_| tell(&self.teller));
        wanted.unwrap_or_default()
    }

    fn answered(&mut self, now: Now, asked: Asked<'_>, response: &Response<bytes::Bytes>) {
        let (status, body) = (response.status().as_u16(), response.body());
        let told = self.told(|teller| teller.answer(status, body));
        self.tell(now, || {
            let what = asked.endpoint();
            format!("{} ← {}: {what} {told}", asked.from, asked.to)
        });
        let branches = &mut self.report.branches;
        if status != 200 {
            let error: Value = serde_json::from_slice(body).unwrap_or_default();
            let code = error["errcode"].as_str().unwrap_or_default();
            let reason = gist(error["error"].as_str().unwrap_or_default());
            count(
                branches,
                format!("{}: {status} {code} {reason}", asked.endpoint()),
            );
            return;
        }
        count(branches, format!("{}: 200", asked.endpoint()));
        if !asked.is_transaction() {
            return;
        }
        let answer: Value = serde_json::from_slice(body).unwrap_or_default();
        for (_, fate) in answer["pdus"].as_object().into_iter().flatten() {
            if let Some(error) = fate["error"].as_str() {
                count(branches, format!("dropped: {}", gist(error)));
            }
        }
    }
}

fn count(counts: &mut Counts, name: String) {
    *counts.entry(name).or_default() += 1;
}

/// The name of an enum's variant.
pub fn kind(value: &impl std::fmt::Debug) -> String {
    let text = format!("{value:?}");
    let end = text.find(|character: char| !character.is_alphanumeric());
    text[..end.unwrap_or(text.len())].to_owned()
}

/// Why a command failed, by kind. Who is let in by none of several servers has a reason from each.
fn reasons(error: &CommandError) -> Vec<String> {
    match error {
        CommandError::NotLetIn(NotLetIn { failures, .. }) => {
            let failures = failures.iter();
            failures.map(|(_, failure)| not_let_in(failure)).collect()
        }
        CommandError::Refused { errcode, .. } => vec![format!("refused: {errcode}")],
        CommandError::Unreachable(_) => vec!["no server could help".to_owned()],
        _ => vec![gist(&error.to_string())],
    }
}

fn not_let_in(failure: &Failure) -> String {
    let why = match failure {
        Failure::MakeJoin(error) => format!("no template: {}", remote(error)),
        Failure::SendJoin(error) => format!("the join was not taken: {}", remote(error)),
        Failure::State(error) => format!("the state cannot be had: {}", remote(error)),
        Failure::Room(RoomFault::Unreadable(error)) => format!("no room: {}", remote(error)),
        Failure::Room(RoomFault::NotAllowed(_)) => "the state does not allow it".to_owned(),
        Failure::Room(fault) => gist(&fault.to_string()),
    };
    format!("not let in: {why}")
}

fn remote(error: &RemoteError) -> &str {
    match error {
        RemoteError::Unreachable(_) => "unreachable",
        RemoteError::NotAsked(_) => "not asked",
        RemoteError::Refused { errcode, .. } => errcode,
        RemoteError::Nonsense(_) => "nonsense",
    }
}

/// A reason without the names and numbers in it, however many there are.
fn gist(reason: &str) -> String {
    let is_name = |word: &str| {
        let word = word.trim_end_matches([':', ',', ';']);
        let is_odd = |c: char| c.is_ascii_digit() || "@$!:/".contains(c);
        word.contains(is_odd) || NAMES.contains(&word)
    };
    let words = reason
        .split(' ')
        .map(|word| if is_name(word) { "…" } else { word });
    let mut words: Vec<_> = words.collect();
    words.dedup();
    let mut gist = words.join(" ");
    if let Some((end, _)) = gist.char_indices().nth(80) {
        gist.truncate(end);
    }
    gist
}
