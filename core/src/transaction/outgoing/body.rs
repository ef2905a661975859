//! The body of a transaction.

use std::{fmt::Write, sync::Arc};

use bytes::Bytes;
use ruma_common::{OwnedServerName, ServerName};

use crate::time::WallTime;

/// What a transaction holds, as canonical JSON.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Contents {
    pub(super) begun_at: WallTime,
    pub(super) pdus: Vec<Arc<str>>,
    pub(super) edus: Vec<Arc<str>>,
}

/// Makes bodies. Nothing is serialised here, since the parts are JSON already; and what goes to
/// many servers at once is put together once.
#[derive(Debug)]
pub(super) struct Bodies {
    origin: OwnedServerName,
    last: Option<(Contents, Bytes)>,
}

impl Bodies {
    pub(super) fn new(origin: OwnedServerName) -> Self {
        Self { origin, last: None }
    }

    /// The name of the server that sends these bodies.
    pub(super) fn origin(&self) -> &ServerName {
        &self.origin
    }

    /// The body with these contents, which is canonical JSON.
    pub(super) fn of(&mut self, contents: Contents) -> Bytes {
        if let Some((last, body)) = &self.last
            && *last == contents
        {
            return body.clone();
        }
        let body = self.compose(&contents);
        self.last = Some((contents, body.clone()));
        body
    }

    /// Frees the last body.
    pub(super) fn forget(&mut self) {
        self.last = None;
    }

    fn compose(&self, contents: &Contents) -> Bytes {
        let parts = contents.pdus.iter().chain(&contents.edus);
        let length: usize = parts.map(|part| part.len() + 1).sum();
        let mut body = String::with_capacity(length + 128 + self.origin.as_str().len());
        body.push_str(r#"{"edus":["#);
        list(&mut body, &contents.edus);
        let (origin, at) = (&self.origin, contents.begun_at);
        let _ = write!(
            body,
            r#"],"origin":"{origin}","origin_server_ts":{at},"pdus":["#
        );
        list(&mut body, &contents.pdus);
        body.push_str("]}");
        body.into()
    }
}

fn list(body: &mut String, parts: &[Arc<str>]) {
    for (index, part) in parts.iter().enumerate() {
        if index > 0 {
            body.push(',');
        }
        body.push_str(part);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pdu::canonical_json::{parse, to_canonical_string};

    #[test]
    fn a_body_is_canonical_and_shared_by_all_that_get_the_same() {
        let mut bodies = Bodies::new("one".try_into().unwrap());
        let contents = Contents {
            begun_at: WallTime(7),
            pdus: vec![r#"{"a":1}"#.into(), r#"{"b":2}"#.into()],
            edus: vec![r#"{"c":3}"#.into()],
        };
        let body = bodies.of(contents.clone());
        assert_eq!(
            body,
            r#"{"edus":[{"c":3}],"origin":"one","origin_server_ts":7,"pdus":[{"a":1},{"b":2}]}"#
        );
        assert_eq!(to_canonical_string(&parse(&body).unwrap()), body);
        assert_eq!(bodies.of(contents.clone()).as_ptr(), body.as_ptr());
        let other = Contents {
            pdus: Vec::new(),
            ..contents
        };
        assert_ne!(bodies.of(other), body);
    }
}
