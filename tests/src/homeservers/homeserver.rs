//! What is asked of a homeserver, whichever software it is.

use std::thread;
use std::time::{Duration, Instant};

use super::client::{Client, Door};
use super::failure::Failure;
use super::process::{Process, free_port};

/// How long a server may take until it answers its first request.
const START_PATIENCE: Duration = Duration::from_secs(60);

/// The ports on which other servers find a homeserver.
#[derive(Clone, Copy, Debug)]
pub struct Ports {
    /// The port in its name.
    pub named: u16,
    /// The port it listens on. If it is not the same, something lies between the two.
    pub listening: u16,
}

impl Ports {
    /// Nothing lies between other servers and this one.
    pub fn direct() -> Result<Self, Failure> {
        let port = free_port()?;
        Ok(Self {
            named: port,
            listening: port,
        })
    }
}

/// One homeserver, driven through its client API alone except for its life and its users.
///
/// `start` after `stop` or `go_down` finds the data and the address of before.
pub trait Homeserver: Send + Sync {
    /// What it is called in test names and messages.
    fn label(&self) -> &str;

    /// Its name in Matrix ids, with the port.
    fn server_name(&self) -> &str;

    /// Where its client API is.
    fn door(&self) -> &Door;

    /// The process behind it.
    fn process(&self) -> &Process;

    /// How often the database was written to since the start, each time with a wait for the disk;
    /// nothing if the software does not tell.
    fn commits(&self) -> Result<Option<f64>, Failure> {
        Ok(None)
    }

    /// Starts the process, without waiting for it.
    fn launch(&self) -> Result<(), Failure>;

    /// Ends it in the way that is demanded that it survives: SIGKILL where nothing may be lost.
    fn go_down(&self) -> Result<(), Failure>;

    /// Makes a user nobody has yet.
    fn register(&self, localpart: &str) -> Result<Client, Failure>;

    /// Makes a user nobody has yet, who logs in with this password.
    fn sign_up(&self, localpart: &str, password: &str) -> Result<(), Failure>;

    /// Starts it and waits until it answers.
    fn start(&self) -> Result<(), Failure> {
        self.launch()?;
        let deadline = Instant::now() + START_PATIENCE;
        while let Err(failure) = self.door().versions() {
            if let Some(status) = self.process().ended() {
                return Err(self.never_started(format!("it ended with {status}")));
            }
            if Instant::now() > deadline {
                return Err(self.never_started(failure.to_string()));
            }
            thread::sleep(Duration::from_millis(100));
        }
        Ok(())
    }

    /// The failure of a start, with the log that explains it.
    fn never_started(&self, instead: String) -> Failure {
        let log = self.process().log_tail(40);
        Failure::NeverHappened {
            expectation: format!("{} answers", self.label()),
            waited: START_PATIENCE,
            instead: format!("{instead}\n{log}"),
        }
    }
}
