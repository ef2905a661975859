//! Who connects to us, as far as an address tells.

use core::net::{IpAddr, Ipv6Addr};

/// How many bits of an IPv6 address tell one customer of a network from another: whoever has one
/// address has mostly all that differ in the rest.
const NETWORK_BITS: u32 = 64;

/// One who connects: an IPv4 address, or an IPv6 network of 64 bits. An IPv6 address that stands for
/// an IPv4 address, as on a socket for both, is that.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RemoteHost(IpAddr);

impl RemoteHost {
    /// Who has this address.
    #[must_use]
    pub fn of(address: IpAddr) -> Self {
        Self(match address.to_canonical() {
            IpAddr::V6(address) if !address.is_loopback() => {
                let network = u128::MAX << (u128::BITS - NETWORK_BITS);
                Ipv6Addr::from_bits(address.to_bits() & network).into()
            }
            address => address,
        })
    }

    /// Whether it is this machine, perhaps a proxy on it that speaks for many.
    #[must_use]
    pub fn is_this_machine(self) -> bool {
        self.0.is_loopback()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(address: &str) -> RemoteHost {
        RemoteHost::of(address.parse().unwrap())
    }

    #[test]
    fn an_ipv4_address_and_an_ipv6_network_is_one_host() {
        for (one, other, is_same) in [
            ("192.0.2.1", "192.0.2.1", true),
            ("192.0.2.1", "192.0.2.2", false),
            ("192.0.2.1", "::ffff:192.0.2.1", true),
            ("2001:db8:0:1::1", "2001:db8:0:1:ffff::2", true),
            ("2001:db8:0:1::1", "2001:db8:0:2::1", false),
        ] {
            assert_eq!(host(one) == host(other), is_same, "{one} and {other}");
        }
    }

    #[test]
    fn a_loopback_address_is_this_machine() {
        for address in ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"] {
            assert!(host(address).is_this_machine(), "{address}");
        }
        for address in ["192.0.2.1", "::2", "10.0.0.1", "::"] {
            assert!(!host(address).is_this_machine(), "{address}");
        }
    }
}
