//! Places in our stream, as other servers get to see them.
//!
//! A position counts every event that this server ever accepted, which is nobody's business. So a
//! peer gets it sealed: a tag that only we can make, and the position hidden by that tag. A sealed
//! position is the same each time, serves the one peer that it was made for, and stays good for as
//! long as our signing key does.

use ruma_common::ServerName;
use sha2::{Digest, Sha256};

use crate::{keys::OwnKeys, persistence::tables::Position};

/// What our signing key signs for the sake of a secret. It is no JSON, so we sign it for nobody
/// else.
const SECRET_OF: &[u8] = b"org.comity.after: positions";

/// How many letters stand for a number.
const HALF: usize = 16;

/// Seals a position for a peer.
#[must_use]
pub fn seal(position: Position, peer: &ServerName, own: &OwnKeys) -> String {
    let seal = Seal::new(peer, own);
    let tag = seal.tag(position);
    let hidden = seal.mask(tag) ^ position.0.cast_unsigned();
    format!("{tag:016x}{hidden:016x}")
}

/// Opens a position that we sealed for this peer; `None` if we did not.
#[must_use]
pub fn open(sealed: &str, peer: &ServerName, own: &OwnKeys) -> Option<Position> {
    let (tag, hidden) = sealed.split_at_checked(HALF)?;
    let (tag, hidden) = (number(tag)?, number(hidden)?);
    let seal = Seal::new(peer, own);
    let position = Position((seal.mask(tag) ^ hidden).cast_signed());
    (seal.tag(position) == tag).then_some(position)
}

fn number(text: &str) -> Option<u64> {
    let is_ours = text.len() == HALF && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_ours.then(|| u64::from_str_radix(text, 16).ok())?
}

/// What only we can compute for one peer.
struct Seal(Sha256);

impl Seal {
    fn new(peer: &ServerName, own: &OwnKeys) -> Self {
        let secret = own.signing_key().sign(SECRET_OF);
        Self(
            Sha256::new()
                .chain_update(secret)
                .chain_update(peer.as_str()),
        )
    }

    fn tag(&self, position: Position) -> u64 {
        self.number("tag", position.0.to_be_bytes())
    }

    fn mask(&self, tag: u64) -> u64 {
        self.number("mask", tag.to_be_bytes())
    }

    fn number(&self, purpose: &str, bytes: [u8; 8]) -> u64 {
        let digest = self.0.clone().chain_update([0]).chain_update(purpose);
        let digest = digest.chain_update(bytes).finalize();
        let first = digest.iter().take(8);
        first.fold(0, |number, byte| number << 8 | u64::from(*byte))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::pdu::signing::SigningKey;

    fn own(seed: u8) -> OwnKeys {
        let key = SigningKey::from_seed("ed25519:1", &[seed; 32]).unwrap();
        OwnKeys::new("one".try_into().unwrap(), Arc::new(key))
    }

    fn peer(name: &str) -> &ServerName {
        name.try_into().unwrap()
    }

    #[test]
    fn a_sealed_position_opens_to_what_it_was_and_is_the_same_each_time() {
        for position in [0, 1, 2, 1_000_000, i64::MAX].map(Position) {
            let sealed = seal(position, peer("two"), &own(1));
            assert_eq!(open(&sealed, peer("two"), &own(1)), Some(position));
            assert_eq!(sealed, seal(position, peer("two"), &own(1)));
        }
    }

    #[test]
    fn a_sealed_position_does_not_tell_how_many_events_there_are() {
        let hidden = |position| {
            let sealed = seal(Position(position), peer("two"), &own(1));
            u64::from_str_radix(&sealed[HALF..], 16).unwrap()
        };
        let distances = (0..100).map(|position| hidden(position).abs_diff(hidden(position + 1)));
        assert!(distances.min() > Some(1_000_000));
    }

    #[test]
    fn only_the_peer_that_it_was_made_for_can_use_it_and_only_with_us() {
        let sealed = seal(Position(7), peer("two"), &own(1));
        assert_eq!(open(&sealed, peer("three"), &own(1)), None);
        assert_eq!(open(&sealed, peer("two"), &own(2)), None);
    }

    #[test]
    fn nobody_else_can_make_one() {
        let sealed = seal(Position(7), peer("two"), &own(1));
        for (index, _) in sealed.char_indices() {
            let mut changed = sealed.clone();
            let other = if sealed.as_bytes()[index] == b'0' {
                "1"
            } else {
                "0"
            };
            changed.replace_range(index..=index, other);
            assert_eq!(open(&changed, peer("two"), &own(1)), None, "{changed}");
        }
        for text in [
            "",
            "7",
            "now",
            "ééééééééééééééééé",
            &sealed[1..],
            &format!("+{}", &sealed[1..]),
        ] {
            assert_eq!(open(text, peer("two"), &own(1)), None, "{text}");
        }
    }
}
