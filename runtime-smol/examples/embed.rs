//! A whole program that federates on smol: it starts a server, makes a room, says
//! something in it and shows what it was told.
//!
//! ```text
//! cargo run -p comity-smol --example embed
//! ```

use std::{error::Error, net::TcpListener, time::Duration};

use comity_core::{
    Config,
    messaging::{
        command::{Command, CreateRoom, Preset, Reply, SendEvent},
        notice::Notice,
    },
    pdu::signing::SigningKey,
};
use comity_smol::{Certificate, Server, ServerConfig};
use serde_json::json;
use smol::{Timer, future::FutureExt, stream::StreamExt};

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
    let mut seeds = [[0; 32]; 2];
    seeds
        .iter_mut()
        .try_for_each(|seed| getrandom::fill(seed))?;
    let signing_key = SigningKey::from_seed("ed25519:1", &seeds[0])?.into();

    let core = Config {
        server_name: name.parse()?,
        signing_key,
        seed: seeds[1],
    };
    let database = folder.path().join("comity.sqlite");
    let config = ServerConfig::new(core, database, vec![listener], certificate);
    let server = Server::start(config).await?;
    println!("{name} is up");

    let handle = server.handle();
    let mut notices = handle.notices();
    let alice = format!("@alice:{name}");
    let Reply::Room(room_id) = handle
        .command(Command::CreateRoom(Box::new(CreateRoom {
            creator: alice.parse()?,
            version: None,
            preset: Preset::Public,
            creation_content: Default::default(),
            power_levels: Default::default(),
            creator_content: Default::default(),
            alias: None,
            initial_state: vec![],
            name: Some("Tea".to_owned()),
            topic: None,
        })))
        .await?
    else {
        return Err("no room".into());
    };
    handle
        .command(Command::Send(Box::new(SendEvent {
            sender: alice.parse()?,
            room_id,
            event_type: "m.room.message".to_owned(),
            state_key: None,
            content: serde_json::from_value(json!({ "msgtype": "m.text", "body": "Milk first?" }))?,
            once: None,
        })))
        .await?;

    let show = async {
        while let Some(notice) = notices.try_next().await? {
            match notice {
                Notice::Event(event) => println!("{:?}", event.pdu),
                other => println!("{other:?}"),
            }
        }
        Err(Box::<dyn Error>::from("the server stopped"))
    };
    let enough = async {
        Timer::after(Duration::from_millis(500)).await;
        Ok(())
    };
    show.or(enough).await?;
    server.shutdown().await;
    Ok(())
}
