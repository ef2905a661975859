//! The two servers of a run: started when the first scenario needs them, shared by all, ended
//! with the run.

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock, PoisonError, RwLock};
use std::time::Duration;

use tempfile::TempDir;

use crate::authority::Authority;
use crate::bot::Bots;
use crate::comity::Comity;
use crate::failure::Failure;
use crate::homeserver::Homeserver;
use crate::process::make_directory;
use crate::stage::Stage;
use crate::synapse::Synapse;
use crate::wire::Wire;

/// How many lines of each server's log a failure shows.
const LOG_LINES: usize = 40;

/// Which software plays the two servers.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Casting {
    /// What the suite is for.
    ComityAndSynapse,
    /// The suite's check of itself: what fails here is the suite's fault, or Synapse's.
    SynapseTwice,
}

impl Casting {
    /// The names of the two servers, in the order of [`Pair::servers`].
    pub fn labels(self) -> [&'static str; 2] {
        match self {
            Self::ComityAndSynapse => ["comity", "synapse"],
            Self::SynapseTwice => ["synapse_one", "synapse_two"],
        }
    }

    fn restraint(self) -> Restraint {
        match self {
            Self::ComityAndSynapse => Restraint {
                messages: usize::MAX,
                recovery: Duration::ZERO,
            },
            Self::SynapseTwice => Restraint {
                messages: 2,
                recovery: Duration::from_secs(4),
            },
        }
    }
}

/// What users hold back around an outage, so that both servers can be expected to see everything.
///
/// A Synapse that was away gets from another Synapse the newest event of a room only, asks for ten
/// before it, and leaves what is older out of `sync`. Comity sends and asks for everything, so
/// nothing is held back where it takes part.
#[derive(Clone, Copy)]
pub struct Restraint {
    /// How many messages each user says in each room during one outage.
    pub messages: usize,
    /// How long after its start a server still counts as down.
    pub recovery: Duration,
}

/// Two running servers that trust the same authority.
pub struct Pair {
    pub servers: [Arc<dyn Homeserver>; 2],
    /// What lies before each of them.
    pub wires: [Wire; 2],
    /// Clients that know nothing of this suite.
    pub bots: Bots,
    /// How much is said while a server is down.
    pub restraint: Restraint,
}

impl Pair {
    fn start(casting: Casting, python: &Path, directory: &Path) -> Result<Self, Failure> {
        let authority = Authority::create(directory)?;
        let wires = lay_wires(casting, directory, &authority)?;
        let servers = prepare(casting, &wires, python, directory, &authority)?;
        for server in &servers {
            server.start()?;
        }
        Ok(Self {
            servers,
            wires,
            bots: Bots {
                python: python.to_owned(),
                directory: make_directory(directory, "bots")?,
                authority: authority.certificate_path(),
            },
            restraint: casting.restraint(),
        })
    }

    /// The stage on which `servers[home]` makes the rooms.
    pub fn stage(&self, home: usize, version: &'static str) -> Stage {
        let [first, second] = self.servers.clone();
        match home {
            0 => Stage {
                home: first,
                away: second,
                version,
            },
            _ => Stage {
                home: second,
                away: first,
                version,
            },
        }
    }

    fn log_tails(&self) -> String {
        let tail = |server: &Arc<dyn Homeserver>| {
            let log = server.process().log_tail(LOG_LINES);
            format!("\n--- the end of {}'s log ---\n{log}\n", server.label())
        };
        self.servers.iter().map(tail).collect()
    }
}

fn lay_wires(
    casting: Casting,
    directory: &Path,
    authority: &Authority,
) -> Result<[Wire; 2], Failure> {
    let lay = |label| {
        let name = format!("wire_of_{label}");
        Wire::lay(&make_directory(directory, &name)?, authority)
    };
    let [first, second] = casting.labels();
    Ok([lay(first)?, lay(second)?])
}

fn prepare(
    casting: Casting,
    wires: &[Wire; 2],
    python: &Path,
    directory: &Path,
    authority: &Authority,
) -> Result<[Arc<dyn Homeserver>; 2], Failure> {
    let [first, second] = casting.labels();
    let [first_ports, second_ports] = wires.each_ref().map(Wire::ports);
    let synapse = |label, host, ports| {
        let synapse = Synapse::prepare(label, host, ports, python, directory, authority);
        synapse.map(Arc::new)
    };
    let other = synapse(second, "127.0.0.1", second_ports)?;
    Ok(match casting {
        Casting::ComityAndSynapse => {
            let comity = Comity::prepare(first, first_ports, directory, authority)?;
            [Arc::new(comity), other]
        }
        Casting::SynapseTwice => [synapse(first, "localhost", first_ports)?, other],
    })
}

/// The pair all scenarios share.
pub struct SharedPair {
    casting: Casting,
    python: PathBuf,
    opened: OnceLock<Result<(Pair, TempDir), &'static str>>,
    /// Held for writing by a scenario that takes a server down, for reading by all others.
    restarting: RwLock<()>,
}

impl SharedPair {
    /// Nothing is started yet.
    pub fn new(casting: Casting, python: PathBuf) -> Self {
        Self {
            casting,
            python,
            opened: OnceLock::new(),
            restarting: RwLock::new(()),
        }
    }

    /// Which software plays.
    pub fn casting(&self) -> Casting {
        self.casting
    }

    /// Plays a scenario beside others.
    pub fn play(&self, scenario: impl FnOnce(&Pair) -> Result<(), Failure>) -> Result<(), String> {
        let _others = self
            .restarting
            .read()
            .unwrap_or_else(PoisonError::into_inner);
        self.play_now(scenario)
    }

    /// Plays a scenario while no other plays.
    pub fn play_alone(
        &self,
        scenario: impl FnOnce(&Pair) -> Result<(), Failure>,
    ) -> Result<(), String> {
        let _nobody = self
            .restarting
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        self.play_now(scenario)
    }

    /// Ends both servers. After failures their directories stay, and it is said where.
    pub fn close(self, failed: bool) {
        let Some(Ok((pair, directory))) = self.opened.into_inner() else {
            return;
        };
        for server in &pair.servers {
            if let Err(failure) = server.process().stop() {
                println!("interop: stopping {}: {failure}", server.label());
            }
        }
        if failed {
            println!(
                "interop: the servers' logs and databases are in {}",
                directory.keep().display()
            );
        }
    }

    fn play_now(&self, scenario: impl FnOnce(&Pair) -> Result<(), Failure>) -> Result<(), String> {
        let (pair, _) = self
            .opened
            .get_or_init(|| self.open())
            .as_ref()
            .map_err(ToString::to_string)?;
        scenario(pair).map_err(|failure| format!("{failure}\n{}", pair.log_tails()))
    }

    /// Says at length why the servers did not start, but once, not for every scenario.
    fn open(&self) -> Result<(Pair, TempDir), &'static str> {
        self.start().map_err(|failure| {
            println!("interop: {failure}");
            "the servers did not start, see above"
        })
    }

    fn start(&self) -> Result<(Pair, TempDir), Failure> {
        let directory = tempfile::Builder::new()
            .prefix("interop-")
            .tempdir_in(env!("CARGO_TARGET_TMPDIR"))
            .map_err(Failure::while_doing("making a directory for the servers"))?;
        let pair = Pair::start(self.casting, &self.python, directory.path())?;
        Ok((pair, directory))
    }
}
