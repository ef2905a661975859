//! A room's report for people.

use std::collections::BTreeSet;

use comity_core::pdu::{
    authorisation::PowerLevel,
    explain::{
        EventBrief, RoomReport, Standing,
        resolution::{
            ConflictReport, ResolutionReport, Resolved, StateBrief, Step, StepOutcome, Turn,
        },
        state_facts::Level,
    },
};
use ruma_common::EventId;

use super::{
    page::{Page, Tone, WIDTH, column},
    words::{ShortIds, count, legible, moment, standing, what},
};

/// The width of the senders' column.
const SENDER: usize = 24;

/// How many entries of a long list are printed; `--json` has all.
const LIST_MAX: usize = 40;

/// Writes the report.
pub(super) fn write(report: &RoomReport, page: &mut Page) {
    let ids = ShortIds::of(ids(report).iter().map(|id| id.as_str()));
    let writer = Writer { ids };
    writer.write_room(report, page);
    match &report.resolution {
        Some(resolution) => writer.write_resolution(report, resolution, page),
        None => write_absence(report, page),
    }
}

/// Every event id that the report holds.
fn ids(report: &RoomReport) -> BTreeSet<&EventId> {
    let mut events: Vec<&EventBrief> = report.forward_extremities.iter().collect();
    if let Some(resolution) = &report.resolution {
        if let Resolved::Before { event } = &resolution.of {
            events.push(event);
        }
        events.extend(resolution.forks.iter().flat_map(|fork| &fork.after));
        let candidates = resolution
            .conflicts
            .iter()
            .flat_map(|conflict| &conflict.candidates);
        events.extend(candidates.flatten());
        events.extend(resolution.replay.iter().map(|step| &step.event));
        events.extend(&resolution.mainline);
    }
    events.into_iter().map(|event| &*event.event_id).collect()
}

fn write_absence(report: &RoomReport, page: &mut Page) {
    page.gap();
    let text = match report.searched {
        Some(searched) => format!(
            "Its forward extremities agree on the state, and among its {} none merges branches \
             whose states differ: no state was resolved.",
            count(searched, "latest event", "latest events")
        ),
        None => "The event follows one state only: none was resolved.".to_owned(),
    };
    page.line(&[(Tone::Plain, &text)]);
}

struct Writer {
    ids: ShortIds,
}

impl Writer {
    fn write_room(&self, report: &RoomReport, page: &mut Page) {
        let room_id = legible(report.room_id.as_str());
        page.line(&[(Tone::Heading, "Room "), (Tone::Heading, &room_id)]);
        let members = count(report.joined_members, "joined member", "joined members");
        let room = format!("version {}, {members}", report.room_version);
        page.line(&[(Tone::Plain, "  "), (Tone::Plain, &room)]);
        let state = format!("current state: {}", state(&report.current_state));
        page.line(&[(Tone::Plain, "  "), (Tone::Plain, &state)]);
        let ends = report.forward_extremities.len();
        page.heading(&count(ends, "forward extremity", "forward extremities"));
        for event in &report.forward_extremities {
            self.write_brief("  ", event, page);
        }
    }

    fn write_brief(&self, before: &str, event: &EventBrief, page: &mut Page) {
        let id = format!("{}  ", self.ids.short(&event.event_id));
        let sender = format!("  {}", column(&legible(event.sender.as_str()), SENDER));
        let time = format!("  {}", moment(event.origin_server_ts));
        let taken = [before, &id, &sender, &time].map(|part| part.chars().count());
        let left = WIDTH.saturating_sub(taken.iter().sum());
        page.line(&[
            (Tone::Plain, before),
            (Tone::Faint, &id),
            (Tone::Plain, &column(&what_became(event), left)),
            (Tone::Plain, &sender),
            (Tone::Faint, &time),
        ]);
    }

    fn write_resolution(
        &self,
        report: &RoomReport,
        resolution: &ResolutionReport,
        page: &mut Page,
    ) {
        self.write_occasion(report, resolution, page);
        self.write_forks(resolution, page);
        self.write_conflicts(resolution, page);
        self.write_events(
            "The auth difference besides",
            &resolution.auth_difference,
            page,
        );
        self.write_events(
            "The conflicted subgraph besides",
            &resolution.subgraph,
            page,
        );
        self.write_mainline(resolution, page);
        self.write_replay(resolution, page);
        write_result(resolution, page);
    }

    fn write_occasion(&self, report: &RoomReport, resolution: &ResolutionReport, page: &mut Page) {
        let algorithm = resolution.algorithm;
        match &resolution.of {
            Resolved::Current => page.heading(&format!(
                "How the current state was resolved (state resolution, version {algorithm})"
            )),
            Resolved::Before { event } => {
                page.heading(&format!(
                    "How the state before {} was resolved (state resolution, version {algorithm})",
                    self.ids.short(&event.event_id)
                ));
                if let Some(searched) = report.searched {
                    let text = format!(
                        "The forward extremities agree on the state. Of the room's {} this is the \
                         newest that merges branches whose states differ:",
                        count(searched, "latest event", "latest events")
                    );
                    page.line(&[(Tone::Plain, "  "), (Tone::Plain, &text)]);
                }
                self.write_brief("  ", event, page);
            }
        }
    }

    fn write_forks(&self, resolution: &ResolutionReport, page: &mut Page) {
        let forks = resolution.forks.len();
        page.heading(&count(forks, "fork", "forks"));
        for (index, fork) in resolution.forks.iter().enumerate() {
            let before = format!("  {:<3} ", letter(index));
            let text = format!("the state after these: {}", state(&fork.state));
            page.line(&[(Tone::Heading, &before), (Tone::Plain, &text)]);
            for event in &fork.after {
                self.write_brief("      ", event, page);
            }
        }
    }

    fn write_conflicts(&self, resolution: &ResolutionReport, page: &mut Page) {
        let keys = count(
            resolution.conflicts.len(),
            "conflicted key",
            "conflicted keys",
        );
        let agreed = count(resolution.unconflicted, "other entry", "other entries");
        page.heading(&format!("{keys}; the forks agree on {agreed}"));
        for conflict in resolution.conflicts.iter().take(LIST_MAX) {
            self.write_conflict(conflict, page);
        }
        write_rest(resolution.conflicts.len(), page);
    }

    fn write_conflict(&self, conflict: &ConflictReport, page: &mut Page) {
        let key = match conflict.state_key.as_str() {
            "" => conflict.event_type.clone(),
            key => format!("{} {key}", conflict.event_type),
        };
        page.line(&[(Tone::Plain, "  "), (Tone::Plain, &legible(&key))]);
        let winner = conflict.winner.as_ref();
        for (index, candidate) in conflict.candidates.iter().enumerate() {
            let won = candidate.as_ref() == winner;
            self.write_candidate(&letter(index), won, candidate.as_ref(), page);
        }
        if !conflict
            .candidates
            .iter()
            .any(|candidate| candidate.as_ref() == winner)
        {
            self.write_candidate("", true, winner, page);
        }
    }

    fn write_candidate(
        &self,
        fork: &str,
        won: bool,
        candidate: Option<&EventBrief>,
        page: &mut Page,
    ) {
        let before = format!("  {fork:<2}{} ", if won { "→" } else { " " });
        match candidate {
            Some(event) => self.write_brief(&before, event, page),
            None => page.line(&[(Tone::Plain, &before), (Tone::Faint, "nothing")]),
        }
    }

    fn write_events(&self, title: &str, events: &[EventBrief], page: &mut Page) {
        if events.is_empty() {
            return;
        }
        page.heading(&format!(
            "{title}: {}",
            count(events.len(), "event", "events")
        ));
        for event in events.iter().take(LIST_MAX) {
            self.write_brief("  ", event, page);
        }
        write_rest(events.len(), page);
    }

    fn write_mainline(&self, resolution: &ResolutionReport, page: &mut Page) {
        if resolution.mainline.is_empty() {
            return;
        }
        page.heading("The mainline: power levels, newest first");
        for (position, event) in resolution.mainline.iter().enumerate().take(LIST_MAX) {
            self.write_brief(&format!("  {position:<3} "), event, page);
        }
        write_rest(resolution.mainline.len(), page);
    }

    fn write_replay(&self, resolution: &ResolutionReport, page: &mut Page) {
        page.heading("What was judged, in this order");
        for (index, step) in resolution.replay.iter().enumerate().take(LIST_MAX) {
            self.write_step(index + 1, step, page);
        }
        write_rest(resolution.replay.len(), page);
    }

    fn write_step(&self, number: usize, step: &Step, page: &mut Page) {
        let turn = match step.turn {
            Turn::Power {
                sender_level: Level(PowerLevel::Creator),
            } => "power: creator".to_owned(),
            Turn::Power { sender_level } => format!("power {sender_level}"),
            Turn::Mainline {
                mainline_position: Some(position),
            } => format!("mainline {position}"),
            Turn::Mainline {
                mainline_position: None,
            } => "mainline -".to_owned(),
            Turn::Depth => format!("depth {}", step.event.depth),
        };
        let (tone, verdict) = match &step.outcome {
            StepOutcome::Allowed => (Tone::Good, "allowed"),
            StepOutcome::Unchecked => (Tone::Plain, "taken"),
            StepOutcome::LastResort { .. } => (Tone::Doubtful, "taken all the same"),
            StepOutcome::Denied { .. } => (Tone::Bad, "refused"),
            StepOutcome::Rejected => (Tone::Bad, "rejected on receipt"),
        };
        page.line(&[
            (Tone::Faint, &format!("  {number:<3} {}", column(&turn, 16))),
            (
                Tone::Faint,
                &format!("{}  ", self.ids.short(&step.event.event_id)),
            ),
            (
                Tone::Plain,
                &format!("{}  ", column(&what(&step.event), 30)),
            ),
            (
                Tone::Plain,
                &format!("{}  ", column(&legible(step.event.sender.as_str()), 18)),
            ),
            (tone, verdict),
        ]);
        if let StepOutcome::Denied { reason, .. } | StepOutcome::LastResort { reason, .. } =
            &step.outcome
        {
            page.line(&[(Tone::Plain, "        "), (Tone::Bad, &legible(reason))]);
        }
    }
}

fn write_result(resolution: &ResolutionReport, page: &mut Page) {
    page.heading("What came out");
    page.line(&[
        (Tone::Plain, "  "),
        (Tone::Plain, &state(&resolution.result)),
    ]);
    let (tone, text) = match resolution.agrees {
        true => (Tone::Good, "the same as what is stored"),
        false => (Tone::Bad, "NOT what is stored"),
    };
    let stored = format!(": {}", state(&resolution.stored));
    page.line(&[(Tone::Plain, "  "), (tone, text), (Tone::Plain, &stored)]);
}

fn write_rest(number: usize, page: &mut Page) {
    if let Some(rest) = number.checked_sub(LIST_MAX).filter(|rest| *rest > 0) {
        page.line(&[(
            Tone::Faint,
            &format!("  and {rest} more, which --json lists"),
        )]);
    }
}

fn state(state: &StateBrief) -> String {
    let digest: String = state.digest.chars().take(12).collect();
    let entries = count(state.entries, "entry", "entries");
    match state.snapshot {
        Some(snapshot) => format!("{entries}, digest {digest}, state {snapshot} of the store"),
        None => format!("{entries}, digest {digest}"),
    }
}

/// What an event is and, if it was set aside, that it was.
fn what_became(event: &EventBrief) -> String {
    match event.standing {
        Standing::SoftFailed | Standing::Rejected => {
            format!("{} ({})", what(event), standing(event.standing).1)
        }
        Standing::Accepted | Standing::Backfilled | Standing::Outlier => what(event),
    }
}

/// A, B, … Z, then numbers.
fn letter(index: usize) -> String {
    let letter = u8::try_from(index).ok().filter(|index| *index < 26);
    match letter {
        Some(index) => char::from(b'A' + index).to_string(),
        None => (index + 1).to_string(),
    }
}
