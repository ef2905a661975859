//! What a process uses, as Linux tells in `/proc`.

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use crate::homeservers::failure::Failure;

/// The unit of processor time in `/proc/PID/stat` (`USER_HZ`, which is 100 on all of Linux).
const TICK: Duration = Duration::from_millis(10);

/// How long to wait for quiet.
const QUIET_PATIENCE: Duration = Duration::from_secs(180);

/// How little a process does that has come to rest: so much processor time in such a time.
#[derive(Clone, Copy, Debug)]
pub struct Rest {
    within: Duration,
    cpu: Duration,
}

impl Rest {
    /// Of a server that is left alone.
    pub const ALONE: Self = Self {
        within: Duration::from_secs(1),
        cpu: Duration::from_millis(40),
    };

    /// Of a server that is still asked whether something is there.
    pub const ASKED: Self = Self {
        within: Duration::from_secs(2),
        cpu: Duration::from_millis(400),
    };
}

/// Looks out for the moment when a process comes to rest.
pub struct Lookout<'a> {
    meter: &'a Meter,
    rest: Rest,
    busy: Duration,
    cpu: Duration,
}

impl Lookout<'_> {
    /// When the process came to rest, since the start, if it now has for long enough.
    pub fn at_rest_since(&mut self) -> Result<Option<Duration>, Failure> {
        let (now, cpu) = (
            self.meter.elapsed(),
            Counters::read(self.meter.process)?.cpu,
        );
        if cpu.saturating_sub(self.cpu) > self.rest.cpu {
            (self.busy, self.cpu) = (now, cpu);
        }
        let rests = now.saturating_sub(self.busy) > self.rest.within;
        Ok(rests.then_some(self.busy))
    }
}

/// Watches one process from a moment on.
pub struct Meter {
    process: u32,
    started: Instant,
    before: Counters,
    memory_before: f64,
}

/// What it used since then.
#[derive(Clone, Copy, Debug)]
pub struct Usage {
    /// Seconds on the clock.
    pub wall: f64,
    /// Seconds of processor time, of all its threads.
    pub cpu: f64,
    /// Bytes that it made the kernel write to the disk.
    pub written: f64,
    /// The most memory that it had at once since then (resident), in bytes.
    pub peak: f64,
    /// How much more that is than it had at the start.
    pub growth: f64,
}

struct Counters {
    cpu: Duration,
    written: u64,
}

impl Meter {
    /// Begins now.
    pub fn start(process: u32) -> Result<Self, Failure> {
        // The peak is that of the whole life of a process unless it is reset.
        fs::write(format!("/proc/{process}/clear_refs"), "5")
            .map_err(Failure::while_doing("resetting the peak of a process"))?;
        Ok(Self {
            process,
            before: Counters::read(process)?,
            memory_before: bytes_of(process, "VmRSS:")?,
            started: Instant::now(),
        })
    }

    /// For how long it has been watched.
    pub fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    /// What was used until now.
    pub fn usage(&self) -> Result<Usage, Failure> {
        let wall = self.elapsed();
        let now = Counters::read(self.process)?;
        let peak = bytes_of(self.process, "VmHWM:")?;
        Ok(Usage {
            wall: wall.as_secs_f64(),
            cpu: now.cpu.saturating_sub(self.before.cpu).as_secs_f64(),
            written: now.written.saturating_sub(self.before.written) as f64,
            peak,
            growth: (peak - self.memory_before).max(0.0),
        })
    }

    /// Looks out for its rest from now on.
    pub fn lookout(&self, rest: Rest) -> Result<Lookout<'_>, Failure> {
        Ok(Lookout {
            meter: self,
            rest,
            busy: self.elapsed(),
            cpu: Counters::read(self.process)?.cpu,
        })
    }

    /// Waits until the process has come to rest. Says when, since the start.
    pub fn wait_for_rest(&self) -> Result<Duration, Failure> {
        let mut lookout = self.lookout(Rest::ALONE)?;
        let deadline = self.elapsed() + QUIET_PATIENCE;
        while self.elapsed() < deadline {
            if let Some(since) = lookout.at_rest_since()? {
                return Ok(since);
            }
            thread::sleep(Duration::from_millis(20));
        }
        Err(Failure::NeverHappened {
            expectation: "the server comes to rest".to_owned(),
            waited: QUIET_PATIENCE,
            instead: "it is still busy".to_owned(),
        })
    }
}

impl Counters {
    fn read(process: u32) -> Result<Self, Failure> {
        let stat = read(process, "stat")?;
        // Field 2 is the program's name in parentheses, which may hold anything; 14 and 15 are the
        // ticks in user and in kernel mode.
        let fields = stat.rsplit_once(')').map_or("", |(_, fields)| fields);
        let ticks = fields.split_whitespace().skip(11).take(2);
        let ticks: u32 = ticks.filter_map(|ticks| ticks.parse::<u32>().ok()).sum();
        Ok(Self {
            cpu: TICK * ticks,
            written: number_after(&read(process, "io")?, "write_bytes:"),
        })
    }
}

/// A line of `/proc/PID/status` that is in kibibytes, in bytes.
fn bytes_of(process: u32, name: &str) -> Result<f64, Failure> {
    Ok(1024.0 * number_after(&read(process, "status")?, name) as f64)
}

fn read(process: u32, file: &str) -> Result<String, Failure> {
    let path = format!("/proc/{process}/{file}");
    let doing = Failure::while_doing(format!("reading {path}"));
    fs::read_to_string(path).map_err(doing)
}

/// The number in the line that begins so.
fn number_after(text: &str, name: &str) -> u64 {
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    let number = line.and_then(|line| line.split_whitespace().next());
    number
        .and_then(|number| number.parse().ok())
        .unwrap_or_default()
}
