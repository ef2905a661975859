//! Verifying one ed25519 signature, of a message as long as what a server signs to send a message
//! event of 769 bytes, beside the strict verification of ed25519-dalek. Run with
//! `cargo bench -p comity-core --bench signatures`.

#![allow(clippy::unwrap_used)]

use comity_core::pdu::signing::{BasePoint, PublicKey};
use divan::{Bencher, black_box};
use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};

const SIGNED_TEXT: [u8; 560] = [b'x'; 560];

fn main() {
    divan::main();
}

fn secret() -> SigningKey {
    SigningKey::from_bytes(&[7; 32])
}

fn public() -> [u8; 32] {
    secret().verifying_key().to_bytes()
}

fn signature() -> [u8; 64] {
    secret().sign(&SIGNED_TEXT).to_bytes()
}

fn ours(key: &PublicKey, signature: &[u8; 64]) {
    assert!(key.verifies(black_box(&SIGNED_TEXT), black_box(signature)));
}

fn dalek(key: &VerifyingKey, signature: &[u8; 64]) {
    let signature = Signature::from_bytes(black_box(signature));
    key.verify_strict(black_box(&SIGNED_TEXT), &signature)
        .unwrap();
}

#[divan::bench]
fn ours_with_a_key_used_often(bencher: Bencher<'_, '_>) {
    let key = PublicKey::new(public()).with_multiples(&BasePoint::default());
    let signature = signature();
    bencher.bench_local(|| ours(&key, &signature));
}

#[divan::bench]
fn ours_with_a_key_kept(bencher: Bencher<'_, '_>) {
    let (key, signature) = (PublicKey::new(public()), signature());
    bencher.bench_local(|| ours(&key, &signature));
}

#[divan::bench]
fn ours_with_a_new_key(bencher: Bencher<'_, '_>) {
    let (public, signature) = (public(), signature());
    bencher.bench_local(|| ours(&PublicKey::new(black_box(public)), &signature));
}

#[divan::bench]
fn dalek_with_a_key_kept(bencher: Bencher<'_, '_>) {
    let (key, signature) = (secret().verifying_key(), signature());
    bencher.bench_local(|| dalek(&key, &signature));
}

#[divan::bench]
fn dalek_with_a_new_key(bencher: Bencher<'_, '_>) {
    let (public, signature) = (public(), signature());
    bencher.bench_local(|| {
        dalek(
            &VerifyingKey::from_bytes(black_box(&public)).unwrap(),
            &signature,
        )
    });
}

#[divan::bench]
fn preparing_a_key_for_use_often(bencher: Bencher<'_, '_>) {
    let (key, base) = (PublicKey::new(public()), BasePoint::default());
    bencher.bench_local(|| key.with_multiples(black_box(&base)));
}
