//! Servers of both runtimes federate with each other.

use std::{
    io,
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
    thread,
    time::Duration,
};

use comity_core::messaging::{
    command::{Command, CommandError, Content, CreateRoom, Preset, Reply, RoomSummary, SendEvent},
    notice::{Notice, Question, Told},
};
use comity_runtime::ServerConfig;
use comity_smol::Server as Smol;
use comity_sync::Server as Sync;
use ruma_common::{OwnedRoomId, OwnedServerName, OwnedUserId};
use serde_json::json;

use crate::testing::{Handle, Runtime, bind, config};

/// A running server and the one user it has.
struct Home<R: Runtime> {
    server: R,
    name: OwnedServerName,
    user: OwnedUserId,
}

impl<R: Runtime> Home<R> {
    fn start(folder: &Path) -> Self {
        Self::with(config(bind(), folder))
    }

    fn with(config: ServerConfig) -> Self {
        let server = R::start(config);
        let name: OwnedServerName = server.address().to_string().try_into().unwrap();
        let user = format!("@user:{name}").try_into().unwrap();
        Self { server, name, user }
    }

    fn command(&self, command: Command) -> Result<Reply, CommandError> {
        self.server.handle().command(command)
    }

    fn create_room(&self) -> OwnedRoomId {
        let room = CreateRoom {
            preset: Preset::Public,
            ..CreateRoom::new(self.user.clone())
        };
        match self.command(Command::CreateRoom(room.into())) {
            Ok(Reply::Room(room_id)) => room_id,
            other => panic!("{other:?}"),
        }
    }

    fn join(&self, room_id: &OwnedRoomId, via: &OwnedServerName) -> Result<Reply, CommandError> {
        self.command(Command::Join {
            user_id: self.user.clone(),
            room_id: room_id.clone(),
            via: vec![via.clone()],
            content: Content::new(),
        })
    }

    fn say(&self, room_id: &OwnedRoomId, body: &str) {
        let content = json!({ "msgtype": "m.text", "body": body });
        let sent = self.command(Command::Send(Box::new(SendEvent {
            sender: self.user.clone(),
            room_id: room_id.clone(),
            event_type: "m.room.message".to_owned(),
            state_key: None,
            content: serde_json::from_value(content).unwrap(),
            once: None,
        })));
        assert!(matches!(sent, Ok(Reply::Event(_))), "{sent:?}");
    }

    fn summary(&self, room_id: &OwnedRoomId) -> RoomSummary {
        match self.command(Command::RoomSummary(room_id.clone())) {
            Ok(Reply::RoomSummary(summary)) => summary,
            other => panic!("{other:?}"),
        }
    }
}

/// Waits until a message says `body`.
fn hear<H: Handle>(notices: &mut H::Notices, body: &str) {
    loop {
        if let Notice::Event(event) = H::next_notice(notices).unwrap()
            && event
                .pdu
                .content()
                .get("body")
                .is_some_and(|found| found == body)
        {
            return;
        }
    }
}

fn two_servers_hear_each_other<A: Runtime, B: Runtime>() {
    let folder = tempfile::tempdir().unwrap();
    let (a, b) = (
        Home::<A>::start(folder.path()),
        Home::<B>::start(folder.path()),
    );
    let (mut at_a, mut at_b) = (a.server.handle().notices(), b.server.handle().notices());
    let room_id = a.create_room();
    b.join(&room_id, &a.name).unwrap();
    a.say(&room_id, "from A");
    hear::<B::Handle>(&mut at_b, "from A");
    b.say(&room_id, "from B");
    hear::<A::Handle>(&mut at_a, "from B");
    assert_eq!(
        a.summary(&room_id).state_digest,
        b.summary(&room_id).state_digest
    );
}

/// GEN-1. DISC-14: neither has a certificate to show as a client.
#[test]
fn a_server_on_threads_and_one_on_smol_hear_each_other() {
    two_servers_hear_each_other::<Sync, Smol>();
}

#[test]
fn a_server_on_smol_and_one_on_threads_hear_each_other() {
    two_servers_hear_each_other::<Smol, Sync>();
}

fn what_was_acknowledged_survives<R: Runtime>(stop: fn(R)) {
    let folder = tempfile::tempdir().unwrap();
    let home = Home::<R>::start(folder.path());
    let address = home.server.address();
    let room_id = home.create_room();
    home.say(&room_id, "remember this");
    let before = home.summary(&room_id);
    stop(home.server);
    let listener = TcpListener::bind(address).unwrap();
    let home = Home::<R>::with(config(listener, folder.path()));
    assert_eq!(home.summary(&room_id), before);
}

#[test]
fn what_was_acknowledged_survives_every_kind_of_stop() {
    what_was_acknowledged_survives(Sync::shutdown);
    what_was_acknowledged_survives(Sync::stop_hard);
    what_was_acknowledged_survives(<Smol as Runtime>::shutdown);
    what_was_acknowledged_survives(<Smol as Runtime>::stop_hard);
}

fn the_application_answers_for_its_aliases<R: Runtime>() {
    let folder = tempfile::tempdir().unwrap();
    let (a, b) = (
        Home::<R>::start(folder.path()),
        Home::<Sync>::start(folder.path()),
    );
    let alias = format!("#tea:{}", a.name);
    let resolve = || b.command(Command::ResolveAlias(alias.as_str().try_into().unwrap()));
    assert!(resolve().is_err());

    let told = Told::Directory {
        room_id: a.create_room(),
        servers: vec![a.name.clone()],
    };
    let (expected, answer) = (told.clone(), told);
    a.server
        .handle()
        .on_question(move |question| match question {
            Question::Directory(_) => answer.clone(),
            _ => Told::NotFound,
        });
    let Ok(Reply::Directory { room_id, servers }) = resolve() else {
        panic!("not found")
    };
    assert_eq!(Told::Directory { room_id, servers }, expected);
}

#[test]
fn the_application_answers_for_its_aliases_on_each_runtime() {
    the_application_answers_for_its_aliases::<Sync>();
    the_application_answers_for_its_aliases::<Smol>();
}

fn a_callback_hears_what_happens<R: Runtime>() {
    let folder = tempfile::tempdir().unwrap();
    let home = Home::<R>::start(folder.path());
    let (sender, heard) = mpsc::channel();
    home.server
        .handle()
        .on_notice(move |notice| drop(sender.send(notice)));
    home.create_room();
    let first = heard.recv_timeout(Duration::from_secs(20)).unwrap();
    assert!(matches!(first, Ok(Notice::Event(event)) if event.pdu.event_type() == "m.room.create"));
    home.server.shutdown();
    heard
        .iter()
        .for_each(|notice| assert!(notice.is_ok(), "{notice:?}"));
}

#[test]
fn a_callback_hears_what_happens_until_the_server_stops() {
    a_callback_hears_what_happens::<Sync>();
    a_callback_hears_what_happens::<Smol>();
}

fn nobody_talks_to_a_server_with_an_unknown_certificate<R: Runtime>() {
    let folder = tempfile::tempdir().unwrap();
    let a = Home::<Sync>::start(folder.path());
    let mut trusting_nobody = config(bind(), folder.path());
    trusting_nobody.extra_roots.clear();
    let b = Home::<R>::with(trusting_nobody);
    let refused = b.join(&a.create_room(), &a.name);
    assert!(
        matches!(refused, Err(CommandError::NotLetIn(_))),
        "{refused:?}"
    );
}

/// DISC-9, DISC-10.
#[test]
fn no_runtime_talks_to_a_server_with_an_unknown_certificate() {
    nobody_talks_to_a_server_with_an_unknown_certificate::<Sync>();
    nobody_talks_to_a_server_with_an_unknown_certificate::<Smol>();
}

/// Passes connections on to `target` and counts them.
fn counting_proxy(listener: TcpListener, target: SocketAddr) -> Arc<AtomicUsize> {
    let count = Arc::new(AtomicUsize::new(0));
    let counted = count.clone();
    thread::spawn(move || {
        for client in listener.incoming().map(Result::unwrap) {
            counted.fetch_add(1, Ordering::Relaxed);
            let server = TcpStream::connect(target).unwrap();
            pass_on(client.try_clone().unwrap(), server.try_clone().unwrap());
            pass_on(server, client);
        }
    });
    count
}

fn pass_on(mut from: TcpStream, mut to: TcpStream) {
    thread::spawn(move || {
        let _ = io::copy(&mut from, &mut to);
        let _ = to.shutdown(Shutdown::Write);
    });
}

fn connections_are_used_again<R: Runtime>() {
    let folder = tempfile::tempdir().unwrap();
    let a = Home::<R>::start(folder.path());
    let (proxy, listener) = (bind(), bind());
    let behind = listener.local_addr().unwrap();
    let mut config = config(proxy.try_clone().unwrap(), folder.path());
    config.listeners = vec![listener];
    config.connections.pace.idle = Duration::from_secs(1);
    let connections = counting_proxy(proxy, behind);
    let b = Home::<Sync> {
        name: config.core.server_name.clone(),
        user: format!("@user:{}", config.core.server_name)
            .try_into()
            .unwrap(),
        server: Runtime::start(config),
    };
    let mut at_b = b.server.handle().notices();
    let room_id = a.create_room();
    b.join(&room_id, &a.name).unwrap();
    let mut say = |body: &str| {
        a.say(&room_id, body);
        hear::<comity_sync::Handle>(&mut at_b, body);
        connections.load(Ordering::Relaxed)
    };

    let at_first = say("1");
    assert_eq!(
        [say("2"), say("3"), say("4")],
        [at_first; 3],
        "used again while it is open"
    );
    thread::sleep(Duration::from_secs(2));
    assert_eq!(
        say("5"),
        at_first + 1,
        "replaced once the peer has closed it"
    );
}

#[test]
fn connections_are_used_again_until_the_peer_closes_them() {
    connections_are_used_again::<Sync>();
    connections_are_used_again::<Smol>();
}
