//! Expensive arithmetic as data: the core says what to compute, a runtime chooses the thread.

use std::sync::Arc;

use crate::{
    keys::frequent,
    pdu::{
        Pdu,
        signing::{self, KnownKeys, SignatureError},
    },
};

/// Work that needs no more than what it holds. Running it twice gives the same result.
#[derive(Clone, Debug)]
pub struct Computation {
    /// Events whose signatures are to be checked.
    pub events: Vec<Arc<Pdu>>,
    /// The keys to check them with.
    pub keys: Arc<KnownKeys>,
}

/// For each event of the computation, in order, whether its signatures hold.
#[derive(Clone, Debug, PartialEq)]
pub struct ComputationResult(pub Vec<Result<(), SignatureError>>);

impl Computation {
    /// Does the work. Takes some 20 to 40 µs a signature.
    #[must_use]
    pub fn run(&self) -> ComputationResult {
        let mut keys = KnownKeys::clone(&self.keys);
        frequent::prepare_for(&self.events, &mut keys);
        let verify = |event: &Arc<Pdu>| signing::verify_event(event, &keys);
        ComputationResult(self.events.iter().map(verify).collect())
    }
}
