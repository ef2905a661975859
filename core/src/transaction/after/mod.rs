//! "Everything after X": what a server has missed, page by page, from a server that has it.
//!
//! Every server has a stream: the events of its rooms in the order in which it came to accept
//! them. A peer that offers its stream answers with what followed a position in it, as far as the
//! asker may see it. Whoever was away asks for that, instead of finding each gap by the event
//! after it. `docs/everything-after.md` specifies the endpoint.
//!
//! **Contract.** A server that does not offer this sees standard Matrix only, and at most one
//! ordinary request for its version a month. What is pulled is judged as what is pushed is: the
//! way an event came is no reason to believe it.
//!
//! **Invariants.** One pull is under way per server, and few at once. The place where we stand in
//! a stream is on disk and moves on after what it passes is on disk, judged or staged. A page costs us
//! about the same however much of the stream its reader may not see. Whatever a peer's stream
//! says, it moves on, pauses ever longer, or ends.
//!
//! | file | answers |
//! |---|---|
//! | [`position`] | what do we call a place in our stream? |
//! | [`serve`] | what came after it? |
//! | [`discovery`] | who offers a stream? |
//! | [`page`] | what does a page of it say? |
//! | [`pull`] | what have we missed? |
//! | [`schedule`] | when do we ask whom? |

pub mod discovery;
pub mod page;
pub mod position;
pub mod pull;
pub mod schedule;
pub mod serve;

/// How many events a page holds at most, whatever is asked for.
pub const PAGE_EVENTS_MAX: u32 = 100;
