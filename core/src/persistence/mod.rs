//! The persistence layer: what is stored ([`tables`]) and every way to ask for it ([`queries`]).
//!
//! **Contract.** The core describes reads and writes as data; a store executes them one at a
//! time, in the order it was given them, and answers each. A [`Batch`](queries::Batch) is atomic:
//! after a crash either all of its writes are there or none. A read that is submitted after a
//! batch sees that batch. Writes never return values: every number the database would hand out
//! (positions, sequences, snapshot ids) is chosen by the core, which learnt the last ones used
//! from [`Read::Boot`](queries::Read::Boot).
//!
//! **Invariants.** Event rows are append-only: an event is inserted once, may as an outlier be
//! given a place in the timeline, may be promoted once from outlier to part of the graph, and its
//! JSON changes only when a redaction is applied.

mod direction;
pub mod queries;
pub mod tables;
