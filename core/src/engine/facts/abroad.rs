//! What a decision may ask of other servers, and what it may know of them.

use core::net::IpAddr;
use std::{sync::Arc, time::Duration};

use ruma_common::{OwnedServerName, ServerName};

use super::{Blocked, Facts};
use crate::{
    engine::{
        need::{Met, Need},
        registry::Identity,
    },
    input::CallError,
    keys::published::PublishedKeys,
    pdu::{
        Pdu,
        signing::{self, KnownKeys, VerifyKey},
    },
    time::{Now, WallTime},
    transport::{
        discovery::{Directory, well_known::Page},
        matrix_error::MatrixError,
        names::{Found, Lookup, LookupError},
        remote_request::{Endpoint, RemoteRequest},
        remote_response::RemoteResponse,
        server_address::ServerAddress,
    },
};

/// How long before its keys run out a server is asked for newer ones.
const REFRESHED_BEFORE: Duration = Duration::from_secs(60 * 60);

impl<'a> Facts<'a> {
    /// The answer of another server.
    pub fn call(
        &self,
        destination: &ServerName,
        endpoint: Endpoint,
    ) -> Result<&'a RemoteResponse, Blocked> {
        let request = RemoteRequest {
            destination: destination.to_owned(),
            endpoint,
        };
        let need = Need::Call(Box::new(request));
        match self.met.get(&need) {
            Some(Met::Response(response)) => Ok(response),
            _ => self.lacks(need),
        }
    }

    /// What is known of a name. That it could not be looked up is a value too.
    pub fn look_up(&self, lookup: Lookup) -> Result<&'a Result<Found, LookupError>, Blocked> {
        let need = Need::Lookup(lookup);
        match self.met.get(&need) {
            Some(Met::Found(found)) => Ok(found),
            _ => self.lacks(need),
        }
    }

    /// A page on the web, by its path and query.
    pub fn page(
        &self,
        address: ServerAddress,
        target: String,
    ) -> Result<&'a Result<Page, CallError>, Blocked> {
        let need = Need::Page(Box::new((address, target)));
        match self.met.get(&need) {
            Some(Met::Page(page)) => Ok(page),
            _ => self.lacks(need),
        }
    }

    /// Where other servers are, as far as it is known.
    pub fn directory(&self) -> &'a Directory {
        &self.world.directory
    }

    /// Whether a server that has just proved who it is may have its request served, or how it is
    /// refused.
    pub fn may_serve(&self, server: &ServerName) -> Result<(), MatrixError> {
        self.load.may_serve(server)
    }

    /// Whether a request that says to be of this server may wait until that is proved, or how it is
    /// refused.
    pub fn may_wait(&self, server: &ServerName) -> Result<(), MatrixError> {
        self.load.may_wait(server)
    }

    /// Waits until few enough requests of the server that sent this one are at work.
    pub fn may_begin(&self) -> Result<(), Blocked> {
        match self.load.is_in_line(self.job) {
            false => Ok(()),
            true => self.lacks(Need::Service(self.job)),
        }
    }

    /// Whether we connect to this address at all.
    pub fn may_connect_to(&self, address: IpAddr) -> bool {
        let choice = self.settings().private_addresses;
        choice.allow(self.our_name().as_str(), address)
    }

    /// The keys that are needed to check the signatures of `events`, as far as they can be had.
    pub fn keys_for<'i>(
        &self,
        events: impl IntoIterator<Item = &'i Arc<Pdu>>,
    ) -> Result<KnownKeys, Blocked> {
        let mut keys = KnownKeys::new();
        let mut blocked = false;
        for event in events {
            let valid_at = signing::key_valid_at(event);
            for (server, key_id) in crate::keys::needed_for(event) {
                blocked |= self.key(server, key_id, valid_at).is_err();
                if !keys.contains_key(server) {
                    keys.insert(server.to_owned(), self.keys_of(server));
                }
            }
        }
        if blocked { Err(Blocked) } else { Ok(keys) }
    }

    /// Makes sure that a key is known if it can be had; the keys are then in [`Facts::keys_of`].
    pub fn key(
        &self,
        server: &ServerName,
        key_id: &str,
        valid_at: WallTime,
    ) -> Result<(), Blocked> {
        if server == self.our_name() {
            return Ok(());
        }
        if self.world.keys.is_known(server, key_id, valid_at) {
            let used = (server.to_owned(), key_id.to_owned());
            self.used_keys.borrow_mut().push(used);
            return Ok(());
        }
        let need = Need::Key {
            server: server.to_owned(),
            key_id: key_id.to_owned(),
            valid_at,
        };
        if self.met.contains_key(&need) {
            Ok(())
        } else {
            self.lacks(need)
        }
    }

    /// All keys in memory of a server.
    pub fn keys_of(&self, server: &ServerName) -> Arc<[VerifyKey]> {
        if server == self.our_name() {
            return self.own().verify_keys();
        }
        self.world.keys.of(server)
    }

    /// Whether keys of this server were asked for so recently that asking again would be rude.
    pub fn key_asked_recently(&self, server: &ServerName) -> bool {
        self.world.keys.asked_recently(server, self.now.monotonic)
    }

    /// Whether the keys with which this server signs requests run out soon, and nobody is asking
    /// for newer ones.
    pub fn keys_need_refreshing(&self, server: &ServerName) -> bool {
        let soon = self.now.wall.plus(REFRESHED_BEFORE);
        let is_under_way = || self.is_elsewhere(&Identity::Keys(server.to_owned()));
        let keys = &self.world.keys;
        keys.runs_out(server, soon) && !self.key_asked_recently(server) && !is_under_way()
    }

    /// The object in which a server published its keys last, as far as it is in memory.
    pub fn published_keys_of(&self, server: &ServerName) -> Option<&'a PublishedKeys> {
        self.world.keys.published_by(server)
    }

    /// Whom to ask for the keys of servers that do not answer.
    pub fn notaries(&self) -> &'a [OwnedServerName] {
        self.world.keys.notaries()
    }

    /// Whether this server has told its keys since a time. A key that is not among what it told
    /// before may be newer than that, and if it told nothing any key may well exist.
    pub fn told_keys_since(&self, server: &ServerName, since: Now) -> bool {
        self.world.keys.told_since(server, since.monotonic)
    }
}
