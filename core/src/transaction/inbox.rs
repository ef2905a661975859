//! EDUs that must not be lost: messages to devices, and news of devices and their keys.
//!
//! **Contract.** Such an EDU is kept by the same commit that keeps the answer to its transaction;
//! only then is it acknowledged, and the application told. It is told again after each start until
//! it is [acknowledged](Acknowledge) in turn, always under the same id. A message to a device that
//! comes again under the same name, in whatever transaction, is not kept twice (EDU-4).
//!
//! **Bounds.** Of one server so many wait for the application, and no more bytes; beyond them its
//! transactions are put off as a whole, so that it keeps what we cannot.

use ruma_common::OwnedServerName;

use crate::{
    engine::{
        facts::{Blocked, Facts},
        outcome::Outcome,
    },
    messaging::{
        command::{Content, Reply},
        notice::Notice,
    },
    persistence::{
        queries::{Answer, InboxStanding, Read, Write},
        tables::{InboxId, InboxRecord},
    },
};

/// How many EDUs of one server may wait for the application.
pub const WAITING_MAX: u64 = 1_000;

/// How many bytes these may be.
pub const BYTES_MAX: u64 = 16 << 20;

/// How many are read at once after a start.
const PAGE: u32 = 100;

/// An EDU that must not be lost, before it has an id.
#[derive(Clone, Debug)]
pub struct ReliableEdu {
    /// Its type.
    pub edu_type: String,
    /// Its content.
    pub content: Content,
}

impl ReliableEdu {
    /// Whether EDUs of this type must not be lost.
    #[must_use]
    pub fn is_type(edu_type: &str) -> bool {
        matches!(
            edu_type,
            "m.direct_to_device"
                | "m.device_list_update"
                | "m.signing_key_update"
                | "org.matrix.signing_key_update"
        )
    }

    /// What its sender calls it.
    fn name(&self) -> Option<&str> {
        let has_name = self.edu_type == "m.direct_to_device";
        let name = self.content.get("message_id").filter(|_| has_name);
        name.and_then(|name| name.as_str())
    }

    /// Keeps it and tells the application.
    pub fn keep(self, origin: &OwnedServerName, facts: &Facts<'_>, outcome: &mut Outcome) {
        let record = InboxRecord {
            id: outcome.counters(facts).inbox(),
            origin: origin.clone(),
            name: self.name().map(ToOwned::to_owned),
            edu_type: self.edu_type,
            content: self.content,
            received_at: facts.now().wall,
        };
        outcome.writes.push(Write::Receive(record.clone()));
        outcome.notices.push(notice(record));
    }
}

/// Those of `edus` that are to be kept; `None` if there is no room for them now.
pub fn new_ones(
    edus: Vec<ReliableEdu>,
    origin: &OwnedServerName,
    facts: &Facts<'_>,
) -> Result<Option<Vec<ReliableEdu>>, Blocked> {
    if edus.is_empty() {
        return Ok(Some(edus));
    }
    let names = edus.iter().filter_map(ReliableEdu::name);
    let read = Read::InboxStanding {
        origin: origin.clone(),
        names: names.map(ToOwned::to_owned).collect(),
    };
    let standing = match facts.read(read)? {
        Answer::InboxStanding(standing) => standing.clone(),
        _ => InboxStanding::default(),
    };
    let mut known: std::collections::BTreeSet<String> = standing.known.into_iter().collect();
    let new = edus.into_iter().filter(|edu| match edu.name() {
        Some(name) => known.insert(name.to_owned()),
        None => true,
    });
    let new: Vec<ReliableEdu> = new.collect();
    let is_full = standing.waiting + new.len() as u64 > WAITING_MAX || standing.bytes > BYTES_MAX;
    Ok((new.is_empty() || !is_full).then_some(new))
}

fn notice(record: InboxRecord) -> Notice {
    Notice::Edu {
        origin: record.origin,
        edu_type: record.edu_type,
        content: record.content,
        acknowledge: Some(record.id),
    }
}

/// The application has dealt with an EDU and all before it.
#[derive(Clone, Debug)]
pub struct Acknowledge {
    /// The last one.
    pub through: InboxId,
}

impl Acknowledge {
    /// See [`crate::engine`].
    pub fn decide(&self, _: &Facts<'_>) -> Result<Outcome, Blocked> {
        let through = self.through;
        Ok(Outcome {
            writes: vec![Write::Acknowledge { through }],
            ..Outcome::complete(Ok(Reply::Acknowledged))
        })
    }
}

/// Tells the application again what it has not acknowledged before we were stopped.
#[derive(Clone, Debug)]
pub struct TellAgain {
    /// What was told already.
    pub after: InboxId,
    /// What the last run left.
    pub through: InboxId,
}

impl TellAgain {
    /// See [`crate::engine`].
    pub fn decide(&self, facts: &Facts<'_>) -> Result<Outcome, Blocked> {
        let read = Read::Inbox {
            after: self.after,
            limit: PAGE,
        };
        let Answer::Inbox(records) = facts.read(read)? else {
            return Ok(Outcome::done());
        };
        let left = records.iter().filter(|record| record.id <= self.through);
        let left: Vec<InboxRecord> = left.cloned().collect();
        let mut outcome = match left.last() {
            None => Outcome::done(),
            Some(last) => Outcome::phase(Self {
                after: last.id,
                through: self.through,
            }),
        };
        outcome.notices = left.into_iter().map(notice).collect();
        Ok(outcome)
    }
}
