//! How many requests of other servers are under way, and whose: which wait, and which are refused.
//!
//! **Invariants.**
//! - A request is counted from when it is taken on until its answer leaves.
//! - A server that has proved to have sent its requests has `AT_WORK` of them worked on at once.
//!   The rest wait for their turn, so that whoever asks much delays itself and not the others.
//! - No server holds more than its share, which shrinks as the whole fills: a quarter of what is
//!   free. So one that floods us leaves room for all others.
//! - Requests that wait until their sender is proved hold half of the whole at most: a flood in the
//!   names of servers that nobody can find refuses nobody whose keys are at hand. They count for
//!   nobody but those that must wait until the same name is proved: nobody can use up another
//!   server's share by naming it.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    time::Duration,
};

use ruma_common::{OwnedServerName, ServerName};

use super::JobId;
use crate::{
    input::RequestId,
    messaging::{settings::RequestLimits, status::HeldBytes},
    transport::matrix_error::MatrixError,
};

/// How many requests of one server are worked on at once.
const AT_WORK: usize = 8;

/// Of what is free, one server may hold one part in so many.
const SHARE: usize = 4;

/// So many requests a server may always have under way, unless there is no room at all.
const ALWAYS: usize = 2;

/// How long a refused server is asked to wait.
const PAUSE: Duration = Duration::from_secs(2);

/// The requests under way.
#[derive(Debug, Default)]
pub struct Load {
    limits: RequestLimits,
    under_way: BTreeMap<RequestId, Held>,
    shares: BTreeMap<Sender, Share>,
    waiting: BTreeSet<JobId>,
    unproven: usize,
    bytes: usize,
}

/// Who sent a request, as far as that is known.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Sender {
    /// Whoever may ask without saying who asks.
    Anybody,
    /// So it says.
    Claimed(OwnedServerName),
    /// So it is.
    Proven(OwnedServerName),
}

#[derive(Debug)]
struct Held {
    sender: Sender,
    bytes: usize,
    at_work: bool,
}

/// What one sender holds.
#[derive(Debug, Default)]
struct Share {
    requests: usize,
    bytes: usize,
    at_work: usize,
    /// Those that have still to be begun.
    line: VecDeque<(RequestId, JobId)>,
}

impl Load {
    /// No requests yet.
    #[must_use]
    pub fn new(limits: RequestLimits) -> Self {
        Self {
            limits,
            ..Self::default()
        }
    }

    /// How many bytes the bodies are of the requests under way.
    pub fn held(&self) -> HeldBytes {
        HeldBytes::new(self.bytes, self.limits.bytes)
    }

    /// Takes a request on, with a body of so many bytes, whose sender is not proved.
    ///
    /// # Errors
    /// 429 if there is no room for it.
    pub fn admit(
        &mut self,
        id: RequestId,
        sender: Sender,
        bytes: usize,
    ) -> Result<(), MatrixError> {
        let is_full = self.under_way.len() >= self.limits.requests
            || bytes > self.limits.bytes.saturating_sub(self.bytes);
        if is_full {
            return Err(refusal(&sender));
        }
        if sender == Sender::Anybody {
            self.has_room(&sender)?;
        }
        self.hold(id, sender, bytes);
        Ok(())
    }

    /// Whether a request that says to be of `server` may wait until that is proved.
    ///
    /// # Errors
    /// 429 if too many do.
    pub fn may_wait(&self, server: &ServerName) -> Result<(), MatrixError> {
        // The one that asks is counted already.
        let sender = Sender::Claimed(server.to_owned());
        let of_server = self.shares.get(&sender).map_or(0, |share| share.requests);
        let is_too_much =
            of_server > self.fair_share() || self.unproven > self.limits.requests.div_ceil(2);
        match is_too_much {
            true => Err(refusal(&sender)),
            false => Ok(()),
        }
    }

    /// Whether `server`, which has just proved who it is, may have its request served.
    ///
    /// # Errors
    /// 429 if it may not.
    pub fn may_serve(&self, server: &ServerName) -> Result<(), MatrixError> {
        self.has_room(&Sender::Proven(server.to_owned()))
    }

    /// Notes that it is proved who sent the request that `job` is to answer. If others of this
    /// server are at work, it waits.
    pub fn prove(&mut self, id: RequestId, job: JobId) {
        let Some(Held {
            sender: Sender::Claimed(server),
            bytes,
            ..
        }) = self.under_way.get(&id)
        else {
            return;
        };
        let (sender, bytes) = (Sender::Proven(server.clone()), *bytes);
        self.remove(id);
        self.hold(id, sender.clone(), bytes);
        let share = self.shares.entry(sender.clone()).or_default();
        share.line.push_back((id, job));
        self.waiting.insert(job);
        self.begin_next(&sender);
    }

    /// Whether a job has to wait because its server has others at work.
    pub fn is_in_line(&self, job: JobId) -> bool {
        self.waiting.contains(&job)
    }

    /// Notes that a request is answered. Returns the job that may begin now in its stead.
    pub fn answered(&mut self, id: RequestId) -> Option<JobId> {
        let held = self.remove(id)?;
        self.begin_next(&held.sender)
    }

    /// Begins the first of those that wait, if few enough are at work.
    fn begin_next(&mut self, sender: &Sender) -> Option<JobId> {
        let share = self.shares.get_mut(sender)?;
        if share.at_work >= AT_WORK {
            return None;
        }
        let (id, job) = share.line.pop_front()?;
        share.at_work += 1;
        self.waiting.remove(&job);
        if let Some(held) = self.under_way.get_mut(&id) {
            held.at_work = true;
        }
        Some(job)
    }

    /// How many requests one server may have under way.
    fn fair_share(&self) -> usize {
        let free = self.limits.requests.saturating_sub(self.under_way.len());
        (free / SHARE).clamp(ALWAYS, self.limits.requests_per_server.max(ALWAYS))
    }

    fn has_room(&self, sender: &Sender) -> Result<(), MatrixError> {
        match self.shares.get(sender) {
            Some(share)
                if share.requests >= self.fair_share()
                    || share.bytes >= self.limits.bytes_per_server =>
            {
                Err(refusal(sender))
            }
            Some(_) | None => Ok(()),
        }
    }

    fn hold(&mut self, id: RequestId, sender: Sender, bytes: usize) {
        let share = self.shares.entry(sender.clone()).or_default();
        share.requests += 1;
        share.bytes += bytes;
        self.bytes += bytes;
        self.unproven += usize::from(!sender.is_proven());
        let held = Held {
            sender,
            bytes,
            at_work: false,
        };
        self.under_way.insert(id, held);
    }

    fn remove(&mut self, id: RequestId) -> Option<Held> {
        let held = self.under_way.remove(&id)?;
        self.bytes = self.bytes.saturating_sub(held.bytes);
        let unproven = usize::from(!held.sender.is_proven());
        self.unproven = self.unproven.saturating_sub(unproven);
        let share = self.shares.get_mut(&held.sender)?;
        share.requests = share.requests.saturating_sub(1);
        share.bytes = share.bytes.saturating_sub(held.bytes);
        share.at_work = share.at_work.saturating_sub(usize::from(held.at_work));
        if let Some(place) = share.line.iter().position(|(waiting, _)| *waiting == id)
            && let Some((_, job)) = share.line.remove(place)
        {
            self.waiting.remove(&job);
        }
        if share.requests == 0 {
            self.shares.remove(&held.sender);
        }
        Some(held)
    }
}

impl Sender {
    fn is_proven(&self) -> bool {
        match self {
            Self::Proven(_) => true,
            Self::Anybody | Self::Claimed(_) => false,
        }
    }
}

/// What a request gets for which there is no room.
pub(super) fn refusal(sender: &Sender) -> MatrixError {
    tracing::info!(?sender, "too many requests are under way");
    MatrixError::limit_exceeded("too many requests are under way", PAUSE)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: RequestLimits = RequestLimits {
        requests: 100,
        requests_per_server: 16,
        bytes: 1000,
        bytes_per_server: 300,
    };

    fn name(server: &str) -> &ServerName {
        server.try_into().unwrap()
    }

    /// How many of 100 requests of this size are served, the first with this number, and which
    /// jobs wait.
    fn served(load: &mut Load, first: u64, server: &str, bytes: usize) -> (usize, Vec<u64>) {
        let (mut count, mut waiting) = (0, Vec::new());
        for number in first..first + 100 {
            let (id, sender) = (RequestId(number), Sender::Claimed(name(server).to_owned()));
            if load.admit(id, sender, bytes).is_err() {
                continue;
            }
            if load.may_serve(name(server)).is_err() {
                load.answered(id);
                continue;
            }
            load.prove(id, JobId(number));
            count += 1;
            if load.is_in_line(JobId(number)) {
                waiting.push(number);
            }
        }
        (count, waiting)
    }

    #[test]
    fn no_server_has_more_than_its_requests_under_way() {
        let mut load = Load::new(LIMITS);
        assert_eq!(served(&mut load, 0, "a.example", 0).0, 16);
        assert_eq!(served(&mut load, 100, "b.example", 0).0, 16);
        load.answered(RequestId(0));
        load.answered(RequestId(0));
        assert_eq!(served(&mut load, 200, "a.example", 0).0, 1);
    }

    #[test]
    fn those_of_one_server_wait_for_each_other_in_the_order_in_which_they_came() {
        let mut load = Load::new(LIMITS);
        let (_, waiting) = served(&mut load, 0, "a.example", 0);
        assert_eq!(waiting, Vec::from_iter(AT_WORK as u64..16));
        assert_eq!(served(&mut load, 100, "b.example", 0).1[0], 108);
        assert_eq!(load.answered(RequestId(3)), Some(JobId(8)));
        assert!(!load.is_in_line(JobId(8)));
        assert_eq!(load.answered(RequestId(9)), None, "it had not begun");
        assert_eq!(load.answered(RequestId(8)), Some(JobId(10)));
    }

    #[test]
    fn shares_shrink_as_the_whole_fills_and_everybody_has_one() {
        let mut load = Load::new(LIMITS);
        let served: Vec<_> = (0..40)
            .map(|n| served(&mut load, n * 100, &format!("s{n}.example"), 0).0)
            .collect();
        assert_eq!(served[0], 16);
        assert!(served.is_sorted_by(|a, b| a >= b), "{served:?}");
        assert!(served[..12].iter().all(|count| *count >= ALWAYS));
        assert_eq!(served.iter().sum::<usize>(), LIMITS.requests);
    }

    #[test]
    fn bytes_are_bounded_for_each_and_for_all_but_one_large_request_gets_through() {
        let mut load = Load::new(LIMITS);
        assert_eq!(served(&mut load, 0, "a.example", 100).0, 3);
        assert_eq!(served(&mut load, 100, "b.example", 400).0, 1);
        assert_eq!(served(&mut load, 200, "c.example", 400).0, 0);
        assert_eq!(served(&mut load, 300, "c.example", 100).0, 3);
        load.answered(RequestId(100));
        assert_eq!(served(&mut load, 400, "d.example", 400).0, 1);
    }

    #[test]
    fn whoever_names_another_server_does_not_use_up_its_share() {
        let mut load = Load::new(LIMITS);
        let liar = Sender::Claimed(name("a.example").to_owned());
        for number in 0..16 {
            load.admit(RequestId(number), liar.clone(), 0).unwrap();
            load.may_wait(name("a.example")).unwrap();
        }
        load.admit(RequestId(16), liar, 0).unwrap();
        load.may_wait(name("a.example")).unwrap_err();
        load.may_serve(name("a.example")).unwrap();
        load.may_wait(name("b.example")).unwrap();
    }

    #[test]
    fn those_that_wait_to_be_proved_leave_half_to_those_that_are() {
        let mut load = Load::new(LIMITS);
        let mut waits = |number| {
            let liar = format!("s{number}.example");
            let sender = Sender::Claimed(name(&liar).to_owned());
            load.admit(RequestId(number), sender, 0).unwrap();
            let may_wait = load.may_wait(name(&liar)).is_ok();
            if !may_wait {
                load.answered(RequestId(number));
            }
            may_wait
        };
        assert_eq!((0..100).filter(|number| waits(*number)).count(), 50);
        assert_eq!(served(&mut load, 1000, "a.example", 0).0, 10);
    }
}
