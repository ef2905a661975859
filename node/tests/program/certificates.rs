//! A certificate that is renewed while the program runs.

use std::{
    fs,
    net::TcpStream,
    sync::Arc,
    thread,
    time::{Duration, Instant, SystemTime},
};

use rustls::{
    ClientConfig, ClientConnection, RootCertStore,
    pki_types::{CertificateDer, ServerName, pem::PemObject},
};

use crate::node::{Node, PATIENCE, Place};

/// The certificate that the federation listener shows, which the place's authority must have
/// signed.
fn shown(place: &Place, node: &Node) -> CertificateDer<'static> {
    let mut roots = RootCertStore::empty();
    let authority = CertificateDer::from_pem_slice(place.authority().as_bytes()).unwrap();
    roots.add(authority).unwrap();
    let config = ClientConfig::builder()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from("localhost").unwrap();
    let mut connection = ClientConnection::new(Arc::new(config), name).unwrap();
    let mut socket = TcpStream::connect(&node.server_name).unwrap();
    while connection.is_handshaking() {
        connection.complete_io(&mut socket).unwrap();
    }
    connection.peer_certificates().unwrap()[0].clone()
}

/// Waits until another certificate than this one is shown.
fn another_is_shown(place: &Place, node: &Node, before: &CertificateDer<'_>) {
    let deadline = Instant::now() + PATIENCE;
    while shown(place, node) == *before {
        assert!(Instant::now() < deadline, "the old certificate is shown");
        thread::sleep(Duration::from_millis(20));
    }
}

fn a_renewed_certificate_is_shown_without_a_restart(runtime: &str) {
    let place = Place::new();
    let mut node = place.node("one");
    node.start(runtime);
    let first = shown(&place, &node);
    place.renew_certificate(&node, SystemTime::now());
    another_is_shown(&place, &node, &first);

    let second = shown(&place, &node);
    fs::write(node.file("key.pem"), "no key").unwrap();
    node.signal("-HUP");
    node.user("alice").create_room(&serde_json::json!({}));
    assert_eq!(shown(&place, &node), second, "of two files one is useless");
}

#[test]
fn a_renewed_certificate_is_shown_without_a_restart_on_smol() {
    a_renewed_certificate_is_shown_without_a_restart("smol");
}

#[test]
fn a_renewed_certificate_is_shown_without_a_restart_on_threads() {
    a_renewed_certificate_is_shown_without_a_restart("sync");
}

/// Files that were put in place with their old times, as some programs do.
#[test]
fn sighup_has_certificates_read_again_that_do_not_look_changed() {
    let place = Place::new();
    let mut node = place.node("one");
    let long_ago = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
    place.renew_certificate(&node, long_ago);
    node.start("smol");
    let first = shown(&place, &node);
    place.renew_certificate(&node, long_ago);
    node.signal("-HUP");
    another_is_shown(&place, &node, &first);
}
