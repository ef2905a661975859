//! The application's side of a running server.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::{self, Receiver, RecvTimeoutError, Sender, TrySendError},
    },
    thread,
    time::Duration,
};

use comity_core::messaging::{
    command::{Command, CommandError, Reply},
    notice::{Notice, Question, Told},
};
use comity_runtime::{Lagged, Message, NOTICES_MAX, NoNotice, StopReason};

/// Talks to a [`Server`](crate::Server), from any thread. It may outlive the server; it then says
/// [`CommandError::Stopped`].
#[derive(Clone, Debug)]
pub struct Handle {
    inbox: Sender<Message>,
    stop_reason: StopReason,
}

impl Handle {
    pub(crate) fn new(inbox: Sender<Message>, stop_reason: StopReason) -> Self {
        Self { inbox, stop_reason }
    }

    /// Has something done, and waits for it. The outcome is on disk when this returns.
    ///
    /// Errors as [`CommandError`] says; with [`CommandError::Stopped`] it is open whether it was
    /// done.
    pub fn command(&self, command: impl Into<Command>) -> Result<Reply, CommandError> {
        let (sender, outcome) = mpsc::sync_channel(1);
        let waiter = Box::new(move |outcome| drop(sender.send(outcome)));
        let _ = self.inbox.send(Message::Command(command.into(), waiter));
        outcome
            .recv()
            .unwrap_or_else(|_| Err(self.stop_reason.error()))
    }

    /// What happens from now on, until the server stops. A reader who falls [`NOTICES_MAX`]
    /// behind is told [`Lagged`] and hears no more.
    #[must_use]
    pub fn notices(&self) -> NoticeStream {
        let (sender, notices) = mpsc::sync_channel(NOTICES_MAX);
        let lagged = Arc::new(AtomicBool::new(false));
        let has_lagged = lagged.clone();
        let tell = move |notice: &Notice| match sender.try_send(notice.clone()) {
            Ok(()) => true,
            Err(TrySendError::Full(_)) => {
                has_lagged.store(true, Ordering::Release);
                false
            }
            Err(TrySendError::Disconnected(_)) => false,
        };
        let _ = self.inbox.send(Message::Subscribe(Box::new(tell)));
        NoticeStream { notices, lagged }
    }

    /// Calls `callback` with what [`Handle::notices`] yields, on a thread that ends with the
    /// server.
    ///
    /// Errors when the system gives no thread.
    pub fn on_notice(
        &self,
        callback: impl FnMut(Result<Notice, Lagged>) + Send + 'static,
    ) -> io::Result<()> {
        let notices = self.notices();
        let name = "comity-notices".to_owned();
        thread::Builder::new()
            .name(name)
            .spawn(move || notices.for_each(callback))
            .map(drop)
    }

    /// Lets `callback` answer questions from now on, instead of [`Told::NotFound`]. It runs on a
    /// thread that may block.
    pub fn on_question(&self, callback: impl Fn(Question) -> Told + Send + Sync + 'static) {
        let _ = self.inbox.send(Message::OnQuestion(Arc::new(callback)));
    }

    /// What the server measured of itself, as text of the type
    /// [`METRICS_TYPE`](crate::METRICS_TYPE).
    ///
    /// Errors with [`CommandError::Stopped`] once the server has stopped.
    pub fn metrics(&self) -> Result<String, CommandError> {
        let (sender, text) = mpsc::sync_channel(1);
        let waiter = Box::new(move |text| drop(sender.send(text)));
        let _ = self.inbox.send(Message::Measure(waiter));
        text.recv().map_err(|_| self.stop_reason.error())
    }

    /// Why the server stopped; `None` while it runs.
    #[must_use]
    pub fn stop_reason(&self) -> Option<&str> {
        self.stop_reason.get()
    }
}

/// Notices as they happen; as an iterator it waits for each, and ends when the server stops.
#[derive(Debug)]
pub struct NoticeStream {
    notices: Receiver<Notice>,
    lagged: Arc<AtomicBool>,
}

impl NoticeStream {
    /// The next notice, waiting for it no longer than `timeout`.
    ///
    /// Errors as [`NoNotice`] says.
    pub fn next_within(&self, timeout: Duration) -> Result<Notice, NoNotice> {
        self.notices
            .recv_timeout(timeout)
            .map_err(|error| match error {
                RecvTimeoutError::Timeout => NoNotice::TimedOut,
                RecvTimeoutError::Disconnected => {
                    self.end().map_or(NoNotice::Ended, NoNotice::Lagged)
                }
            })
    }

    /// Tells once that the reader has lagged, if it has.
    fn end(&self) -> Option<Lagged> {
        self.lagged.swap(false, Ordering::AcqRel).then_some(Lagged)
    }
}

impl Iterator for NoticeStream {
    type Item = Result<Notice, Lagged>;

    fn next(&mut self) -> Option<Self::Item> {
        match self.notices.recv() {
            Ok(notice) => Some(Ok(notice)),
            Err(_) => self.end().map(Err),
        }
    }
}

#[cfg(test)]
mod tests {
    use comity_core::messaging::notice::Notice;

    use super::*;

    #[test]
    fn a_reader_who_falls_behind_is_told_once_and_hears_no_more() {
        let (inbox, messages) = mpsc::channel();
        let notices = Handle::new(inbox, StopReason::default()).notices();
        let Ok(Message::Subscribe(mut tell)) = messages.recv() else {
            panic!("no subscription");
        };
        let notice = Notice::DestinationUp("a.example".try_into().unwrap());
        assert!((0..NOTICES_MAX).all(|_| tell(&notice)));
        assert!(!tell(&notice), "the subscription ends");
        drop(tell);
        let mut heard = notices.skip(NOTICES_MAX);
        assert_eq!(heard.next(), Some(Err(Lagged)));
        assert_eq!(heard.next(), None);
    }
}
