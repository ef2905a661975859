//! Drives `comity-core` in a tokio program with no runtime of ours: whatever waits can drive it.
//!
//! ```text
//! cargo run -p comity-runtime --example tokio
//! ```
//!
//! One task owns the core, each connection is another. It answers what is asked and asks nothing
//! itself, and leaves TLS to a reverse proxy.

use std::{collections::HashMap, error::Error, io, time::Duration};

use bytes::Bytes;
use comity_core::{
    Action, Config, Federation, Input,
    input::{CallError, RequestId},
    messaging::notice::Told,
    messaging::settings::Settings,
    pdu::signing::SigningKey,
    transport::{
        http1::{ServerConnection, ServerPhase},
        names::LookupError,
    },
};
use comity_runtime::Clock;
use comity_store::{Store, StoreThread};
use http::{Request, Response};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot};

enum Message {
    Request(Request<Bytes>, oneshot::Sender<Response<Bytes>>),
    Outcome(Input),
}

type Inbox = mpsc::UnboundedSender<Message>;

struct Core {
    federation: Federation,
    store: StoreThread,
    inbox: Inbox,
    asking: HashMap<RequestId, oneshot::Sender<Response<Bytes>>>,
    newest_request: u64,
}

impl Core {
    async fn run(mut self, mut messages: mpsc::UnboundedReceiver<Message>) {
        let clock = Clock::start();
        loop {
            while let Some(action) = self.federation.next_action() {
                self.perform(action);
            }
            let later = clock.now().monotonic.plus(Duration::from_secs(60));
            let deadline = clock.instant(self.federation.next_deadline().unwrap_or(later));
            let input = tokio::select! {
                Some(message) = messages.recv() => self.input(message),
                () = tokio::time::sleep_until(deadline.into()) => Input::Tick,
            };
            self.federation.handle(clock.now(), input);
        }
    }

    fn input(&mut self, message: Message) -> Input {
        match message {
            Message::Outcome(outcome) => outcome,
            Message::Request(request, response) => {
                self.newest_request += 1;
                let id = RequestId(self.newest_request);
                self.asking.insert(id, response);
                Input::Request(id, request)
            }
        }
    }

    fn perform(&mut self, action: Action) {
        let outcome = match action {
            Action::Respond(id, response) => {
                let _ = self
                    .asking
                    .remove(&id)
                    .map(|asking| asking.send(response).is_ok());
                return;
            }
            Action::Query(id, query) => return self.store.submit(id, query),
            Action::Compute(id, computation) => Input::Computed(id, computation.run()),
            Action::Call(call) => {
                Input::Response(call.id, Err(CallError::Connect("not here".to_owned())))
            }
            Action::LookUp(id, _, _) => Input::Found(id, Err(LookupError("not here".to_owned()))),
            Action::Ask(id, _) => Input::Told(id, Told::NotFound),
            Action::Complete(..) | Action::Notify(_) => return,
            Action::Halt(reason) => return eprintln!("the database failed: {reason}"),
        };
        let _ = self.inbox.send(Message::Outcome(outcome));
    }
}

async fn serve(mut socket: TcpStream, inbox: Inbox) -> io::Result<()> {
    let mut connection = ServerConnection::new(Default::default());
    let mut buffer = [0; 4096];
    while connection.phase() != ServerPhase::Closed {
        let Some(request) = connection.next_request().map_err(io::Error::other)? else {
            let count = socket.read(&mut buffer).await?;
            if count == 0 {
                break;
            }
            connection.receive(buffer.get(..count).unwrap_or_default());
            continue;
        };
        let (sender, response) = oneshot::channel();
        let _ = inbox.send(Message::Request(request, sender));
        let response = response.await.map_err(io::Error::other)?;
        let bytes = connection.respond(&response).map_err(io::Error::other)?;
        socket.write_all(&bytes).await?;
    }
    Ok(())
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let config = Config {
        server_name: address.to_string().parse()?,
        signing_key: SigningKey::from_seed("ed25519:1", &[1; 32])?.into(),
        seed: [2; 32],
        settings: Settings::default(),
        keys: Default::default(),
        delegates_to: None,
    };
    let (inbox, messages) = mpsc::unbounded_channel();
    let answers = inbox.clone();
    let store = StoreThread::spawn(Store::in_memory()?, move |id, answer| {
        let _ = answers.send(Message::Outcome(Input::Answer(id, answer)));
    });
    let core = Core {
        federation: Federation::new(config),
        store,
        inbox: inbox.clone(),
        asking: HashMap::new(),
        newest_request: 0,
    };
    tokio::spawn(core.run(messages));
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            tokio::spawn(serve(socket, inbox.clone()));
        }
    });

    let mut client = TcpStream::connect(address).await?;
    client
        .write_all(b"GET /_matrix/federation/v1/version HTTP/1.0\r\n\r\n")
        .await?;
    tokio::io::copy(&mut client, &mut tokio::io::stdout()).await?;
    Ok(())
}
