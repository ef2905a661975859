//! The application's side of a running server.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
};

use comity_core::messaging::{
    command::{Command, CommandError, Reply},
    notice::{Notice, Question, Told},
};
use comity_runtime::{Lagged, Message, NOTICES_MAX, StopReason};
use smol::{
    channel::{self, Receiver, Sender, TrySendError},
    stream::{Stream, StreamExt},
};

/// Talks to a [`Server`](crate::Server), from any task or thread. It may outlive the server; it
/// then says [`CommandError::Stopped`].
#[derive(Clone, Debug)]
pub struct Handle {
    inbox: Sender<Message>,
    stop_reason: StopReason,
}

impl Handle {
    pub(crate) fn new(inbox: Sender<Message>, stop_reason: StopReason) -> Self {
        Self { inbox, stop_reason }
    }

    /// Has something done, and waits for it. The outcome is on disk when this returns. A command
    /// whose future is dropped after its first poll is still carried out.
    ///
    /// Errors as [`CommandError`] says; with [`CommandError::Stopped`] it is open whether it was
    /// done.
    pub async fn command(&self, command: impl Into<Command>) -> Result<Reply, CommandError> {
        let outcome = self.begin(command.into());
        outcome
            .recv()
            .await
            .unwrap_or_else(|_| Err(self.stop_reason.error()))
    }

    /// As [`Handle::command`], for threads that run no tasks: it blocks.
    pub fn command_blocking(&self, command: impl Into<Command>) -> Result<Reply, CommandError> {
        let outcome = self.begin(command.into());
        outcome
            .recv_blocking()
            .unwrap_or_else(|_| Err(self.stop_reason.error()))
    }

    /// What happens from now on, until the server stops. A reader who falls [`NOTICES_MAX`]
    /// behind is told [`Lagged`] and hears no more.
    #[must_use]
    pub fn notices(&self) -> NoticeStream {
        let (sender, notices) = channel::bounded(NOTICES_MAX);
        let lagged = Arc::new(AtomicBool::new(false));
        let has_lagged = lagged.clone();
        let tell = move |notice: &Notice| match sender.try_send(notice.clone()) {
            Ok(()) => true,
            Err(TrySendError::Full(_)) => {
                has_lagged.store(true, Ordering::Release);
                false
            }
            Err(TrySendError::Closed(_)) => false,
        };
        let _ = self.inbox.try_send(Message::Subscribe(Box::new(tell)));
        NoticeStream {
            notices: Box::pin(notices),
            lagged,
        }
    }

    /// Calls `callback` with what [`Handle::notices`] yields, in a task that ends with the
    /// server. It should not block.
    pub fn on_notice(&self, callback: impl FnMut(Result<Notice, Lagged>) + Send + 'static) {
        smol::spawn(self.notices().for_each(callback)).detach();
    }

    /// Lets `callback` answer questions from now on, instead of [`Told::NotFound`]. It runs on a
    /// thread that may block.
    pub fn on_question(&self, callback: impl Fn(Question) -> Told + Send + Sync + 'static) {
        let _ = self.inbox.try_send(Message::OnQuestion(Arc::new(callback)));
    }

    /// What the server measured of itself, as text of the type
    /// [`METRICS_TYPE`](crate::METRICS_TYPE).
    ///
    /// Errors with [`CommandError::Stopped`] once the server has stopped.
    pub async fn metrics(&self) -> Result<String, CommandError> {
        let text = self.measure().recv().await;
        text.map_err(|_| self.stop_reason.error())
    }

    /// As [`Handle::metrics`], for threads that run no tasks: it blocks.
    pub fn metrics_blocking(&self) -> Result<String, CommandError> {
        let text = self.measure().recv_blocking();
        text.map_err(|_| self.stop_reason.error())
    }

    /// Why the server stopped; `None` while it runs.
    #[must_use]
    pub fn stop_reason(&self) -> Option<&str> {
        self.stop_reason.get()
    }

    fn measure(&self) -> Receiver<String> {
        let (sender, text) = channel::bounded(1);
        let waiter = Box::new(move |measured| drop(sender.try_send(measured)));
        let _ = self.inbox.try_send(Message::Measure(waiter));
        text
    }

    /// The inbox has no bound, so this does not wait.
    fn begin(&self, command: Command) -> Receiver<Result<Reply, CommandError>> {
        let (sender, outcome) = channel::bounded(1);
        let waiter = Box::new(move |outcome| drop(sender.try_send(outcome)));
        let _ = self.inbox.try_send(Message::Command(command, waiter));
        outcome
    }
}

/// Notices as they happen; it ends when the server stops.
#[derive(Debug)]
pub struct NoticeStream {
    notices: Pin<Box<Receiver<Notice>>>,
    lagged: Arc<AtomicBool>,
}

impl Stream for NoticeStream {
    type Item = Result<Notice, Lagged>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.notices
            .as_mut()
            .poll_next(cx)
            .map(|notice| match notice {
                Some(notice) => Some(Ok(notice)),
                None => self
                    .lagged
                    .swap(false, Ordering::AcqRel)
                    .then_some(Err(Lagged)),
            })
    }
}

#[cfg(test)]
mod tests {
    use smol::stream;

    use super::*;

    #[test]
    fn a_reader_who_falls_behind_is_told_once_and_hears_no_more() {
        let (inbox, messages) = channel::unbounded();
        let notices = Handle::new(inbox, StopReason::default()).notices();
        let Ok(Message::Subscribe(mut tell)) = messages.recv_blocking() else {
            panic!("no subscription");
        };
        let notice = Notice::DestinationUp("a.example".try_into().unwrap());
        assert!((0..NOTICES_MAX).all(|_| tell(&notice)));
        assert!(!tell(&notice), "the subscription ends");
        drop(tell);
        let mut heard = stream::block_on(notices).skip(NOTICES_MAX);
        assert_eq!(heard.next(), Some(Err(Lagged)));
        assert_eq!(heard.next(), None);
    }
}
