//! The public half of an ed25519 key, made ready to verify many signatures, one at a time.
//!
//! Verification is the strict one: the key and the signature's point R are encoded in the only
//! canonical way and are not of small order, the signature's scalar S is reduced, and R is exactly
//! S·B − k·A, cofactors and all. libsodium accepts the same signatures, and what it accepts every
//! peer accepts. Verifying several signatures at once accepts others, so nothing here does.

use std::{fmt, sync::Arc};

use curve25519_dalek::{
    constants::ED25519_BASEPOINT_POINT,
    edwards::{CompressedEdwardsY, EdwardsPoint},
    scalar::Scalar,
};
use sha2::{Digest, Sha512};

use super::{multiples::Multiples, unpadded_base64};

/// The public half of a key. What can be computed once per key is kept, and shared by its clones.
#[derive(Clone)]
pub struct PublicKey(Arc<Prepared>);

struct Prepared {
    bytes: [u8; 32],
    /// The point, negated; `None` if with this key nothing can be signed.
    negated: Option<EdwardsPoint>,
    multiples: Option<KeptMultiples>,
}

/// Of the negated key, and of the base point.
struct KeptMultiples(Multiples<6, 2>, BasePoint);

/// Multiples of the base point, for [`PublicKey::with_multiples`]: 640 KiB for all keys.
#[derive(Clone)]
pub struct BasePoint(Arc<Multiples<8, 1>>);

impl Default for BasePoint {
    fn default() -> Self {
        Self(Arc::new(Multiples::of(&ED25519_BASEPOINT_POINT)))
    }
}

impl PublicKey {
    /// The key with this encoding. One that encodes no point, encodes it in a way that is not
    /// canonical, or encodes one of small order verifies nothing.
    #[must_use]
    pub fn new(bytes: [u8; 32]) -> Self {
        let point = CompressedEdwardsY(bytes).decompress();
        let negated = point
            .filter(|point| !point.is_small_order() && point.compress().to_bytes() == bytes)
            .map(|point| -point);
        Self(Arc::new(Prepared {
            bytes,
            negated,
            multiples: None,
        }))
    }

    /// The same key with 110 KiB of multiples of it, which spare a good
    /// third of the time of each verification and cost that of about five to make.
    #[must_use]
    pub fn with_multiples(&self, base: &BasePoint) -> Self {
        if self.0.multiples.is_some() {
            return self.clone();
        }
        let of_key = |point| KeptMultiples(Multiples::of(&point), base.clone());
        Self(Arc::new(Prepared {
            bytes: self.0.bytes,
            negated: self.0.negated,
            multiples: self.0.negated.map(of_key),
        }))
    }

    #[cfg(test)]
    pub(crate) fn has_multiples(&self) -> bool {
        self.0.multiples.is_some()
    }

    /// The key's encoding.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0.bytes
    }

    /// As [`PublicKey::verifies`], of a signature in unpadded base64.
    #[must_use]
    pub fn verifies_base64(&self, message: &[u8], signature: &str) -> bool {
        self.verifies_hashed(|hasher| hasher.update(message), signature)
    }

    /// As [`PublicKey::verifies_base64`], of a message that need not be in one piece: `message`
    /// puts it into the hash.
    pub(super) fn verifies_hashed(
        &self,
        message: impl FnOnce(&mut Sha512),
        signature: &str,
    ) -> bool {
        unpadded_base64::decode_exact(signature)
            .is_some_and(|signature| self.is_signed(message, &signature))
    }

    /// Whether `signature` is the signature of this message by this key.
    #[must_use]
    pub fn verifies(&self, message: &[u8], signature: &[u8; 64]) -> bool {
        self.is_signed(|hasher| hasher.update(message), signature)
    }

    fn is_signed(&self, message: impl FnOnce(&mut Sha512), signature: &[u8; 64]) -> bool {
        let (Some(negated), Some((r, s))) = (&self.0.negated, signature.split_first_chunk::<32>())
        else {
            return false;
        };
        let s = <[u8; 32]>::try_from(s).map(Scalar::from_canonical_bytes);
        let Some(s) = s.ok().and_then(Option::from) else {
            return false;
        };
        let mut hasher = Sha512::new().chain_update(r).chain_update(self.0.bytes);
        message(&mut hasher);
        let k = Scalar::from_bytes_mod_order_wide(&hasher.finalize().into());
        let expected = match &self.0.multiples {
            Some(KeptMultiples(of_key, of_base)) => of_key.times(&k) + of_base.0.times(&s),
            None => EdwardsPoint::vartime_double_scalar_mul_basepoint(&k, negated, &s),
        };
        expected.compress().as_bytes() == r && !expected.is_small_order()
    }
}

impl PartialEq for PublicKey {
    fn eq(&self, other: &Self) -> bool {
        self.0.bytes == other.0.bytes
    }
}

impl Eq for PublicKey {}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({})", unpadded_base64::encode(&self.0.bytes))
    }
}

impl fmt::Debug for BasePoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BasePoint")
    }
}
