//! A whole program that federates on smol: it starts a server, makes a room, says
//! something in it and shows what it was told.
//!
//! ```text
//! cargo run -p comity-smol --example on_smol
//! ```

use std::{error::Error, net::TcpListener};

use comity_core::{
    Config,
    messaging::{
        command::{Command, CreateRoom, Reply, SendEvent},
        notice::Notice,
        settings::Settings,
    },
    pdu::signing::SigningKey,
};
use comity_smol::{Certificate, Server, ServerConfig};
use ruma_common::OwnedUserId;
use serde_json::json;
use smol::stream::StreamExt;

fn main() -> Result<(), Box<dyn Error>> {
    smol::block_on(run())
}

async fn run() -> Result<(), Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let name = listener.local_addr()?.to_string();

    // A real server keeps its key and certificate, and its name does not change.
    let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()])?;
    let (chain, key) = (made.cert.pem(), made.signing_key.serialize_pem());
    let certificate = Certificate::from_pem(chain.as_bytes(), key.as_bytes())?;
    let core = Config {
        server_name: name.parse()?,
        signing_key: SigningKey::from_seed("ed25519:1", &random()?)?.into(),
        seed: random()?,
        settings: Settings::default(),
        keys: Default::default(),
        delegates_to: None,
    };
    let database = folder.path().join("comity.sqlite");
    let config = ServerConfig::new(core, database, vec![listener], certificate);
    let server = Server::start(config).await?;

    let handle = server.handle();
    let mut notices = handle.notices();
    let alice: OwnedUserId = format!("@alice:{name}").try_into()?;
    let room = CreateRoom::new(alice.clone());
    let Reply::Room(room_id) = handle.command(Command::CreateRoom(room.into())).await? else {
        return Err("no room".into());
    };
    let message = SendEvent {
        sender: alice,
        room_id,
        event_type: "m.room.message".to_owned(),
        state_key: None,
        content: serde_json::from_value(json!({ "msgtype": "m.text", "body": "Milk first?" }))?,
        once: None,
    };
    handle.command(Command::Send(message.into())).await?;

    while let Some(notice) = notices.try_next().await? {
        let Notice::Event(event) = notice else {
            continue;
        };
        println!("{:?}", event.pdu);
        if event.pdu.event_type() == "m.room.message" {
            break;
        }
    }
    server.shutdown().await;
    Ok(())
}

fn random() -> Result<[u8; 32], getrandom::Error> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes)?;
    Ok(bytes)
}
