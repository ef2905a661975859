//! A `comity serve` of its own, and clients of it.

use std::{
    fs::{self, File},
    net::{Ipv4Addr, TcpListener},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    thread,
    time::{Duration, Instant, SystemTime},
};

use comity::certificates::Authority;
use serde_json::{Value, json};
use tempfile::TempDir;
use ureq::Agent;

/// How long anything may take.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// Runs the program to its end.
pub fn comity(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_comity"))
        .args(arguments)
        .output()
        .unwrap()
}

/// Where nodes live that trust each other.
pub struct Place {
    directory: TempDir,
    authority: Authority,
}

impl Place {
    pub fn new() -> Self {
        Self {
            directory: tempfile::tempdir().unwrap(),
            authority: Authority::new().unwrap(),
        }
    }

    /// A new node, not running yet.
    pub fn node(&self, name: &str) -> Node {
        let (federation, client) = (free_port(), free_port());
        let server_name = format!("localhost:{federation}");
        let directory = self.directory.path().join(name);
        fs::create_dir(&directory).unwrap();
        let issued = self
            .authority
            .issue(server_name.as_str().try_into().unwrap())
            .unwrap();
        let file = |name: &str, content: &str| {
            let path = directory.join(name);
            fs::write(&path, content).unwrap();
            text(&path).to_owned()
        };
        let made = comity(&[
            "init",
            "--server-name",
            &server_name,
            "--dir",
            text(&directory.join("node")),
            "--certificate",
            &file("chain.pem", &issued.certificate),
            "--private-key",
            &file("key.pem", &issued.private_key),
            "--ca",
            &file("ca.pem", self.authority.certificate()),
            "--federation-listen",
            &format!("127.0.0.1:{federation}"),
            "--client-listen",
            &format!("127.0.0.1:{client}"),
        ]);
        assert!(made.status.success(), "{made:?}");
        let config = directory.join("node").join("comity.toml");
        Node {
            server_name,
            client,
            config,
            process: None,
        }
    }

    /// Moves a new certificate, written at some time, into the place of a node's old one.
    pub fn renew_certificate(&self, node: &Node, written: SystemTime) {
        let name = node.server_name.as_str().try_into().unwrap();
        let issued = self.authority.issue(name).unwrap();
        let files = [
            ("chain.pem", issued.certificate),
            ("key.pem", issued.private_key),
        ];
        for (name, content) in files {
            let new = node.file(&format!("{name}.new"));
            fs::write(&new, content).unwrap();
            let file = File::options().write(true).open(&new).unwrap();
            file.set_modified(written).unwrap();
            fs::rename(new, node.file(name)).unwrap();
        }
    }

    /// Who signs the certificates of all nodes here (PEM).
    pub fn authority(&self) -> &str {
        self.authority.certificate()
    }
}

pub fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    listener.local_addr().unwrap().port()
}

pub fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// One server.
pub struct Node {
    pub server_name: String,
    pub config: PathBuf,
    client: u16,
    process: Option<Child>,
}

impl Node {
    /// Starts it and waits until it answers.
    pub fn start(&mut self, runtime: &str) {
        let config = text(&self.config);
        let process = Command::new(env!("CARGO_BIN_EXE_comity"))
            .args(["serve", "--config", config, "--runtime", runtime])
            .stderr(Stdio::null())
            .spawn();
        self.process = Some(process.unwrap());
        let url = format!("http://127.0.0.1:{}/_matrix/client/versions", self.client);
        let deadline = Instant::now() + PATIENCE;
        while ureq::get(&url).call().is_err() {
            assert!(Instant::now() < deadline, "the server does not answer");
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Stops it as a crash would.
    pub fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().unwrap();
            process.wait().unwrap();
        }
    }

    /// A file that was given to `comity init`.
    pub fn file(&self, name: &str) -> PathBuf {
        let directory = self.config.parent().and_then(Path::parent).unwrap();
        directory.join(name)
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: &str) {
        let pid = self.process.as_ref().unwrap().id().to_string();
        let sent = Command::new("kill").args([signal, &pid]).status().unwrap();
        assert!(sent.success());
    }

    /// Asks it to stop and gives its exit code.
    pub fn stop(&mut self) -> Option<i32> {
        self.signal("-TERM");
        self.process.take().unwrap().wait().unwrap().code()
    }

    /// A new user.
    pub fn user(&self, name: &str) -> User {
        let added = comity(&["user", "add", name, "--config", text(&self.config)]);
        assert!(added.status.success(), "{added:?}");
        User {
            id: format!("@{name}:{}", self.server_name),
            token: String::from_utf8(added.stdout).unwrap().trim().to_owned(),
            base: format!("http://127.0.0.1:{}/_matrix/client/v3", self.client),
            agent: Agent::config_builder()
                .http_status_as_error(false)
                .build()
                .new_agent(),
        }
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A client of a user.
pub struct User {
    pub id: String,
    token: String,
    base: String,
    agent: Agent,
}

impl User {
    pub fn try_request(&self, method: &str, path: &str, body: &Value) -> (u16, Value) {
        let request = http::Request::builder()
            .method(method)
            .uri(format!("{}/{path}", self.base))
            .header("authorization", format!("Bearer {}", self.token))
            .body(body.to_string())
            .unwrap();
        let mut response = self.agent.run(request).unwrap();
        let body = response.body_mut().read_to_vec().unwrap();
        (
            response.status().as_u16(),
            serde_json::from_slice(&body).unwrap(),
        )
    }

    /// A request with bytes for a body, if with any, to a path below `/_matrix/`, and its status
    /// and answer.
    pub fn transfer(
        &self,
        method: &str,
        path: &str,
        body: Option<(&str, &[u8])>,
    ) -> (u16, http::Response<Vec<u8>>) {
        let (content_type, body) = body.unwrap_or(("text/plain", b""));
        let base = self.base.trim_end_matches("client/v3");
        let request = http::Request::builder()
            .method(method)
            .uri(format!("{base}{path}"))
            .header("authorization", format!("Bearer {}", self.token))
            .header("content-type", content_type)
            .body(body)
            .unwrap();
        let (parts, mut body) = self.agent.run(request).unwrap().into_parts();
        let body = body.read_to_vec().unwrap();
        (
            parts.status.as_u16(),
            http::Response::from_parts(parts, body),
        )
    }

    pub fn request(&self, method: &str, path: &str, body: &Value) -> Value {
        let (status, answer) = self.try_request(method, path, body);
        assert_eq!(status, 200, "{method} {path}: {answer}");
        answer
    }

    pub fn get(&self, path: &str) -> Value {
        let url = format!("{}/{path}", self.base);
        let request = self
            .agent
            .get(&url)
            .header("authorization", format!("Bearer {}", self.token));
        let mut response = request.call().unwrap();
        let body = response.body_mut().read_to_vec().unwrap();
        assert_eq!(
            response.status(),
            200,
            "{path}: {}",
            String::from_utf8_lossy(&body)
        );
        serde_json::from_slice(&body).unwrap()
    }

    pub fn post(&self, path: &str, body: &Value) -> Value {
        self.request("POST", path, body)
    }

    pub fn create_room(&self, body: &Value) -> String {
        self.post("createRoom", body)["room_id"]
            .as_str()
            .unwrap()
            .to_owned()
    }

    /// Says something; the text is the transaction id too.
    pub fn say(&self, room_id: &str, text: &str) -> String {
        let path = format!("rooms/{room_id}/send/m.room.message/{text}");
        let sent = self.request("PUT", &path, &json!({ "msgtype": "m.text", "body": text }));
        sent["event_id"].as_str().unwrap().to_owned()
    }
}

/// Follows one room by `sync`, as a client would.
pub struct Follower<'u> {
    user: &'u User,
    room_id: String,
    since: String,
    /// The messages so far, as they came.
    pub heard: Vec<String>,
}

impl<'u> Follower<'u> {
    pub fn new(user: &'u User, room_id: &str) -> Self {
        let first = user.get("sync");
        let since = first["next_batch"].as_str().unwrap().to_owned();
        Self {
            user,
            room_id: room_id.to_owned(),
            since,
            heard: Vec::new(),
        }
    }

    pub fn sync(&mut self) -> Value {
        let answer = self
            .user
            .get(&format!("sync?timeout=500&since={}", self.since));
        let timeline = &answer["rooms"]["join"][&self.room_id]["timeline"];
        let events = timeline["events"].as_array().into_iter().flatten();
        let bodies = events.filter_map(|event| event["content"]["body"].as_str());
        self.heard.extend(bodies.map(ToOwned::to_owned));
        self.since = answer["next_batch"].as_str().unwrap().to_owned();
        answer
    }

    /// Follows until as many messages have come.
    pub fn hear(&mut self, count: usize) -> &[String] {
        let deadline = Instant::now() + PATIENCE;
        while self.heard.len() < count && Instant::now() < deadline {
            let answer = self.sync();
            let room = &answer["rooms"]["join"][&self.room_id];
            assert_ne!(
                room["timeline"]["limited"], true,
                "a timeline holds more than is said"
            );
        }
        &self.heard
    }

    /// Follows until an answer has something at a JSON pointer.
    pub fn until(&mut self, pointer: &str) -> Value {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let answer = self.sync();
            if let Some(found) = answer.pointer(pointer) {
                return found.clone();
            }
            assert!(Instant::now() < deadline, "{pointer} did not come");
        }
    }
}
