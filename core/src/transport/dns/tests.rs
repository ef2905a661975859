//! Answers that are believed, and those that are not.

use super::*;

const NAME: &str = "_matrix-fed._tcp.a.example";
const ID: u16 = 0x1234;

/// A message with our question, these flags and these records.
fn message(flags: u16, answers: &[Vec<u8>], authorities: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for field in [
        ID,
        0x8000 | flags,
        1,
        answers.len() as u16,
        authorities.len() as u16,
        0,
    ] {
        bytes.extend(field.to_be_bytes());
    }
    bytes.extend(&question(ID, NAME).unwrap()[12..12 + NAME.len() + 2 + 4]);
    bytes.extend(answers.iter().chain(authorities).flatten());
    bytes
}

/// A record of the name that was asked for, by a pointer to it.
fn record(kind: u16, ttl: u32, data: &[u8]) -> Vec<u8> {
    named(&[0xc0, 12], kind, ttl, data)
}

fn named(name: &[u8], kind: u16, ttl: u32, data: &[u8]) -> Vec<u8> {
    let mut bytes = name.to_vec();
    bytes.extend(kind.to_be_bytes());
    bytes.extend(CLASS_IN.to_be_bytes());
    bytes.extend(ttl.to_be_bytes());
    bytes.extend((data.len() as u16).to_be_bytes());
    bytes.extend(data);
    bytes
}

fn srv(target: &[u8]) -> Vec<u8> {
    let mut data = vec![0, 10, 0, 5, 0x21, 0x00];
    data.extend(target);
    data
}

fn services(bytes: &[u8]) -> (Vec<Service>, u64) {
    let found = answer(ID, NAME, bytes).unwrap();
    let Records::Services(services) = found.records else {
        panic!("no services");
    };
    (services, found.good_for.as_secs())
}

fn service(target: &str) -> Service {
    Service {
        priority: 10,
        weight: 5,
        port: 8448,
        target: target.to_owned(),
    }
}

#[test]
fn disc_8_services_are_read_with_the_shortest_of_their_lives() {
    let answers = [
        record(TYPE_SRV, 300, &srv(b"\x03One\x01b\0")),
        record(TYPE_SRV, 60, &srv(b"\x03two\0")),
    ];
    let (found, life) = services(&message(0, &answers, &[]));
    assert_eq!(found, [service("one.b"), service("two")]);
    assert_eq!(life, 60);
}

#[test]
fn disc_8_a_single_dot_is_a_service_without_a_target() {
    let (found, _) = services(&message(0, &[record(TYPE_SRV, 60, &srv(b"\0"))], &[]));
    assert_eq!(found, [service("")]);
}

#[test]
fn disc_8_an_absence_is_an_answer_and_says_for_how_long() {
    let mut soa = b"\0\0".to_vec();
    soa.extend([0; 16]);
    soa.extend(900u32.to_be_bytes());
    for flags in [0, 3] {
        let found = services(&message(flags, &[], &[record(TYPE_SOA, 1800, &soa)]));
        assert_eq!(found, (Vec::new(), 900));
        let found = services(&message(flags, &[], &[record(TYPE_SOA, 300, &soa)]));
        assert_eq!(found, (Vec::new(), 300));
        assert_eq!(services(&message(flags, &[], &[])), (Vec::new(), 60));
    }
}

#[test]
fn aliases_are_followed_and_other_names_ignored() {
    let answers = [
        record(5, 30, b"\x05alias\0"),
        named(b"\x05other\0", TYPE_SRV, 5, &srv(b"\x04evil\0")),
        named(b"\x05alias\0", TYPE_SRV, 60, &srv(b"\x04good\0")),
    ];
    assert_eq!(
        services(&message(0, &answers, &[])),
        (vec![service("good")], 30)
    );
}

#[test]
fn what_answers_another_question_is_no_answer() {
    let good = message(0, &[record(TYPE_SRV, 60, &srv(b"\x01a\0"))], &[]);
    assert!(answer(ID, NAME, &good).is_ok());
    assert!(answer(ID, "_MATRIX-fed._tcp.A.example.", &good).is_ok());
    assert_eq!(answer(ID + 1, NAME, &good), Err(NoAnswer::Unrelated));
    assert_eq!(answer(ID, "b.example", &good), Err(NoAnswer::Unrelated));
    let asked = question(ID, NAME).unwrap();
    assert_eq!(answer(ID, NAME, &asked), Err(NoAnswer::Unrelated));
}

#[test]
fn failures_and_cut_answers_are_told_apart() {
    assert_eq!(
        answer(ID, NAME, &message(2, &[], &[])),
        Err(NoAnswer::Failed(2))
    );
    let cut = message(0x0200, &[], &[]);
    assert_eq!(answer(ID, NAME, &cut), Err(NoAnswer::Truncated));
}

#[test]
fn cut_and_circular_messages_are_refused() {
    let answers = [
        record(5, 30, b"\x05alias\0"),
        record(TYPE_SRV, 60, &srv(b"\x01a\0")),
    ];
    let good = message(0, &answers, &[]);
    for length in 0..good.len() {
        assert!(answer(ID, NAME, &good[..length]).is_err(), "{length}");
    }
    let end = message(0, &[], &[]).len() as u8;
    let to_itself = message(0, &[named(&[0xc0, end], TYPE_SRV, 60, &srv(b"\0"))], &[]);
    assert_eq!(answer(ID, NAME, &to_itself), Err(NoAnswer::Malformed));
    let odd = message(0, &[record(TYPE_SRV, 60, &srv(b"\x02a.\0"))], &[]);
    assert_eq!(answer(ID, NAME, &odd), Err(NoAnswer::Malformed));
}

#[test]
fn names_that_do_not_fit_are_not_asked_for() {
    let long = "a".repeat(64);
    let too_long = ["abcdefg"; 40].join(".");
    for name in ["", "a..b", &long, &too_long] {
        assert_eq!(question(ID, name), Err(InvalidName), "{name}");
    }
    question(ID, &["abcdefg"; 31].join(".")).unwrap();
}
