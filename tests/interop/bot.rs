//! Bots on a published client SDK: processes that know nothing of this suite. `bots/talker.py` does as
//! it is told and tells what it sees, `bots/ordinary_life.py` lives on its own.

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::failure::Failure;
use crate::homeserver::Homeserver;
use crate::process::{make_directory, output_of};
use crate::stage::name_of_newcomer;

/// How long anything may take to be done, or to be seen by the other server's bot.
const PATIENCE: Duration = Duration::from_secs(45);

/// Where the programs of the bots are.
const PROGRAMS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/interop/bots");

/// What bots need of their surroundings.
pub struct Bots {
    /// The Python that the SDK is installed for.
    pub python: PathBuf,
    /// Where the bots keep their keys and their errors.
    pub directory: PathBuf,
    /// Who vouches for the servers: a PEM file.
    pub authority: PathBuf,
}

impl Bots {
    /// The bot of a new user of `server`, logged in and listening.
    pub fn talker(&self, server: &dyn Homeserver, name: &str) -> Result<Bot, Failure> {
        let name = name_of_newcomer(name);
        let password = format!("the password of {name}");
        server.sign_up(&name, &password)?;
        let directory = make_directory(&self.directory, &name)?;
        let errors = directory.join("errors.log");
        let arguments = [server.door().base_url(), &name, &password];
        let mut process = self
            .command("talker.py", &arguments)
            .arg(directory.join("keys"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(File::create(&errors).map_err(Failure::while_doing("making a bot's log"))?)
            .spawn()
            .map_err(Failure::while_doing(format!("starting the bot {name}")))?;
        let (Some(orders), Some(output)) = (process.stdin.take(), process.stdout.take()) else {
            return Err(Failure::Wrong(format!("{name} has no ears or no mouth")));
        };
        let mut bot = Bot {
            user_id: String::new(),
            process,
            orders,
            reports: reports(output),
            told: Vec::new(),
            errors,
        };
        bot.user_id = bot.done("logs in")?;
        Ok(bot)
    }

    /// Lets two bots of new users of `server` live an ordinary life, to its end.
    pub fn live(&self, server: &dyn Homeserver) -> Result<(), Failure> {
        let password = "the password of both";
        let [one, other] = ["dora", "emil"].map(name_of_newcomer);
        for name in [&one, &other] {
            server.sign_up(name, password)?;
        }
        let keys = self.directory.join(&one);
        let arguments = [server.door().base_url(), &one, &other, password];
        output_of(self.command("ordinary_life.py", &arguments).arg(keys)).map(drop)
    }

    /// One of the programs, about to be run.
    fn command(&self, program: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.python);
        command
            .arg(Path::new(PROGRAMS).join(program))
            .args(arguments)
            .env("SSL_CERT_FILE", &self.authority);
        command
    }
}

/// A bot that listens.
pub struct Bot {
    user_id: String,
    process: Child,
    orders: ChildStdin,
    reports: Receiver<Value>,
    /// All it told but the answers to orders.
    told: Vec<Value>,
    errors: PathBuf,
}

impl Bot {
    /// Its user's id.
    pub fn id(&self) -> &str {
        &self.user_id
    }

    /// Makes an encrypted room and invites users. Returns the room's id.
    pub fn make_room(&mut self, invited: &[&str]) -> Result<String, Failure> {
        self.order(&json!({"do": "make", "invite": invited}))
    }

    /// Invites a user to a room.
    pub fn invite(&mut self, room: &str, user: &str) -> Result<(), Failure> {
        self.order(&json!({"do": "invite", "room": room, "user": user}))
            .map(drop)
    }

    /// Joins a room when it sees that it is invited to it.
    pub fn accept(&mut self, room: &str) -> Result<(), Failure> {
        self.is_told(&json!({"invited": room}))?;
        self.order(&json!({"do": "join", "room": room})).map(drop)
    }

    /// Says something, encrypted.
    pub fn say(&mut self, room: &str, words: &str) -> Result<(), Failure> {
        self.order(&json!({"do": "say", "room": room, "words": words}))
            .map(drop)
    }

    /// Waits until it has seen `user` join.
    pub fn sees_join(&mut self, room: &str, user: &str) -> Result<(), Failure> {
        self.is_told(&json!({"joined": {"room": room, "user": user}}))
    }

    /// Waits until it has decrypted what `sender` said.
    pub fn hears(&mut self, room: &str, sender: &str, words: &str) -> Result<(), Failure> {
        let heard = json!({"room": room, "sender": sender, "words": words, "was_secret": true});
        self.is_told(&json!({"heard": heard}))
    }

    fn is_told(&mut self, expected: &Value) -> Result<(), Failure> {
        let deadline = Instant::now() + PATIENCE;
        while !self.told.contains(expected) {
            let report = self.next(&format!("tells {expected}"), deadline)?;
            self.told.push(report);
        }
        Ok(())
    }

    fn order(&mut self, order: &Value) -> Result<String, Failure> {
        let doing = Failure::while_doing(format!("telling {} {order}", self.user_id));
        writeln!(self.orders, "{order}").map_err(doing)?;
        self.done(&format!("does {order}"))
    }

    fn done(&mut self, expectation: &str) -> Result<String, Failure> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let report = self.next(expectation, deadline)?;
            match report["done"].as_str() {
                Some(done) => return Ok(done.to_owned()),
                None => self.told.push(report),
            }
        }
    }

    fn next(&self, expectation: &str, deadline: Instant) -> Result<Value, Failure> {
        let rest = deadline.saturating_duration_since(Instant::now());
        self.reports.recv_timeout(rest).map_err(|_| {
            let errors = std::fs::read_to_string(&self.errors).unwrap_or_default();
            Failure::NeverHappened {
                expectation: format!("the bot {} {expectation}", self.user_id),
                waited: PATIENCE,
                instead: format!("it told {:#?} and complained: {errors}", self.told),
            }
        })
    }
}

impl Drop for Bot {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
    }
}

/// What a bot says, line by line, until it ends.
fn reports(output: ChildStdout) -> Receiver<Value> {
    let (sender, receiver) = channel();
    thread::spawn(move || {
        let lines = BufReader::new(output).lines().map_while(Result::ok);
        let mut reports = lines.filter_map(|line| serde_json::from_str(&line).ok());
        reports.try_for_each(|report| sender.send(report))
    });
    receiver
}
