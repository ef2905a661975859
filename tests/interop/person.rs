//! A user who acts through a client and watches through incremental `sync`.

use std::time::{Duration, Instant};
use std::{fmt, thread};

use serde_json::Value;

use crate::client::Client;
use crate::failure::{Failure, demand};
use crate::seen::{Gap, Seen};

/// How long anything may take to be seen on the other side, a restarted peer included.
const PATIENCE: Duration = Duration::from_secs(45);

/// How long a late repetition of a message is waited for.
const SETTLING: Duration = Duration::from_millis(1500);

/// One user: the client they act with and all they have seen.
pub struct Person {
    pub client: Client,
    pub seen: Seen,
    since: Option<String>,
    gaps: Vec<Gap>,
}

/// What must have arrived: all that `sender` said in `room`, in this order.
pub struct Speech<'a> {
    pub room: &'a str,
    pub sender: &'a str,
    pub words: &'a [String],
}

impl Person {
    /// A user who begins to watch now.
    pub fn new(client: Client) -> Result<Self, Failure> {
        let mut person = Self {
            client,
            seen: Seen::default(),
            since: None,
            gaps: Vec::new(),
        };
        person.look(Duration::ZERO)?;
        Ok(person)
    }

    /// Their user id.
    pub fn id(&self) -> &str {
        self.client.user_id()
    }

    /// Watches until `holds`, through restarts of the server.
    pub fn watch_until(
        &mut self,
        expectation: impl fmt::Display,
        holds: impl Fn(&Seen) -> bool,
    ) -> Result<(), Failure> {
        let deadline = Instant::now() + PATIENCE;
        let mut trouble = None;
        while !holds(&self.seen) {
            if Instant::now() > deadline {
                let expectation = format!("{} sees that {expectation}", self.id());
                let instead = trouble.unwrap_or_else(|| "the server did answer".to_owned());
                return Err(Failure::NeverHappened {
                    expectation,
                    waited: PATIENCE,
                    instead,
                });
            }
            match self.look(Duration::from_secs(1)) {
                Err(failure) if failure.may_pass() => {
                    trouble = Some(failure.to_string());
                    thread::sleep(Duration::from_millis(200));
                }
                other => other?,
            }
        }
        Ok(())
    }

    /// Waits until `user` has `membership` in `room`, by the timeline.
    pub fn watch_membership(
        &mut self,
        room: &str,
        user: &str,
        membership: &str,
    ) -> Result<(), Failure> {
        self.watch_until(
            format!("{user} has membership {membership} in {room}"),
            |seen| seen.room(room).membership_of(user) == Some(membership),
        )
    }

    /// Waits until `sync` puts `room` into `section` (`join`, `invite` or `leave`).
    pub fn watch_section(&mut self, room: &str, section: &str) -> Result<(), Failure> {
        self.watch_until(format!("{room} is among their {section} rooms"), |seen| {
            seen.room(room).section == section
        })
    }

    /// Waits until an event is in the timeline.
    pub fn watch_event(&mut self, room: &str, event: &str) -> Result<(), Failure> {
        self.watch_until(format!("{event} is in {room}"), |seen| {
            seen.room(room).has(event)
        })
    }

    /// Watches through restarts for as long as `going_on` holds.
    pub fn watch_while(&mut self, going_on: impl Fn() -> bool) -> Result<(), Failure> {
        while going_on() {
            match self.look(Duration::from_secs(1)) {
                Err(failure) if failure.may_pass() => thread::sleep(Duration::from_millis(200)),
                other => other?,
            }
        }
        Ok(())
    }

    /// Waits until every speech has arrived; then makes sure that each did in its order, with
    /// nothing else and nothing twice.
    pub fn hear(&mut self, speeches: &[Speech<'_>]) -> Result<(), Failure> {
        for speech in speeches {
            self.wait_for(speech)?;
        }
        self.settle()?;
        speeches
            .iter()
            .try_for_each(|speech| self.demand_exactly(speech))
    }

    fn wait_for(&mut self, speech: &Speech<'_>) -> Result<(), Failure> {
        let expectation = format!("{} spoke {} times", speech.sender, speech.words.len());
        let waited = self.watch_until(expectation, |seen| {
            let heard = seen.room(speech.room).words_of(speech.sender);
            speech
                .words
                .iter()
                .all(|word| heard.contains(&word.as_str()))
        });
        waited.map_err(|failure| {
            let heard = self.seen.room(speech.room).words_of(speech.sender);
            Failure::Wrong(format!(
                "{failure}; in {} they heard {heard:?}",
                speech.room
            ))
        })
    }

    /// Looks on for a moment, so that what must not come has had its chance.
    pub fn settle(&mut self) -> Result<(), Failure> {
        let deadline = Instant::now() + SETTLING;
        while let Some(rest) = deadline.checked_duration_since(Instant::now()) {
            self.look(rest.min(Duration::from_millis(500)))?;
        }
        Ok(())
    }

    fn demand_exactly(&self, speech: &Speech<'_>) -> Result<(), Failure> {
        let Speech {
            room,
            sender,
            words,
        } = speech;
        let seen = self.seen.room(room);
        let (who, heard) = (self.id(), seen.words_of(sender));
        // Synapse gives a join that comes about between two readings of one `sync` in that answer
        // and in the next.
        let is_own = |id: &&String| seen.is_membership_of(who, id);
        let repeated: Vec<_> = seen.repeated.iter().filter(|id| !is_own(id)).collect();
        demand(
            repeated.is_empty(),
            format!("{who} was given events twice: {repeated:?}"),
        )?;
        let complaint = format!("{who} should hear {words:?} of {sender} but heard {heard:?}");
        demand(heard == **words, complaint)
    }

    /// Pages back through the whole history, `page` events at a time. Returns it oldest first.
    pub fn history(&self, room: &str, page: usize) -> Result<Vec<Value>, Failure> {
        self.back_until(room, None, page, |_| false)
    }

    /// One `sync`, and whatever it takes to close the gaps it leaves. A failure loses nothing: what
    /// is still to do is done first the next time.
    fn look(&mut self, wait: Duration) -> Result<(), Failure> {
        self.close_gaps()?;
        let answer = self.client.sync(self.since.as_deref(), wait)?;
        let next_batch = answer["next_batch"].as_str().map(str::to_owned);
        demand(
            next_batch.is_some(),
            format!("sync without next_batch: {answer}"),
        )?;
        self.gaps = self.seen.absorb(&answer);
        self.since = next_batch;
        self.close_gaps()
    }

    fn close_gaps(&mut self) -> Result<(), Failure> {
        while let Some(gap) = self.gaps.last() {
            let seen = self.seen.room(&gap.room);
            let known = |event: &Value| event["event_id"].as_str().is_some_and(|id| seen.has(id));
            let missed = self.back_until(&gap.room, Some(gap.prev_batch.clone()), 100, known)?;
            self.seen.add(&gap.room, &missed);
            self.seen.add(&gap.room, &gap.after);
            self.gaps.pop();
        }
        Ok(())
    }

    /// Pages back from `from` until `stop` holds for an event, which is left out, or the history
    /// begins. Returns the events oldest first.
    fn back_until(
        &self,
        room: &str,
        mut from: Option<String>,
        page: usize,
        stop: impl Fn(&Value) -> bool,
    ) -> Result<Vec<Value>, Failure> {
        let mut newest_first = Vec::new();
        loop {
            let answer = self
                .client
                .messages_backwards(room, from.as_deref(), page)?;
            for event in answer.chunk {
                if stop(&event) {
                    newest_first.reverse();
                    return Ok(newest_first);
                }
                newest_first.push(event);
            }
            demand(
                newest_first.len() < 10_000,
                format!("the history of {room} has no end"),
            )?;
            if answer.end.is_none() || answer.end == from {
                newest_first.reverse();
                return Ok(newest_first);
            }
            from = answer.end;
        }
    }
}

/// Asks again and again until `attempt` yields true.
pub fn eventually(
    expectation: impl fmt::Display,
    mut attempt: impl FnMut() -> Result<bool, Failure>,
) -> Result<(), Failure> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let instead = match attempt() {
            Ok(true) => return Ok(()),
            Ok(false) => "it stayed otherwise".to_owned(),
            Err(failure) => failure.to_string(),
        };
        if Instant::now() > deadline {
            let expectation = expectation.to_string();
            return Err(Failure::NeverHappened {
                expectation,
                waited: PATIENCE,
                instead,
            });
        }
        thread::sleep(Duration::from_millis(200));
    }
}
