//! The servers of the generated rooms, their keys, and what they sign.

use comity_core::pdu::signing::SigningKey;

/// The servers that have users in the rooms.
pub const SERVERS: [&str; 4] = ["a.example", "b.example", "c.example", "d.example"];

/// The key that every server signs with, valid for ever.
pub const PRESENT_KEY: &str = "ed25519:present";

/// A key that every server had before.
pub const FORMER_KEY: &str = "ed25519:former";

/// Until when the former keys were valid, in the middle of the rooms' lives.
pub const FORMER_KEY_VALID_UNTIL: i64 = 1_020;

/// A key that nobody knows.
pub const UNKNOWN_KEY: &str = "ed25519:unknown";

/// The public half of a server's key.
#[derive(Clone, Debug)]
pub struct PublicKey {
    /// The server.
    pub server: &'static str,
    /// The key's id.
    pub key_id: &'static str,
    /// Its bytes.
    pub bytes: [u8; 32],
    /// The last moment at which a signature with it counts.
    pub valid_until: i64,
}

/// The keys that everybody knows.
pub fn public_keys() -> Vec<PublicKey> {
    let of_server = |server: &&'static str| {
        [
            (PRESENT_KEY, i64::MAX),
            (FORMER_KEY, FORMER_KEY_VALID_UNTIL),
        ]
        .map(|(key_id, valid_until)| PublicKey {
            server,
            key_id,
            bytes: key(server, key_id).public_key(),
            valid_until,
        })
    };
    SERVERS.iter().flat_map(of_server).collect()
}

/// The key of this name. Servers outside of [`SERVERS`] have keys too, which nobody knows.
pub fn key(server: &str, key_id: &str) -> SigningKey {
    let mut seed = [0; 32];
    for (index, byte) in server.bytes().chain(key_id.bytes()).enumerate() {
        seed[index % 32] ^= byte.rotate_left(index as u32 % 8);
    }
    SigningKey::from_seed(key_id, &seed).expect("the key ids above are right")
}
