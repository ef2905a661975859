//! What a server leaves behind: alone in its program, because it counts the program's threads.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::{
    fs,
    net::TcpListener,
    thread,
    time::{Duration, Instant},
};

use comity_core::{
    Config,
    messaging::{
        command::{Command, CreateRoom},
        settings::Settings,
    },
    pdu::signing::SigningKey,
};
use comity_sync::{Certificate, Server, ServerConfig};

fn start(folder: &tempfile::TempDir) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let name = listener.local_addr().unwrap().to_string();
    let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let (chain, key) = (made.cert.pem(), made.signing_key.serialize_pem());
    let certificate = Certificate::from_pem(chain.as_bytes(), key.as_bytes()).unwrap();
    let core = Config {
        signing_key: SigningKey::from_seed("ed25519:1", &[1; 32]).unwrap().into(),
        seed: [2; 32],
        settings: Settings::default(),
        keys: Default::default(),
        delegates_to: None,
        server_name: name.try_into().unwrap(),
    };
    let database = folder.path().join("comity.sqlite");
    Server::start(ServerConfig::new(
        core,
        database,
        vec![listener],
        certificate,
    ))
    .unwrap()
}

fn threads() -> usize {
    fs::read_dir("/proc/self/task").unwrap().count()
}

#[test]
fn a_stopped_server_leaves_no_thread_behind() {
    let folder = tempfile::tempdir().unwrap();
    let before = threads();
    for stop in [Server::shutdown, Server::stop_hard, drop] {
        let server = start(&folder);
        let handle = server.handle();
        handle.on_notice(drop).unwrap();
        let alice = format!("@alice:{}", server.local_addresses().first().unwrap());
        let room = CreateRoom::new(alice.try_into().unwrap());
        handle.command(Command::CreateRoom(room.into())).unwrap();
        assert!(threads() > before);
        stop(server);
    }
    let patience = Instant::now() + Duration::from_secs(5);
    while threads() > before && Instant::now() < patience {
        thread::sleep(Duration::from_millis(10));
    }
    assert_eq!(threads(), before);
}
