//! Which addresses another server's name may lead us to.
//!
//! Server names are chosen by strangers. Without a guard anybody could make us connect to the
//! networks that only we can see: our own machine, the machines beside it, the metadata service of
//! whoever rents them to us. So every address is looked at after it was resolved, and a runtime
//! connects to no other (DISC-13).

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use serde::{Deserialize, Serialize};

use super::server_address::{Host, parse_server_name};

/// Whether we connect to addresses that are not of the public internet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum PrivateAddresses {
    /// Only if our own name is such an address, or `localhost`: nobody outside knows us then, and
    /// all whom we talk to are on our side.
    #[default]
    IfOursIs,
    /// Never.
    Refused,
    /// Always.
    Allowed,
}

impl PrivateAddresses {
    /// Whether a server of this name connects to this address.
    #[must_use]
    pub fn allow(self, our_name: &str, address: IpAddr) -> bool {
        is_public(address)
            || match self {
                Self::IfOursIs => is_private_name(our_name),
                Self::Refused => false,
                Self::Allowed => true,
            }
    }
}

/// Whether the name itself says that the server is on no public network.
fn is_private_name(server_name: &str) -> bool {
    match parse_server_name(server_name) {
        Ok((Host::Ip(address), _)) => !is_public(address),
        Ok((Host::Name(name), _)) => name == "localhost" || name.ends_with(".localhost"),
        Err(_) => false,
    }
}

/// The networks that are reserved for something else than public hosts (IANA's registry of special
/// purpose addresses): the first address, and how many of its bits count.
const RESERVED_V4: &[([u8; 4], u32)] = &[
    ([0, 0, 0, 0], 8),
    ([10, 0, 0, 0], 8),
    ([100, 64, 0, 0], 10),
    ([127, 0, 0, 0], 8),
    ([169, 254, 0, 0], 16),
    ([172, 16, 0, 0], 12),
    ([192, 0, 0, 0], 24),
    ([192, 0, 2, 0], 24),
    ([192, 88, 99, 0], 24),
    ([192, 168, 0, 0], 16),
    ([198, 18, 0, 0], 15),
    ([198, 51, 100, 0], 24),
    ([203, 0, 113, 0], 24),
    ([224, 0, 0, 0], 3),
];

/// The same within 2000::/3, outside which no public host is.
const RESERVED_V6: &[([u16; 3], u32)] = &[
    ([0x2001, 0, 0], 23),
    ([0x2001, 0xdb8, 0], 32),
    ([0x3fff, 0, 0], 20),
];

/// Whether an address belongs to a host on the public internet, as far as its number tells. One
/// that stands for an IPv4 address is judged by that.
#[must_use]
pub fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => match embedded_v4(address) {
            Some(address) => is_public_v4(address),
            None => is_public_v6(address),
        },
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let is_in = |network: [u8; 4], bits: u32| {
        let different = address.to_bits() ^ u32::from_be_bytes(network);
        different.leading_zeros() >= bits
    };
    !RESERVED_V4
        .iter()
        .any(|(network, bits)| is_in(*network, *bits))
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let is_in = |[a, b, c]: [u16; 3], bits: u32| {
        let network = Ipv6Addr::new(a, b, c, 0, 0, 0, 0, 0);
        (address.to_bits() ^ network.to_bits()).leading_zeros() >= bits
    };
    let is_reserved = RESERVED_V6
        .iter()
        .any(|(network, bits)| is_in(*network, *bits));
    is_in([0x2000, 0, 0], 3) && !is_reserved
}

/// The IPv4 address that packets to this one end up at: IPv4-mapped, NAT64 and 6to4.
fn embedded_v4(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let from = |high: u16, low: u16| {
        let [a, b] = high.to_be_bytes();
        let [c, d] = low.to_be_bytes();
        Some(Ipv4Addr::new(a, b, c, d))
    };
    match address.segments() {
        [0, 0, 0, 0, 0, 0xffff, high, low] | [0x64, 0xff9b, 0, 0, 0, 0, high, low] => {
            from(high, low)
        }
        [0x2002, high, low, ..] => from(high, low),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn public(address: &str) -> bool {
        is_public(address.parse().unwrap())
    }

    #[test]
    fn disc_13_addresses_of_inner_networks_are_not_public() {
        for address in [
            "0.0.0.0",
            "10.255.0.1",
            "100.64.0.1",
            "100.127.255.255",
            "127.0.0.1",
            "127.255.255.254",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.8",
            "192.168.1.1",
            "198.19.0.1",
            "203.0.113.9",
            "224.0.0.1",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::127.0.0.1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "64:ff9b::10.0.0.1",
            "64:ff9b:1::1",
            "2002:7f00:1::",
            "2002:c0a8:101::1",
            "2001::1",
            "2001:db8::1",
            "3fff::1",
            "fc00::1",
            "fd12:3456::1",
            "fe80::1",
            "fec0::1",
            "ff02::1",
        ] {
            assert!(!public(address), "{address}");
        }
    }

    #[test]
    fn disc_13_addresses_of_the_internet_are_public() {
        for address in [
            "1.1.1.1",
            "9.255.255.255",
            "11.0.0.0",
            "100.63.255.255",
            "100.128.0.0",
            "172.15.255.255",
            "172.32.0.0",
            "192.167.255.255",
            "198.17.255.255",
            "198.20.0.0",
            "223.255.255.255",
            "::ffff:8.8.8.8",
            "64:ff9b::8.8.8.8",
            "2002:808:808::",
            "2001:4860:4860::8888",
            "2606:4700::1111",
            "2a01::1",
        ] {
            assert!(public(address), "{address}");
        }
    }

    #[test]
    fn disc_13_only_a_server_that_is_private_itself_talks_to_private_ones() {
        let allowed =
            |choice: PrivateAddresses, ours: &str| choice.allow(ours, IpAddr::from([127, 0, 0, 1]));
        let automatic = PrivateAddresses::default();
        for ours in [
            "127.0.0.1:8448",
            "localhost:1",
            "a.localhost",
            "[::1]",
            "10.0.0.1",
        ] {
            assert!(allowed(automatic, ours), "{ours}");
            assert!(!allowed(PrivateAddresses::Refused, ours), "{ours}");
        }
        for ours in ["a.example", "notlocalhost", "8.8.8.8", "localhost.example"] {
            assert!(!allowed(automatic, ours), "{ours}");
            assert!(allowed(PrivateAddresses::Allowed, ours), "{ours}");
        }
    }
}
