//! Two users, one on each server, who talk in many rooms at once while servers go down.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::client::Client;
use crate::failure::{Failure, demand};
use crate::homeserver::Homeserver;
use crate::pair::{Pair, Restraint};
use crate::person::{Person, Speech};
use crate::stage::{ROOM_VERSIONS, agree_on_state, newcomer};

/// The pause between two messages of one user in one room: a peer that is flooded drops events,
/// which is not what is tried here.
const PACE: Duration = Duration::from_millis(120);

/// How long a client repeats a message until it is acknowledged.
const PERSISTENCE: Duration = Duration::from_secs(90);

/// Two users who share a room of every version on either server, and all that they said so far.
pub struct Conversation {
    people: [Person; 2],
    rooms: Vec<String>,
    /// What each of the two said in each of the rooms; they say the same.
    words: Vec<String>,
    outage: Outage,
}

/// Whether a server is down, for those who talk meanwhile.
pub struct Outage {
    now: AtomicBool,
    /// Counts the outages, so that a speaker notices a new one.
    number: AtomicUsize,
    restraint: Restraint,
}

impl Outage {
    /// Takes a server down, leaves it down for `duration`, and starts it again.
    pub fn of(&self, server: &dyn Homeserver, duration: Duration) -> Result<(), Failure> {
        self.number.fetch_add(1, Ordering::SeqCst);
        self.now.store(true, Ordering::SeqCst);
        let restarted = server.go_down().and_then(|()| {
            thread::sleep(duration);
            server.start()
        });
        thread::sleep(self.restraint.recovery);
        self.now.store(false, Ordering::SeqCst);
        restarted
    }
}

impl Conversation {
    /// Makes the users and the rooms, and waits until everyone is everywhere.
    pub fn begin(pair: &Pair) -> Result<Self, Failure> {
        let [first, second] = &pair.servers;
        let mut people = [newcomer(&**first, "alice")?, newcomer(&**second, "bob")?];
        let mut rooms = Vec::new();
        for version in ROOM_VERSIONS {
            for home in 0..people.len() {
                rooms.push(share_room(&mut people, pair, home, version)?);
            }
        }
        let (now, number) = (AtomicBool::new(false), AtomicUsize::new(0));
        let outage = Outage {
            now,
            number,
            restraint: pair.restraint,
        };
        Ok(Self {
            people,
            rooms,
            words: Vec::new(),
            outage,
        })
    }

    /// Everyone says `count` more messages in every room and watches, while `disturbance` happens.
    pub fn talk(
        &mut self,
        count: usize,
        disturbance: impl FnOnce(&Outage) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let said = self.words.len();
        self.words
            .extend((said..said + count).map(|number| format!("message {number}")));
        let (words, rooms, outage) = (self.words.split_at(said).1, &self.rooms, &self.outage);
        let talking = AtomicBool::new(true);
        let going_on = || talking.load(Ordering::SeqCst);
        thread::scope(|scope| {
            let mut speakers = Vec::new();
            for person in &self.people {
                for room in rooms {
                    let client = person.client.clone();
                    speakers.push(scope.spawn(move || speak(&client, room, words, outage)));
                }
            }
            let mut watchers = Vec::new();
            for person in &mut self.people {
                watchers.push(scope.spawn(|| person.watch_while(going_on)));
            }
            let disturbed = disturbance(outage);
            let spoken: Vec<_> = speakers.into_iter().map(finish).collect();
            talking.store(false, Ordering::SeqCst);
            let watched: Vec<_> = watchers.into_iter().map(finish).collect();
            spoken
                .into_iter()
                .chain(watched)
                .fold(disturbed, Result::and)
        })
    }

    /// Everything said so far must have reached both, in order and once, by `sync` and in the
    /// history, and both servers must have the same state.
    pub fn judge(&mut self) -> Result<(), Failure> {
        let ids = self.people.each_ref().map(|person| person.id().to_owned());
        let mut speeches = Vec::new();
        for room in &self.rooms {
            speeches.extend(ids.iter().map(|sender| Speech {
                room,
                sender,
                words: &self.words,
            }));
        }
        for person in &mut self.people {
            person.hear(&speeches)?;
        }
        let [alice, bob] = &self.people;
        for speech in &speeches {
            demand_in_history(alice, speech)?;
            demand_in_history(bob, speech)?;
        }
        self.rooms
            .iter()
            .try_for_each(|room| agree_on_state(&alice.client, &bob.client, room))
    }
}

fn share_room(
    people: &mut [Person; 2],
    pair: &Pair,
    home: usize,
    version: &'static str,
) -> Result<String, Failure> {
    let stage = pair.stage(home, version);
    let [alice, bob] = people;
    let (host, guest) = if home == 0 {
        (alice, bob)
    } else {
        (bob, alice)
    };
    let room = stage.public_room(host)?;
    stage.enter(guest, &room)?;
    host.watch_membership(&room, guest.id(), "join")?;
    Ok(room)
}

/// Says `words` one by one, each until it is acknowledged.
fn speak(client: &Client, room: &str, words: &[String], outage: &Outage) -> Result<(), Failure> {
    let mut said_during = (0, 0);
    for word in words {
        said_during = wait_for_permission(outage, said_during);
        say_until_acknowledged(client, room, word)?;
        thread::sleep(PACE);
    }
    Ok(())
}

/// Counts what is said during the outage of this number; beyond what is allowed, waits for its end.
fn wait_for_permission(outage: &Outage, (number, said): (usize, usize)) -> (usize, usize) {
    let current = outage.number.load(Ordering::SeqCst);
    if current != number {
        return (current, 1);
    }
    while said >= outage.restraint.messages && outage.now.load(Ordering::SeqCst) {
        thread::sleep(Duration::from_millis(50));
    }
    (number, said.saturating_add(1))
}

/// The transaction id is made of the words, so every repetition carries the same.
fn say_until_acknowledged(client: &Client, room: &str, words: &str) -> Result<(), Failure> {
    let deadline = Instant::now() + PERSISTENCE;
    let transaction = format!("{room} {words}");
    loop {
        match client.say(room, &transaction, words) {
            Err(failure) if failure.may_pass() && Instant::now() < deadline => {
                thread::sleep(Duration::from_millis(200));
            }
            other => return other.map(drop),
        }
    }
}

fn demand_in_history(person: &Person, speech: &Speech<'_>) -> Result<(), Failure> {
    let history = person.history(speech.room, 100)?;
    let spoken = history
        .iter()
        .filter(|event| event["sender"] == speech.sender);
    let told: Vec<_> = spoken
        .filter_map(|event| event["content"]["body"].as_str())
        .collect();
    let (who, sender, room) = (person.id(), speech.sender, speech.room);
    let complaint = format!("in {who}'s history of {room}, {sender} said {told:?}");
    demand(told == speech.words, complaint)
}

/// Waits for a thread; a panic in it is a failure too.
pub fn finish(thread: thread::ScopedJoinHandle<'_, Result<(), Failure>>) -> Result<(), Failure> {
    thread
        .join()
        .unwrap_or_else(|_| Err(Failure::Wrong("a thread panicked".to_owned())))
}
