//! An event's report for people.

use std::collections::BTreeSet;

use comity_core::pdu::explain::{
    EventBrief, EventReport, Standing,
    event::{Check, CheckFacts, CheckResult, Consequence, Named, Signer},
    state_facts::{LevelNeeded, StateFacts, UserFacts},
};
use ruma_common::EventId;

use super::{
    page::{Page, Tone, column},
    words::{ShortIds, legible, standing, utc, what},
};

/// Where the facts of a check begin.
const INDENT: &str = "            ";

/// Writes the report.
pub(super) fn write(report: &EventReport, page: &mut Page) {
    let writer = Writer {
        report,
        ids: ShortIds::of(ids(report).iter().map(|id| id.as_str())),
    };
    writer.write_event(page);
    page.heading("The checks on receipt, made again");
    for check in &report.checks {
        page.gap();
        writer.write_check(check, page);
    }
    if !report.agrees {
        page.gap();
        let text = "The checks made again do not come to the verdict that is stored.";
        page.line(&[(Tone::Bad, text)]);
    }
}

/// Every event id that the report holds.
fn ids(report: &EventReport) -> BTreeSet<&EventId> {
    let mut ids: BTreeSet<&EventId> = BTreeSet::from([&*report.event.event_id]);
    ids.extend(report.prev_events.iter().map(|named| &*named.event_id));
    for check in &report.checks {
        if let CheckFacts::AuthEvents { auth_events, .. } = &check.facts {
            ids.extend(auth_events.iter().map(|named| &*named.event_id));
        }
        let state = state_of(check).into_iter().flat_map(|state| &state.events);
        ids.extend(state.map(|event| &*event.event_id));
    }
    ids
}

fn state_of(check: &Check) -> Option<&StateFacts> {
    match &check.facts {
        CheckFacts::AuthEvents { state, .. }
        | CheckFacts::State { state, .. }
        | CheckFacts::CurrentState { state, .. } => Some(state),
        _ => None,
    }
}

struct Writer<'r> {
    report: &'r EventReport,
    ids: ShortIds,
}

impl Writer<'_> {
    fn write_event(&self, page: &mut Page) {
        let event = &self.report.event;
        page.line(&[
            (Tone::Heading, "Event "),
            (Tone::Heading, event.event_id.as_str()),
        ]);
        let sender = legible(event.sender.as_str());
        let made = format!("{}, from {sender}", what(event));
        page.line(&[(Tone::Plain, "  "), (Tone::Plain, &made)]);
        let time = utc(event.origin_server_ts);
        let place = format!("made {time} by its server's clock, depth {}", event.depth);
        page.line(&[(Tone::Plain, "  "), (Tone::Plain, &place)]);
        let room_id = legible(self.report.room_id.as_str());
        let room = format!("room {room_id}, version {}", self.report.room_version);
        page.line(&[(Tone::Plain, "  "), (Tone::Plain, &room)]);
        page.gap();
        self.write_fate(page);
        for named in &self.report.prev_events {
            self.write_named("follows  ", named, page);
        }
    }

    fn write_fate(&self, page: &mut Page) {
        let (tone, word) = standing(self.report.event.standing);
        let meaning = match self.report.event.standing {
            Standing::Accepted => "part of the room",
            Standing::SoftFailed => "part of the graph, not shown, nothing is to build on it",
            Standing::Rejected => "kept so that it is not fetched again, and counts for nothing",
            Standing::Backfilled => "from before our history of the room",
            Standing::Outlier => "held without its history, because others rest on it",
        };
        page.line(&[(tone, word), (Tone::Plain, ": "), (Tone::Plain, meaning)]);
        if let Some(reason) = &self.report.stored_reason {
            page.line(&[
                (Tone::Plain, "noted on receipt: "),
                (tone, &legible(reason)),
            ]);
        }
        if let Some(redaction) = &self.report.redacted_because {
            let id = legible(redaction.as_str());
            page.line(&[(Tone::Plain, "redacted by "), (Tone::Plain, &id)]);
        }
    }

    fn write_named(&self, before: &str, named: &Named, page: &mut Page) {
        let id = self.ids.short(&named.event_id);
        match &named.event {
            Some(event) => self.write_brief(before, event, page),
            None => page.line(&[
                (Tone::Plain, before),
                (Tone::Faint, &id),
                (Tone::Bad, "  not held"),
            ]),
        }
    }

    /// One line for an event, which says what became of it unless it was accepted.
    fn write_brief(&self, before: &str, event: &EventBrief, page: &mut Page) {
        let id = self.ids.short(&event.event_id);
        let (tone, word) = match event.standing {
            Standing::SoftFailed | Standing::Rejected => standing(event.standing),
            Standing::Accepted | Standing::Backfilled | Standing::Outlier => (Tone::Plain, ""),
        };
        page.line(&[
            (Tone::Plain, before),
            (Tone::Faint, &format!("{id}  ")),
            (Tone::Plain, &column(&what(event), 42)),
            (
                Tone::Plain,
                &format!("  {}", column(&legible(event.sender.as_str()), 20)),
            ),
            (tone, &format!("  {word}")),
        ]);
    }

    fn write_check(&self, check: &Check, page: &mut Page) {
        let name = name(check);
        let (tone, verdict) = match &check.result {
            CheckResult::Passed => (Tone::Good, "passed"),
            CheckResult::Failed { .. } => (Tone::Bad, "refused"),
            CheckResult::NotMade { .. } => (Tone::Faint, "not made"),
        };
        page.line(&[
            (Tone::Plain, &format!("{} ", check.number)),
            (tone, &column(verdict, 10)),
            (Tone::Heading, name),
        ]);
        match &check.result {
            CheckResult::Passed => {}
            CheckResult::Failed {
                reason,
                consequence,
                ..
            } => {
                let what_follows = what_follows(*consequence);
                let text = format!("{what_follows}: {}", legible(reason));
                page.line(&[(Tone::Plain, INDENT), (Tone::Bad, &text)]);
            }
            CheckResult::NotMade { reason } => {
                page.line(&[(Tone::Plain, INDENT), (Tone::Faint, reason)]);
            }
        }
        self.write_facts(check, page);
    }

    fn write_facts(&self, check: &Check, page: &mut Page) {
        let mut fact = |text: &str| page.line(&[(Tone::Plain, INDENT), (Tone::Plain, text)]);
        match &check.facts {
            CheckFacts::Format { bytes } => fact(&format!("{bytes} bytes of canonical JSON")),
            CheckFacts::Signatures { signers } => signers.iter().for_each(|signer| {
                signed_by(signer).iter().for_each(|text| fact(text));
            }),
            CheckFacts::ContentHash { claimed, computed } => {
                let claimed = legible(claimed.as_deref().unwrap_or("nothing"));
                match claimed == *computed {
                    true => fact(&format!("SHA-256 {computed}")),
                    false => fact(&format!(
                        "it says {claimed}, the stored content has {computed}"
                    )),
                }
            }
            CheckFacts::AuthEvents { auth_events, state } => {
                self.write_state(state, page);
                for named in auth_events {
                    self.write_named(INDENT, named, page);
                }
            }
            CheckFacts::State { snapshot, state } => {
                fact(&format!("state {snapshot} of the store"));
                self.write_differences(state, page);
            }
            CheckFacts::CurrentState {
                refused_today,
                state,
            } => {
                match refused_today.as_deref() {
                    None => fact("today's state allows it"),
                    reason if reason == self.report.stored_reason.as_deref() => {
                        fact("today's state would still refuse it so");
                    }
                    Some(reason) => {
                        fact(&format!(
                            "today's state would refuse it: {}",
                            legible(reason)
                        ));
                    }
                }
                self.write_differences(state, page);
            }
            CheckFacts::PolicyServer { server, signed } => match signed {
                true => fact(&format!("{server} has signed it")),
                false => fact(&format!(
                    "no signature by {server}, the policy server today"
                )),
            },
            CheckFacts::None {} => {}
        }
    }

    fn write_state(&self, state: &StateFacts, page: &mut Page) {
        for fact in facts(state) {
            page.line(&[(Tone::Plain, INDENT), (Tone::Plain, &fact)]);
        }
    }

    /// What a state has other than the auth events.
    fn write_differences(&self, state: &StateFacts, page: &mut Page) {
        let mut checks = self.report.checks.iter();
        let by_auth = checks.find_map(|check| match &check.facts {
            CheckFacts::AuthEvents { state, .. } => Some(state),
            _ => None,
        });
        match by_auth {
            Some(by_auth) if facts(by_auth) == facts(state) => {
                let text = "sender, levels and rules as by the auth events";
                page.line(&[(Tone::Plain, INDENT), (Tone::Faint, text)]);
            }
            _ => self.write_state(state, page),
        }
        let named = by_auth.into_iter().flat_map(|state| &state.events);
        let named: BTreeSet<&EventId> = named.map(|event| &*event.event_id).collect();
        let is_other = |event: &&EventBrief| !named.contains(&*event.event_id);
        for event in state.events.iter().filter(is_other) {
            self.write_brief(INDENT, event, page);
        }
    }
}

/// What the rules read of a state, in words.
fn facts(state: &StateFacts) -> Vec<String> {
    let mut facts = vec![format!("sender {}", user(&state.sender))];
    if let Some(LevelNeeded { level, to }) = &state.level_needed {
        facts.push(format!("needed to {}: level {level}", legible(to)));
    }
    let others = [
        ("target", &state.target),
        ("vouched for by", &state.authorised_by),
    ];
    for (role, other) in others {
        facts.extend(other.iter().map(|other| format!("{role} {}", user(other))));
    }
    if let Some(rule) = &state.join_rule {
        facts.push(format!("join rule: {}", legible(rule)));
    }
    facts
}

fn name(check: &Check) -> &'static str {
    match check.name {
        "format" => "valid in the format of its room version",
        "signatures" => "signed by the servers that have to",
        "content_hash" => "holds what its content hash says",
        "auth_events" => "allowed by the auth events that it names",
        "state_before" => "allowed by the state before it",
        "current_state" => "allowed by the room's current state",
        "policy_server" => "recommended by the room's policy server",
        other => other,
    }
}

fn what_follows(consequence: Consequence) -> &'static str {
    match consequence {
        Consequence::Dropped => "dropped",
        Consequence::Redacted => "kept in its redacted form",
        Consequence::Rejected => "rejected",
        Consequence::SoftFailed => "soft-failed",
    }
}

fn signed_by(signer: &Signer) -> Vec<String> {
    let server = &signer.server;
    if signer.signatures.is_empty() {
        return vec![format!("{server}: no signature")];
    }
    let signature = |signature: &comity_core::pdu::explain::event::EventSignature| {
        let key = match &signature.key {
            None => "a key that we do not hold".to_owned(),
            Some(key) if key.valid_until == i64::MAX => "our own key".to_owned(),
            Some(key) if key.retired => format!("retired {}", utc(key.valid_until)),
            Some(key) => format!("valid until {}", utc(key.valid_until)),
        };
        format!("{server}: {}, {key}", legible(&signature.key_id))
    };
    signer.signatures.iter().map(signature).collect()
}

fn user(user: &UserFacts) -> String {
    let level = user
        .level
        .map_or_else(|| "no level".to_owned(), |level| format!("level {level}"));
    format!(
        "{}: {}, {level}",
        legible(user.user_id.as_str()),
        user.membership
    )
}
