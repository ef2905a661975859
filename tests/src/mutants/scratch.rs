//! The copy of the workspace with all bugs in it.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::{BufRead, BufReader},
    ops::Range,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{Mutex, PoisonError, mpsc},
    thread,
    time::{Duration, Instant},
};

use super::{Error, Mutant, built_in, switch::SWITCH};

/// How the simulator's report of a broken promise begins, after the seed.
const BROKEN: &str = " breaks a promise: ";

/// What makes the copy quicker to build, and not much slower to run.
const QUICK: [&str; 6] = [
    "profile.release.lto=\"off\"",
    "profile.release.debug=false",
    "profile.release.codegen-units=256",
    "profile.release.package.comity-core.opt-level=1",
    "profile.release.package.comity-store.opt-level=1",
    "profile.release.package.comity-tests.opt-level=1",
];

/// What became of one bug.
#[derive(Clone, Debug, PartialEq)]
pub enum Found {
    /// This seed broke this promise.
    Caught {
        /// The seed.
        seed: u64,
        /// The promise.
        promise: String,
    },
    /// Some seed came to no end in the time given.
    Endless,
    /// Every seed passed.
    Survived,
}

/// The copy, under `target/mutants`, where it is built too, so that a second run has little to do.
#[derive(Debug)]
pub struct Scratch {
    sources: PathBuf,
    target: PathBuf,
}

impl Scratch {
    /// Makes or renews the copy. Files that stay the same are not touched.
    ///
    /// # Errors
    /// If a file cannot be read or written, or a bug does not apply.
    pub fn new(workspace: &Path, mutants: &[Mutant]) -> Result<Self, Error> {
        let folder = workspace.join("target/mutants");
        let scratch = Self {
            sources: folder.join("sources"),
            target: folder.join("target"),
        };
        let mut by_file: BTreeMap<&str, Vec<&Mutant>> = BTreeMap::new();
        for mutant in mutants {
            by_file.entry(&mutant.file).or_default().push(mutant);
        }
        let crates: BTreeSet<String> = by_file.keys().map(|file| root_of(file)).collect();
        let mut gone = files_in(&scratch.sources)?;
        for file in tracked(workspace)? {
            let from = workspace.join(&file);
            let Ok(bytes) = fs::read(&from) else { continue };
            let bytes = match (by_file.remove(file.as_str()), crates.contains(&file)) {
                (None, false) => bytes,
                (found, is_root) => {
                    let source = String::from_utf8_lossy(&bytes);
                    let mut text = built_in(&source, &found.unwrap_or_default())?;
                    text.push_str(if is_root { SWITCH } else { "" });
                    text.into_bytes()
                }
            };
            let path = scratch.sources.join(&file);
            write(&path, &bytes)?;
            gone.remove(&path);
        }
        for path in gone {
            fs::remove_file(&path).map_err(|error| Error::File(path, error))?;
        }
        match by_file
            .into_iter()
            .next()
            .and_then(|(_, mutants)| mutants.first().copied())
        {
            None => Ok(scratch),
            Some(Mutant { name, file, .. }) => Err(Error::Rotten {
                name: name.clone(),
                file: file.clone(),
                count: 0,
            }),
        }
    }

    /// Builds the simulator with all bugs in it.
    ///
    /// # Errors
    /// If it cannot be built, as when a bug is no valid Rust.
    pub fn build(&self) -> Result<(), Error> {
        let built = Command::new(env!("CARGO"))
            .args([
                "build",
                "--release",
                "-p",
                "comity-tests",
                "--bin",
                "comity-tests",
            ])
            .args(["--message-format", "short"])
            .args(QUICK.iter().flat_map(|setting| ["--config", *setting]))
            .current_dir(&self.sources)
            .env("CARGO_TARGET_DIR", &self.target)
            .output();
        let failed = |why: String| Error::Program("cargo build", why);
        match built {
            Ok(output) if output.status.success() => Ok(()),
            Ok(output) => Err(failed(String::from_utf8_lossy(&output.stderr).into_owned())),
            Err(error) => Err(failed(error.to_string())),
        }
    }

    /// Runs seeds with each of these bugs, or none, so many bugs at a time, and hands over what became
    /// of each and how long it took.
    ///
    /// # Errors
    /// If the simulator cannot be started, or says nothing of use.
    pub fn run_all<'m>(
        &self,
        mutants: Vec<Option<&'m Mutant>>,
        seeds: &Range<u64>,
        threads: usize,
        patience: Duration,
        mut each: impl FnMut(Option<&'m Mutant>, Found, Duration),
    ) -> Result<(), Error> {
        let next = Mutex::new(mutants.into_iter());
        let (sender, ended) = mpsc::channel();
        thread::scope(|scope| {
            for _ in 0..threads.max(1) {
                let (sender, next) = (sender.clone(), &next);
                scope.spawn(move || {
                    let take = || next.lock().unwrap_or_else(PoisonError::into_inner).next();
                    while let Some(mutant) = take() {
                        let begun = Instant::now();
                        let found = self.run(mutant, seeds, patience);
                        if sender.send((mutant, found, begun.elapsed())).is_err() {
                            return;
                        }
                    }
                });
            }
            drop(sender);
            let mut ended = ended.into_iter();
            ended.try_for_each(|(mutant, found, time)| {
                each(mutant, found?, time);
                Ok(())
            })
        })
    }

    /// Runs seeds in their order, with one bug or none, until one breaks a promise.
    fn run(
        &self,
        mutant: Option<&Mutant>,
        seeds: &Range<u64>,
        patience: Duration,
    ) -> Result<Found, Error> {
        let seeds = format!("{}..{}", seeds.start, seeds.end);
        let mut simulator = Command::new(self.target.join("release/comity-tests"));
        simulator
            .args(["simulate", "--seeds", &seeds])
            .args(["--threads", "1", "--tries", "0"])
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        match mutant {
            Some(mutant) => simulator.env("COMITY_MUTANT", &mutant.name),
            None => simulator.env_remove("COMITY_MUTANT"),
        };
        let failed = |error: std::io::Error| Error::Program("the simulator", error.to_string());
        let mut simulator = simulator.spawn().map_err(failed)?;
        let found = first_broken(&mut simulator, patience);
        if found.is_some() {
            let _ = simulator.kill();
        }
        match (found, simulator.wait()) {
            (Some(found), _) => Ok(found),
            (None, Ok(status)) if status.success() => Ok(Found::Survived),
            (None, status) => Err(Error::Program("the simulator", format!("{status:?}"))),
        }
    }
}

/// The first broken promise of which a simulator tells, or that it takes too long; `None` if it ends
/// and tells of none.
fn first_broken(program: &mut Child, patience: Duration) -> Option<Found> {
    let (sender, lines) = mpsc::channel();
    let stdout = program.stdout.take();
    thread::spawn(move || {
        let lines = stdout
            .into_iter()
            .flat_map(|stdout| BufReader::new(stdout).lines());
        lines
            .map_while(Result::ok)
            .try_for_each(|line| sender.send(line))
    });
    let deadline = Instant::now() + patience;
    loop {
        match lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            Ok(line) => match broken(&line) {
                Some(found) => return Some(found),
                None => continue,
            },
            Err(mpsc::RecvTimeoutError::Disconnected) => return None,
            Err(mpsc::RecvTimeoutError::Timeout) => return Some(Found::Endless),
        }
    }
}

/// Reads `seed 7 breaks a promise: what is said is heard, at 3.000 s: …`.
fn broken(line: &str) -> Option<Found> {
    let (seed, rest) = line.strip_prefix("seed ")?.split_once(BROKEN)?;
    let (promise, _) = rest.split_once(", at ")?;
    Some(Found::Caught {
        seed: seed.parse().ok()?,
        promise: promise.to_owned(),
    })
}

/// The root of the crate that a source file belongs to.
fn root_of(file: &str) -> String {
    let folder = file.split('/').next().unwrap_or_default();
    format!("{folder}/src/lib.rs")
}

/// Every file that belongs to the workspace, changed or new ones included.
fn tracked(workspace: &Path) -> Result<Vec<String>, Error> {
    let listed = Command::new("git")
        .args(["ls-files", "--cached", "--others", "--exclude-standard"])
        .current_dir(workspace)
        .output();
    match listed {
        Ok(output) if output.status.success() => {
            let files = String::from_utf8_lossy(&output.stdout).into_owned();
            Ok(files.lines().map(str::to_owned).collect())
        }
        other => Err(Error::Program("git ls-files", format!("{other:?}"))),
    }
}

/// Every file in a folder and in those within it; none if there is no such folder.
fn files_in(folder: &Path) -> Result<BTreeSet<PathBuf>, Error> {
    let (mut files, mut folders) = (BTreeSet::new(), vec![folder.to_owned()]);
    while let Some(folder) = folders.pop().filter(|folder| folder.is_dir()) {
        let unreadable = |error| Error::File(folder.clone(), error);
        for entry in fs::read_dir(&folder).map_err(unreadable)? {
            let path = entry.map_err(unreadable)?.path();
            match path.is_dir() {
                true => folders.push(path),
                false => drop(files.insert(path)),
            }
        }
    }
    Ok(files)
}

/// Writes a file, unless it says this already: what is newer is built anew.
fn write(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    if fs::read(path).is_ok_and(|there| there == bytes) {
        return Ok(());
    }
    let failed = |error| Error::File(path.to_owned(), error);
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(failed)?;
    }
    fs::write(path, bytes).map_err(failed)
}
