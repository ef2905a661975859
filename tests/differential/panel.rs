//! Asks everybody the same question, and compares the answers with Comity's.

use std::{collections::BTreeMap, fmt::Write as _};

use comity_core::pdu::RoomVersion;
use comity_tests::rooms::KnownEvent;
use serde_json::{Value, json};

use crate::{
    answers::{Authorised, Oracle, Received, Taken, Verdict},
    comity::Comity,
    known,
};

/// What was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Question {
    /// Checks 1 to 3 on receipt of a PDU.
    Receive,
    /// Check 4: the authorisation rules by the event's auth events.
    ByAuthEvents,
    /// Check 5: the same rules by the state before the event.
    OnState,
    /// State resolution.
    Resolve,
}

/// Two answers that are not the same.
#[derive(Clone, Debug)]
pub struct Difference<'a> {
    pub version: RoomVersion,
    /// Who answers otherwise than Comity.
    pub peer: &'static str,
    pub question: Question,
    /// The text of the event that was asked about; of resolutions there is none.
    pub text: &'a str,
    /// The state that it is judged by, or the states that are resolved.
    pub states: &'a [Vec<&'a KnownEvent>],
    pub ours: String,
    pub theirs: String,
}

impl Difference<'_> {
    /// The answers in one line, and everything else as JSON.
    fn report(&self) -> (String, Value) {
        let Self {
            question,
            peer,
            ours,
            theirs,
            ..
        } = self;
        let line = format!("{question:?}: Comity: {ours}; {peer}: {theirs}");
        let events = |state: &Vec<&KnownEvent>| state.iter().map(|known| known.as_json()).collect();
        let states: Vec<Value> = self.states.iter().map(events).collect();
        let case = json!({ "answers": line, "event": self.text, "states": states });
        (line, case)
    }
}

/// All who are asked, and what came of it so far.
pub struct Panel {
    comity: Comity,
    peers: Vec<Box<dyn Oracle>>,
    version: RoomVersion,
    /// How often each question was put to each peer.
    asked: BTreeMap<(&'static str, Question), usize>,
    /// How often each known difference explained an answer.
    explained: BTreeMap<(&'static str, &'static str), usize>,
    /// Differences that nothing explains.
    unexplained: Vec<(String, Value)>,
}

impl Panel {
    pub fn new(version: RoomVersion, peers: Vec<Box<dyn Oracle>>) -> Self {
        Self {
            comity: Comity::new(),
            peers,
            version,
            asked: BTreeMap::new(),
            explained: BTreeMap::new(),
            unexplained: Vec::new(),
        }
    }

    /// A room begins.
    pub fn begin(&mut self) {
        self.comity.begin(self.version);
        self.peers
            .iter_mut()
            .for_each(|peer| peer.begin(self.version));
    }

    /// The differences that nothing explains since the last time this was asked.
    pub fn take_unexplained(&mut self) -> Vec<(String, Value)> {
        std::mem::take(&mut self.unexplained)
    }

    /// The event, if all took it and made the same of it.
    pub fn receive(&mut self, text: &str) -> Option<Taken> {
        let ours = self.comity.receive(text);
        let mut agreed = true;
        for index in 0..self.peers.len() {
            let theirs = self.peers[index].receive(text);
            let (our_words, their_words) = in_words(&ours, &theirs);
            agreed &= self.compare(index, Question::Receive, text, &[], our_words, their_words);
        }
        match ours {
            Received::Taken(taken) if agreed => Some(taken),
            _ => None,
        }
    }

    /// Comity's verdict on an event, if all have the same.
    pub fn authorise(
        &mut self,
        event_id: &str,
        text: &str,
        before: &[&KnownEvent],
        auth_events: &[&KnownEvent],
    ) -> Option<Authorised> {
        let ids: Vec<_> = before.iter().map(|known| known.event_id.clone()).collect();
        let ours = self.comity.authorise(event_id, &ids);
        let mut agreed = true;
        for index in 0..self.peers.len() {
            let theirs = self.peers[index].authorise(event_id, &ids);
            for (question, state, ours, theirs) in [
                (
                    Question::ByAuthEvents,
                    auth_events,
                    &ours.by_auth_events,
                    &theirs.by_auth_events,
                ),
                (Question::OnState, before, &ours.on_state, &theirs.on_state),
            ] {
                let words = |verdict: &Verdict| match verdict {
                    Ok(()) => "allowed".to_owned(),
                    Err(reason) => format!("denied: {reason}"),
                };
                let (ours, theirs) = match (ours, theirs) {
                    (Err(_), Err(_)) => Default::default(),
                    (ours, theirs) => (words(ours), words(theirs)),
                };
                agreed &= self.compare(index, question, text, &[state.to_vec()], ours, theirs);
            }
        }
        agreed.then_some(ours)
    }

    /// This event counts as rejected for everybody.
    pub fn reject(&mut self, event_id: &str) {
        self.comity.reject(event_id);
        self.peers.iter_mut().for_each(|peer| peer.reject(event_id));
    }

    /// Comity's resolution of these states.
    pub fn resolve(&mut self, states: &[Vec<&KnownEvent>]) -> Vec<String> {
        let ids =
            |state: &Vec<&KnownEvent>| state.iter().map(|known| known.event_id.clone()).collect();
        let ids: Vec<Vec<_>> = states.iter().map(ids).collect();
        let ours = self
            .comity
            .resolve(&ids)
            .expect("Comity knows every algorithm");
        for index in 0..self.peers.len() {
            let Some(theirs) = self.peers[index].resolve(&ids) else {
                continue;
            };
            let [our_words, their_words] = match (&ours, &theirs) {
                (Ok(ours), Ok(theirs)) => [(ours, theirs), (theirs, ours)]
                    .map(|(one, other)| in_short(one.difference(other), states)),
                (Err(_), Err(_)) => [String::new(), String::new()],
                _ => [&ours, &theirs].map(|resolved| format!("{resolved:?}")),
            };
            self.compare(index, Question::Resolve, "", states, our_words, their_words);
        }
        ours.expect("all events are at hand").into_iter().collect()
    }

    /// Whether these are the same words; if not, someone has to say why.
    fn compare(
        &mut self,
        peer: usize,
        question: Question,
        text: &str,
        states: &[Vec<&KnownEvent>],
        ours: String,
        theirs: String,
    ) -> bool {
        let peer = self.peers[peer].name();
        *self.asked.entry((peer, question)).or_default() += 1;
        if ours == theirs {
            return true;
        }
        let version = self.version;
        let difference = Difference {
            version,
            peer,
            question,
            text,
            states,
            ours,
            theirs,
        };
        match known::explain(&difference) {
            Some(name) => *self.explained.entry((peer, name)).or_default() += 1,
            None => self.unexplained.push(difference.report()),
        }
        false
    }

    /// What was asked, and what explained the differences, as a table.
    pub fn summary(&self) -> String {
        let mut summary = String::new();
        for ((peer, question), count) in &self.asked {
            let _ = writeln!(summary, "{count:9} {question:?} asked of {peer}");
        }
        for ((peer, name), count) in &self.explained {
            let _ = writeln!(summary, "{count:9} {peer}: {name}");
        }
        summary
    }
}

/// What differs between two answers, empty if nothing does. Reasons are not compared.
fn in_words(ours: &Received, theirs: &Received) -> (String, String) {
    match (ours, theirs) {
        (Received::Dropped(_), Received::Dropped(_)) => Default::default(),
        (Received::Taken(ours), Received::Taken(theirs)) => {
            let parts = |taken: &Taken| {
                let Taken {
                    event_id,
                    room_id,
                    altered,
                    kept,
                    redacted,
                } = taken.clone();
                [
                    format!("event id {event_id}"),
                    format!("room id {room_id}"),
                    format!("altered {altered}"),
                    format!("kept {kept}"),
                    format!("redacted {redacted}"),
                ]
            };
            let pairs = parts(ours).into_iter().zip(parts(theirs));
            let (ours, theirs): (Vec<_>, Vec<_>) =
                pairs.filter(|(one, other)| one != other).unzip();
            (ours.join(", "), theirs.join(", "))
        }
        (ours, theirs) => {
            let words = |received: &Received| match received {
                Received::Dropped(reason) => format!("dropped: {reason}"),
                Received::Taken(_) => "taken".to_owned(),
            };
            (words(ours), words(theirs))
        }
    }
}

/// What these events are, which may be in no state that was resolved.
fn in_short<'a>(ids: impl Iterator<Item = &'a String>, states: &[Vec<&KnownEvent>]) -> String {
    let words = ids.map(|id| {
        let known = states.iter().flatten().find(|known| known.event_id == *id);
        let known = known.map_or(Value::Null, |known| known.as_json());
        format!(
            "{id} {} {} of {} {}",
            known["type"], known["state_key"], known["sender"], known["content"]
        )
    });
    format!("[{}]", words.collect::<Vec<_>>().join(", "))
}
