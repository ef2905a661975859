//! Signatures on which implementations of ed25519 are known to differ, made from the published
//! descriptions of them: points of small order, points with a part of small order, encodings that
//! are not canonical, and scalars that are not reduced.

use curve25519_dalek::{
    constants::EIGHT_TORSION,
    edwards::{CompressedEdwardsY, EdwardsPoint},
    scalar::Scalar,
    traits::{Identity, IsIdentity},
};
use sha2::{Digest, Sha512};

/// A signature, its key and its message.
pub struct EdgeCase {
    /// Which kind of edge it is about.
    pub kind: &'static str,
    pub key: [u8; 32],
    pub signature: [u8; 64],
    pub message: Vec<u8>,
}

type Encoding = [u8; 32];

/// The secret scalar of honest keys, and the one that honest signatures hide it with.
const SECRET: u64 = 0x5eed_5eed_5eed_5eed;
const NONCE: u64 = 0x0ddc_0ffe_e0dd_f00d;

pub fn all() -> Vec<EdgeCase> {
    [
        honest(),
        small_order_key_and_point(),
        parts_of_small_order(),
        small_order_keys(),
        small_order_points(),
        unreduced_scalars(),
        other_encodings(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn honest() -> Vec<EdgeCase> {
    let (key, secret) = honest_key();
    let lengths = [0, 1, 55, 111, 112, 127, 128, 1000];
    let sign = |length| {
        let message = vec![b'm'; length];
        signed("honest", key, honest_point(), secret, message)
    };
    lengths.into_iter().map(sign).collect()
}

/// All pairs of encodings of points of small order, with zero for a scalar: the vectors of ZIP 215.
fn small_order_key_and_point() -> Vec<EdgeCase> {
    let encodings = small_order_encodings();
    let pair = |key: &Encoding, point: &Encoding| EdgeCase {
        kind: "small order, both",
        key: *key,
        signature: joined(point, &Scalar::ZERO),
        message: b"Zcash".to_vec(),
    };
    let with_key = |key| encodings.iter().map(move |point| pair(key, point));
    encodings.iter().flat_map(with_key).collect()
}

/// Keys and points of mixed order: once where the parts of small order cancel each other out, once
/// where they do not, as far as there are such.
fn parts_of_small_order() -> Vec<EdgeCase> {
    let (key, secret) = honest_key();
    let [key, point] = [key, honest_point()].map(|it| EIGHT_TORSION.map(|torsion| it + torsion));
    pairs(
        "mixed order, both",
        &encoded(&key),
        &encoded(&point),
        secret,
        NONCE.into(),
    )
}

fn small_order_keys() -> Vec<EdgeCase> {
    let points = EIGHT_TORSION.map(|torsion| honest_point() + torsion);
    let keys = small_order_encodings();
    pairs(
        "small order, key",
        &keys,
        &encoded(&points),
        Scalar::ZERO,
        NONCE.into(),
    )
}

fn small_order_points() -> Vec<EdgeCase> {
    let (key, secret) = honest_key();
    let keys = EIGHT_TORSION.map(|torsion| key + torsion);
    let points = small_order_encodings();
    pairs(
        "small order, point",
        &encoded(&keys),
        &points,
        secret,
        Scalar::ZERO,
    )
}

/// An honest signature with each larger number that is the same scalar.
fn unreduced_scalars() -> Vec<EdgeCase> {
    let (key, secret) = honest_key();
    let honest = signed(
        "unreduced scalar",
        key,
        honest_point(),
        secret,
        b"message".to_vec(),
    );
    let larger = |signature: &[u8; 64]| {
        let mut signature = *signature;
        add_order(&mut signature).then_some(signature)
    };
    std::iter::successors(larger(&honest.signature), larger)
        .map(|signature| EdgeCase {
            kind: honest.kind,
            key: honest.key,
            signature,
            message: honest.message.clone(),
        })
        .collect()
}

/// Encodings of coordinates that are too large, and of such that belong to no point.
fn other_encodings() -> Vec<EdgeCase> {
    let (key, secret) = honest_key();
    let (key, point) = (
        key.compress().to_bytes(),
        honest_point().compress().to_bytes(),
    );
    let of_order = (0..=18).map(field_order_plus);
    let small = (2..=20).map(|low| {
        let mut bytes = [0; 32];
        bytes[0] = low;
        bytes
    });
    let encodings: Vec<Encoding> = of_order
        .chain(small)
        .flat_map(|bytes| [bytes, with_sign(bytes)])
        .collect();
    let scalar = Scalar::from(NONCE) + secret;
    let case = |key, point: Encoding| EdgeCase {
        kind: "other encoding",
        key,
        signature: joined(&point, &scalar),
        message: b"message".to_vec(),
    };
    let keys = encodings.iter().map(|encoding| case(*encoding, point));
    let points = encodings.iter().map(|encoding| case(key, *encoding));
    keys.chain(points).collect()
}

fn pairs(
    kind: &'static str,
    keys: &[Encoding],
    points: &[Encoding],
    secret: Scalar,
    nonce: Scalar,
) -> Vec<EdgeCase> {
    let mut cases = Vec::new();
    for (key, point) in keys
        .iter()
        .flat_map(|key| points.iter().map(move |point| (key, point)))
    {
        let of_message = |number: u32| {
            let message = number.to_string().into_bytes();
            let signature = joined(point, &(nonce + challenge(point, key, &message) * secret));
            EdgeCase {
                kind,
                key: *key,
                signature,
                message,
            }
        };
        let cancel = |case: &EdgeCase| is_exact(case).is_identity();
        cases.extend((0..64).map(of_message).find(cancel));
        cases.extend((0..64).map(of_message).find(|case| !cancel(case)));
    }
    cases
}

/// What is left over of S·B − k·A − R.
fn is_exact(case: &EdgeCase) -> EdwardsPoint {
    let [point, scalar] = [0, 32].map(|from| case.signature[from..from + 32].try_into().unwrap());
    let decoded = |bytes: Encoding| CompressedEdwardsY(bytes).decompress().unwrap();
    let k = challenge(&point, &case.key, &case.message);
    let s = Scalar::from_canonical_bytes(scalar).unwrap();
    EdwardsPoint::mul_base(&s) - decoded(case.key) * k - decoded(point)
}

fn signed(
    kind: &'static str,
    key: EdwardsPoint,
    point: EdwardsPoint,
    secret: Scalar,
    message: Vec<u8>,
) -> EdgeCase {
    let [key, point] = [key, point].map(|it| it.compress().to_bytes());
    let scalar = Scalar::from(NONCE) + challenge(&point, &key, &message) * secret;
    let signature = joined(&point, &scalar);
    EdgeCase {
        kind,
        key,
        signature,
        message,
    }
}

fn honest_key() -> (EdwardsPoint, Scalar) {
    let secret = Scalar::from(SECRET);
    (EdwardsPoint::mul_base(&secret), secret)
}

fn honest_point() -> EdwardsPoint {
    EdwardsPoint::mul_base(&NONCE.into())
}

fn challenge(point: &Encoding, key: &Encoding, message: &[u8]) -> Scalar {
    let hash = Sha512::new()
        .chain_update(point)
        .chain_update(key)
        .chain_update(message);
    Scalar::from_bytes_mod_order_wide(&hash.finalize().into())
}

fn joined(point: &Encoding, scalar: &Scalar) -> [u8; 64] {
    let mut signature = [0; 64];
    signature[..32].copy_from_slice(point);
    signature[32..].copy_from_slice(scalar.as_bytes());
    signature
}

fn encoded(points: &[EdwardsPoint]) -> Vec<Encoding> {
    points
        .iter()
        .map(|point| point.compress().to_bytes())
        .collect()
}

/// The eight points of small order in all fourteen encodings that are decoded.
fn small_order_encodings() -> Vec<Encoding> {
    let [one, minus_one] =
        [EdwardsPoint::identity(), EIGHT_TORSION[4]].map(|point| point.compress().to_bytes());
    let zero = field_order_plus(0);
    let large_one = field_order_plus(1);
    let others = [
        with_sign(one),
        with_sign(minus_one),
        zero,
        with_sign(zero),
        large_one,
        with_sign(large_one),
    ];
    [encoded(&EIGHT_TORSION), others.to_vec()].concat()
}

/// 2^255 − 19 and this, which is at most 18.
fn field_order_plus(low: u8) -> Encoding {
    let mut bytes = [0xff; 32];
    bytes[0] = 0xed + low;
    bytes[31] = 0x7f;
    bytes
}

fn with_sign(mut bytes: Encoding) -> Encoding {
    bytes[31] |= 0x80;
    bytes
}

/// Adds the order of the base point to the scalar of a signature; says whether there was room.
fn add_order(signature: &mut [u8; 64]) -> bool {
    let less_one = (-Scalar::ONE).to_bytes();
    let mut carry = 1;
    for (byte, more) in signature[32..].iter_mut().zip(less_one) {
        carry += u16::from(*byte) + u16::from(more);
        *byte = carry as u8;
        carry >>= 8;
    }
    carry == 0
}
