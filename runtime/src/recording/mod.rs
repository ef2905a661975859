//! A log of everything that goes into a core, from which the same run can be had again.
//!
//! The first line is a [`Heading`], each further one an [`Entry`], as JSON. The core is a function
//! of its inputs, so the log needs no more than these; of the actions it keeps a [`Trace`] each, by
//! which a [`replay`](replay::replay) sees where it differs. What a computation came to is not
//! kept, since replaying computes it again.
//!
//! **Secrets.** The signing key is left out: who replays must have it. OpenID tokens are replaced
//! by a word. All else is there that passed through the server, so the file is for its owner only.
//!
//! **Size.** When the limit is reached the recording ends and says so in its last line. It does not
//! go round: a log without its beginning could not be replayed.

mod heard;
pub mod replay;
mod trace;

use std::{
    fs::{File, OpenOptions},
    io::{self, BufWriter, Write},
    path::PathBuf,
};

use comity_core::{
    Action, Config, Input, Now, VERSION, keys::KeySettings, messaging::settings::Settings,
    pdu::unpadded_base64,
};
use ruma_common::OwnedServerName;
use serde::{Deserialize, Serialize};

pub use heard::Heard;
pub use trace::Trace;

/// The format of the log, counted up when it changes.
pub const FORMAT: u32 = 1;

/// Where and how much to record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordingConfig {
    /// The file. One that is there is replaced: a log is of one life of a server.
    pub file: PathBuf,
    /// How large it may become, in bytes.
    pub limit: u64,
}

/// What a recorded server was started with.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Heading {
    /// See [`FORMAT`].
    pub format: u32,
    /// The version of the core.
    pub comity: String,
    /// [`Config::server_name`].
    pub server_name: OwnedServerName,
    /// The id of the signing key.
    pub key_id: String,
    /// Its public half, in unpadded base64.
    pub public_key: String,
    /// [`Config::seed`], in unpadded base64.
    pub seed: String,
    /// [`Config::settings`].
    pub settings: Settings,
    /// [`Config::keys`].
    pub keys: KeySettings,
    /// [`Config::delegates_to`].
    #[serde(default)]
    pub delegates_to: Option<OwnedServerName>,
}

/// One line of the log after the first.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Entry {
    /// Something went into the core.
    Input(Now, Box<Heard>),
    /// Something came out of it, after the input before.
    Action(Trace),
    /// The recording ends here, and why.
    End(String),
}

/// Writes the log of a running core.
pub struct Recorder {
    file: BufWriter<File>,
    left: u64,
}

impl Recorder {
    /// Begins the log of a server that is about to start.
    ///
    /// Errors when the file cannot be written.
    pub fn start(recording: &RecordingConfig, config: &Config) -> io::Result<Self> {
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut recorder = Self {
            file: BufWriter::new(options.open(&recording.file)?),
            left: recording.limit,
        };
        recorder.line(&Heading {
            format: FORMAT,
            comity: VERSION.1.to_owned(),
            server_name: config.server_name.clone(),
            key_id: config.signing_key.key_id().to_owned(),
            public_key: unpadded_base64::encode(&config.signing_key.public_key()),
            seed: unpadded_base64::encode(&config.seed),
            settings: config.settings,
            keys: config.keys.clone(),
            delegates_to: config.delegates_to.clone(),
        })?;
        Ok(recorder)
    }

    /// Records an input; before the core gets it, so that one that makes the core panic is there.
    ///
    /// Errors when the log cannot be written, or has become too large: then it has ended.
    pub fn input(&mut self, now: Now, input: &Input) -> io::Result<()> {
        self.line(&Entry::Input(now, Box::new(Heard::of(input))))?;
        self.file.flush()
    }

    /// Records an action.
    ///
    /// Errors as [`Recorder::input`].
    pub fn action(&mut self, action: &Action) -> io::Result<()> {
        self.line(&Entry::Action(Trace::of(action)))
    }

    fn line(&mut self, entry: &impl Serialize) -> io::Result<()> {
        let mut line = serde_json::to_vec(entry)?;
        line.push(b'\n');
        let length = line.len() as u64;
        if length > self.left {
            let end = Entry::End("the limit of the log's size was reached".to_owned());
            serde_json::to_writer(&mut self.file, &end)?;
            self.file.write_all(b"\n")?;
            self.file.flush()?;
            return Err(io::ErrorKind::QuotaExceeded.into());
        }
        self.left -= length;
        self.file.write_all(&line)
    }
}
