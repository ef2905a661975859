//! A server as an operating system process: started, stopped, killed, and its log kept.

use std::fs::{self, File};
use std::net::TcpListener;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::failure::Failure;

/// How long a server may take to end after it was asked to.
const STOP_PATIENCE: Duration = Duration::from_secs(20);

/// At most one running process, whose output is appended to one log file over all its lives.
pub struct Process {
    log: PathBuf,
    child: Mutex<Option<Child>>,
}

impl Process {
    /// Nothing runs yet.
    pub fn new(log: PathBuf) -> Self {
        Self {
            log,
            child: Mutex::new(None),
        }
    }

    /// Starts `command`; the caller finds out when it is ready.
    pub fn start(&self, mut command: Command) -> Result<(), Failure> {
        let doing = || format!("starting {}", command.get_program().display());
        let out = self.open_log().map_err(Failure::while_doing(doing()))?;
        let err = out.try_clone().map_err(Failure::while_doing(doing()))?;
        let failed = Failure::while_doing(doing());
        let child = command
            .stdin(Stdio::null())
            .stdout(out)
            .stderr(err)
            .spawn()
            .map_err(failed)?;
        *self.child() = Some(child);
        Ok(())
    }

    /// What the operating system calls it, while it runs.
    pub fn id(&self) -> Option<u32> {
        self.child().as_ref().map(Child::id)
    }

    /// The exit status, when the process ended by itself.
    pub fn ended(&self) -> Option<ExitStatus> {
        self.child()
            .as_mut()
            .and_then(|child| child.try_wait().ok().flatten())
    }

    /// Ends it with SIGKILL: no last words, no flush.
    pub fn kill(&self) {
        if let Some(mut child) = self.child().take() {
            child.kill().ok();
            child.wait().ok();
        }
    }

    /// Ends it with SIGTERM and waits until it is gone.
    pub fn stop(&self) -> Result<(), Failure> {
        let Some(mut child) = self.child().take() else {
            return Ok(());
        };
        terminate(&child)?;
        let deadline = Instant::now() + STOP_PATIENCE;
        while Instant::now() < deadline {
            if matches!(child.try_wait(), Ok(Some(_))) {
                return Ok(());
            }
            thread::sleep(Duration::from_millis(20));
        }
        child.kill().ok();
        child.wait().ok();
        Err(Failure::Wrong(format!(
            "it ignored SIGTERM for {STOP_PATIENCE:?}"
        )))
    }

    /// The last `lines` lines it wrote that do not tell of a `sync`, of which there are too many.
    pub fn log_tail(&self, lines: usize) -> String {
        let bytes = fs::read(&self.log).unwrap_or_default();
        let text = String::from_utf8_lossy(&bytes);
        let telling = |line: &&str| !line.contains("/_matrix/client/v3/sync");
        let mut tail: Vec<&str> = text.lines().rev().filter(telling).take(lines).collect();
        tail.reverse();
        tail.join("\n")
    }

    fn open_log(&self) -> std::io::Result<File> {
        File::options().create(true).append(true).open(&self.log)
    }

    fn child(&self) -> MutexGuard<'_, Option<Child>> {
        self.child.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Sends SIGTERM through `kill(1)`, for the standard library knows SIGKILL only.
fn terminate(child: &Child) -> Result<(), Failure> {
    let process_id = child.id().to_string();
    let sent = Command::new("kill").args(["-TERM", &process_id]).status();
    sent.map(|_| ()).map_err(Failure::while_doing(format!(
        "sending SIGTERM to {process_id}"
    )))
}

/// Runs `command` to its end and returns what it printed.
pub fn output_of(command: &mut Command) -> Result<String, Failure> {
    let doing = format!("running {command:?}");
    let output = command
        .output()
        .map_err(Failure::while_doing(doing.clone()))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
    Err(Failure::Surroundings {
        doing,
        reason: format!("{}: {complaint}", output.status),
    })
}

/// A TCP port of 127.0.0.1 that was free a moment ago, and that nobody gets by chance: it is below
/// those that systems choose for connections, and this process is not told it twice.
pub fn free_port() -> Result<u16, Failure> {
    static ASKED: AtomicU32 = AtomicU32::new(0);
    const PORTS: Range<u32> = 20_000..32_000;
    let first = std::process::id().wrapping_mul(31);
    for _ in PORTS {
        let number = first.wrapping_add(ASKED.fetch_add(1, Ordering::Relaxed));
        let port = PORTS.start + number % (PORTS.end - PORTS.start);
        let port = u16::try_from(port).unwrap_or_default();
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return Ok(port);
        }
    }
    Err(Failure::Wrong("no port is free".to_owned()))
}

/// Makes `parent/name` and returns it.
pub fn make_directory(parent: &Path, name: &str) -> Result<PathBuf, Failure> {
    let directory = parent.join(name);
    fs::create_dir_all(&directory).map_err(Failure::while_doing(format!(
        "making {}",
        directory.display()
    )))?;
    Ok(directory)
}
