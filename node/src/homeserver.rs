//! The federation half of the homeserver, whichever runtime drives it.

use std::io;

use comity_core::messaging::{
    command::{Command, CommandError, Reply},
    notice::{Notice, Question, Told},
};
use comity_sync::Lagged;

/// What the node asks of a running runtime.
pub trait Homeserver: Send + Sync {
    /// Has something done, and waits for it.
    ///
    /// # Errors
    /// As [`CommandError`] says.
    fn command(&self, command: Command) -> Result<Reply, CommandError>;

    /// What it measured of itself, as text of the type [`comity_sync::METRICS_TYPE`].
    ///
    /// # Errors
    /// [`CommandError::Stopped`] once it has stopped.
    fn metrics(&self) -> Result<String, CommandError>;

    /// Calls `callback` with every notice from now on; [`Lagged`] is the last one.
    ///
    /// # Errors
    /// When the system gives no thread.
    fn on_notice(&self, callback: NoticeCallback) -> io::Result<()>;

    /// Lets `callback` answer other servers' questions from now on.
    fn on_question(&self, callback: QuestionCallback);
}

/// See [`Homeserver::on_notice`].
pub type NoticeCallback = Box<dyn FnMut(Result<Notice, Lagged>) + Send>;

/// See [`Homeserver::on_question`].
pub type QuestionCallback = Box<dyn Fn(Question) -> Told + Send + Sync>;

impl Homeserver for comity_sync::Handle {
    fn command(&self, command: Command) -> Result<Reply, CommandError> {
        Self::command(self, command)
    }

    fn metrics(&self) -> Result<String, CommandError> {
        Self::metrics(self)
    }

    fn on_notice(&self, callback: NoticeCallback) -> io::Result<()> {
        Self::on_notice(self, callback)
    }

    fn on_question(&self, callback: QuestionCallback) {
        Self::on_question(self, callback);
    }
}

impl Homeserver for comity_smol::Handle {
    fn command(&self, command: Command) -> Result<Reply, CommandError> {
        self.command_blocking(command)
    }

    fn metrics(&self) -> Result<String, CommandError> {
        self.metrics_blocking()
    }

    fn on_notice(&self, callback: NoticeCallback) -> io::Result<()> {
        Self::on_notice(self, callback);
        Ok(())
    }

    fn on_question(&self, callback: QuestionCallback) {
        Self::on_question(self, callback);
    }
}
