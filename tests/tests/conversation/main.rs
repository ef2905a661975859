//! Servers hold conversations: what users do on one shows on the others, whatever fails between,
//! and whoever lies.

mod forks;
mod memberships;
mod outages;
mod stage;
mod talking;
