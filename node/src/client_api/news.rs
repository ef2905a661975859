//! Lets a waiting `sync` know that something happened.

use std::{
    io,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak},
    time::Instant,
};

use comity_core::{messaging::notice::Notice, pdu::Pdu};
use ruma_common::UserId;

use super::{
    device_cache::DeviceCache,
    hearing::{Ear, Heard, Said},
};
use crate::homeserver::Homeserver;

/// Counts what happened. Whoever read the count before looking at the store misses nothing by
/// waiting for a larger one.
#[derive(Debug, Default)]
pub(super) struct News {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    count: u64,
    closed: bool,
}

impl News {
    pub(super) fn count(&self) -> u64 {
        self.state().count
    }

    pub(super) fn publish(&self) {
        self.state().count += 1;
        self.changed.notify_all();
    }

    /// Nobody waits any more.
    pub(super) fn close(&self) {
        self.state().closed = true;
        self.changed.notify_all();
    }

    /// Waits for a larger count than `seen`; tells whether there is one by the deadline.
    pub(super) fn wait_beyond(&self, seen: u64, deadline: Instant) -> bool {
        let timeout = deadline.saturating_duration_since(Instant::now());
        let waiting = |state: &mut State| state.count <= seen && !state.closed;
        let waited = self
            .changed
            .wait_timeout_while(self.state(), timeout, waiting);
        let (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        state.count > seen
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Publishes every notice that a `sync` could show, as long as `news` lives, and lets `ear` hear
/// what other servers say that is no event.
pub(super) fn listen(
    homeserver: &Arc<dyn Homeserver>,
    news: &Arc<News>,
    ear: &Ear,
    devices: &Arc<DeviceCache>,
) -> io::Result<()> {
    let (listener, news) = (Arc::downgrade(homeserver), Arc::downgrade(news));
    let (ear, devices) = (ear.clone(), devices.clone());
    let _ = ear.try_send(Heard::Inbox);
    homeserver.on_notice(Box::new(move |notice| match notice {
        Ok(Notice::Event(event)) => {
            forget_who_left(&event.pdu, &devices);
            publish(&news);
        }
        Ok(Notice::Membership(membership)) => {
            if matches!(membership.membership.as_str(), "leave" | "ban") {
                devices.forget_all();
            }
            publish(&news);
        }
        Ok(Notice::Redacted(_)) => publish(&news),
        Ok(Notice::Edu {
            edu_type,
            content,
            acknowledge,
            ..
        }) => {
            let _ = ear.try_send(match acknowledge {
                None => Heard::Said(Said { edu_type, content }),
                Some(_) => Heard::Inbox,
            });
        }
        Ok(Notice::JoinEnded {
            user_id,
            room_id,
            result: Ok(()),
        }) => {
            let _ = ear.try_send(Heard::Entered(user_id, room_id));
        }
        Ok(
            Notice::DestinationDown { .. }
            | Notice::GivenUp { .. }
            | Notice::DestinationUp(_)
            | Notice::Refused { .. }
            | Notice::NotAccepted { .. }
            | Notice::Hole { .. }
            | Notice::JoinTaken { .. }
            | Notice::JoinEnded { .. },
        ) => {}
        Err(_lagged) => listen_again(&listener, &news, &ear, &devices),
    }))
}

/// Of a user of another server who is in a room no more we may hear no more.
fn forget_who_left(event: &Pdu, devices: &DeviceCache) {
    let is_departure = event
        .membership()
        .is_some_and(|membership| membership != "join");
    let user_id = event.state_key().map(<&UserId>::try_from);
    if let Some(Ok(user_id)) = user_id.filter(|_| is_departure) {
        devices.forget(user_id);
    }
}

fn publish(news: &Weak<News>) {
    if let Some(news) = news.upgrade() {
        news.publish();
    }
}

/// What was missed is in the store: subscribing anew and waking everybody catches up.
fn listen_again(
    homeserver: &Weak<dyn Homeserver>,
    news: &Weak<News>,
    ear: &Ear,
    devices: &Arc<DeviceCache>,
) {
    devices.forget_all();
    let (Some(homeserver), Some(news)) = (homeserver.upgrade(), news.upgrade()) else {
        return;
    };
    if let Err(error) = listen(&homeserver, &news, ear, devices) {
        tracing::error!(%error, "sync can no longer be woken: no thread to listen to notices");
    }
    news.publish();
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn in_a_minute() -> Instant {
        Instant::now() + Duration::from_secs(60)
    }

    #[test]
    fn what_happened_before_the_wait_is_not_missed() {
        let news = News::default();
        let seen = news.count();
        news.publish();
        assert!(news.wait_beyond(seen, in_a_minute()));
        assert!(!news.wait_beyond(news.count(), Instant::now()));
    }

    #[test]
    fn closing_lets_everybody_go() {
        let news = News::default();
        std::thread::scope(|scope| {
            let waiter = scope.spawn(|| news.wait_beyond(0, in_a_minute()));
            news.close();
            assert!(!waiter.join().unwrap());
        });
    }
}
