//! Questions to the domain name system, and their answers, as data.

use core::net::IpAddr;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// What is asked about a name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Lookup {
    /// Its addresses (`AAAA` and `A`), behind `CNAME`s too. A runtime may ask the operating system,
    /// which also knows names that are in no zone.
    Addresses(String),
    /// Who offers a service (`SRV`), such as `_matrix-fed._tcp.example.org`.
    Services(String),
}

/// What there is. That there is nothing of the kind is an answer too.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Found {
    /// The records.
    pub records: Records,
    /// For how long they may be believed.
    pub good_for: Duration,
}

/// What was asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Records {
    /// To [`Lookup::Addresses`].
    Addresses(Vec<IpAddr>),
    /// To [`Lookup::Services`].
    Services(Vec<Service>),
}

/// Who offers a service (RFC 2782).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Service {
    /// Those with the lowest are tried first.
    pub priority: u16,
    /// Among equals, how often it is to be chosen.
    pub weight: u16,
    /// The port.
    pub port: u16,
    /// A name that has addresses, without the final dot; empty if the service is not offered.
    pub target: String,
}

/// No answer came, or none that says whether there is something: another time there may be one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[error("{0}")]
pub struct LookupError(pub String);
