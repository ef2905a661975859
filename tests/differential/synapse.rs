//! Synapse's answers, from a process that runs its own code: `oracle.py` says what that does.

use std::{
    collections::BTreeSet,
    io::{BufRead as _, BufReader, Write as _},
    path::Path,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

use comity_core::pdu::{RoomVersion, unpadded_base64};
use comity_tests::rooms::public_keys;
use serde_json::{Value, json};

use crate::answers::{Authorised, Oracle, Received, Taken, Verdict};

pub struct Synapse {
    process: Child,
    questions: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Synapse {
    /// Starts it with this Python, which has Synapse installed.
    pub fn start(python: &Path) -> Self {
        let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("differential/oracle.py");
        let mut process = Command::new(python)
            .arg(program)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("Synapse's Python should start");
        Self {
            questions: process.stdin.take().expect("it is piped"),
            answers: BufReader::new(process.stdout.take().expect("it is piped")),
            process,
        }
    }

    fn ask(&mut self, question: &Value) -> Value {
        writeln!(self.questions, "{question}").expect("the oracle should listen");
        let mut answer = String::new();
        self.answers
            .read_line(&mut answer)
            .expect("the oracle should answer");
        serde_json::from_str(&answer).unwrap_or_else(|_| panic!("no answer to {question}"))
    }
}

impl Drop for Synapse {
    fn drop(&mut self) {
        // Of a process that already ended there is nothing to end.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Oracle for Synapse {
    fn name(&self) -> &'static str {
        "Synapse"
    }

    fn begin(&mut self, version: RoomVersion) {
        let mut keys = json!({});
        for key in public_keys() {
            keys[key.server][key.key_id] = json!({ "key": unpadded_base64::encode(&key.bytes), "valid_until": key.valid_until });
        }
        self.ask(&json!({ "ask": "room", "version": version.as_str(), "keys": keys }));
    }

    fn receive(&mut self, text: &str) -> Received {
        let answer = self.ask(&json!({ "ask": "receive", "text": text }));
        if let Some(reason) = answer["dropped"].as_str() {
            return Received::Dropped(reason.to_owned());
        }
        let text_at = |key: &str| answer[key].as_str().unwrap_or_default().to_owned();
        Received::Taken(Taken {
            event_id: text_at("event_id"),
            room_id: text_at("room_id"),
            altered: answer["altered"] == true,
            kept: text_at("kept"),
            redacted: text_at("redacted"),
        })
    }

    fn reject(&mut self, event_id: &str) {
        self.ask(&json!({ "ask": "reject", "event": event_id }));
    }

    fn authorise(&mut self, event_id: &str, state: &[String]) -> Authorised {
        let answer = self.ask(&json!({ "ask": "authorise", "event": event_id, "state": state }));
        let verdict = |key: &str| -> Verdict {
            answer[key]
                .as_str()
                .map_or(Ok(()), |reason| Err(reason.to_owned()))
        };
        Authorised {
            by_auth_events: verdict("by_auth_events"),
            on_state: verdict("on_state"),
        }
    }

    fn resolve(&mut self, states: &[Vec<String>]) -> Option<Result<BTreeSet<String>, String>> {
        let answer = self.ask(&json!({ "ask": "resolve", "states": states }));
        if let Some(reason) = answer["raised"].as_str() {
            return Some(Err(reason.to_owned()));
        }
        let ids = answer["state"].as_array().expect("a list of event ids");
        Some(Ok(ids
            .iter()
            .filter_map(Value::as_str)
            .map(ToOwned::to_owned)
            .collect()))
    }
}
