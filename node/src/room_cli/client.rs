//! Talking to a client API over HTTP.

use std::{
    error::Error,
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use comity_core::transport::path::path_segment;
use http::Method;
use serde_json::Value;
use ureq::Agent;

use super::Connection;
use crate::{config::Config, user};

/// Longer than any answer should take, a waiting `sync` included.
const TIMEOUT: Duration = Duration::from_secs(120);

type Answer = Result<Value, Box<dyn Error>>;

/// A server's client API, used as one user.
pub(crate) struct Client {
    agent: Agent,
    base: String,
    token: String,
}

impl Client {
    pub(crate) fn connect(connection: &Connection) -> Result<Self, Box<dyn Error>> {
        let config = connection.config.as_deref().map(Config::load).transpose()?;
        let base = match (&connection.server, &config) {
            (Some(server), _) => server.trim_end_matches('/').to_owned(),
            (None, Some(config)) if config.client.tls.is_none() => {
                format!("http://{}", config.client.listen)
            }
            (None, Some(_)) => return Err("the client address speaks TLS; use --server".into()),
            (None, None) => return Err("--config or --server is needed".into()),
        };
        let token = match (&connection.token, &config) {
            (Some(token), _) => token.clone(),
            (None, Some(config)) => kept_token(config, connection.user.as_deref())?,
            (None, None) => return Err("--config or --token is needed".into()),
        };
        let agent = Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(TIMEOUT))
            .build()
            .new_agent();
        Ok(Self {
            agent,
            base,
            token: token.trim().to_owned(),
        })
    }

    pub(crate) fn get(&self, path: &str) -> Answer {
        self.request(Method::GET, path, Vec::new())
    }

    pub(crate) fn post(&self, path: &str, body: &Value) -> Answer {
        self.request(Method::POST, path, body.to_string().into_bytes())
    }

    pub(crate) fn put(&self, path: &str, body: &Value) -> Answer {
        self.request(Method::PUT, path, body.to_string().into_bytes())
    }

    /// The id of a room named by id or alias.
    pub(crate) fn room_id(&self, room: &str) -> Result<String, Box<dyn Error>> {
        if !room.starts_with('#') {
            return Ok(room.to_owned());
        }
        let found = self.get(&format!("directory/room/{}", path_segment(room)))?;
        let room_id = found.get("room_id").and_then(Value::as_str);
        Ok(room_id.ok_or("the server names no room")?.to_owned())
    }

    /// The path of something of a room, which is named by id or alias.
    pub(crate) fn room_path(&self, room: &str, rest: &str) -> Result<String, Box<dyn Error>> {
        Ok(format!(
            "rooms/{}/{rest}",
            path_segment(&self.room_id(room)?)
        ))
    }

    fn request(&self, method: Method, path: &str, body: Vec<u8>) -> Answer {
        let request = http::Request::builder()
            .method(method)
            .uri(format!("{}/_matrix/client/v3/{path}", self.base))
            .header("authorization", format!("Bearer {}", self.token))
            .header("content-type", "application/json");
        let sent = match body.is_empty() {
            true => self.agent.run(request.body(())?),
            false => self.agent.run(request.body(body)?),
        };
        let mut response = sent.map_err(|error| format!("{}: {error}", self.base))?;
        let status = response.status();
        let body: Value = serde_json::from_slice(&response.body_mut().read_to_vec()?)?;
        match status.is_success() {
            true => Ok(body),
            false => Err(refusal(&body).unwrap_or_else(|| status.to_string()).into()),
        }
    }
}

fn refusal(body: &Value) -> Option<String> {
    let text = |key| body.get(key).and_then(Value::as_str);
    Some(format!("{}: {}", text("errcode")?, text("error")?))
}

/// The token that `comity user add` left for a user, or for the only user there is.
fn kept_token(config: &Config, user: Option<&str>) -> Result<String, Box<dyn Error>> {
    let file = match user {
        Some(user) => {
            let localpart = user
                .trim_start_matches('@')
                .split(':')
                .next()
                .unwrap_or_default();
            user::token_file(config, localpart)
        }
        None => only_file(&user::token_directory(config))?,
    };
    fs::read_to_string(&file).map_err(|error| format!("{}: {error}", file.display()).into())
}

fn only_file(directory: &Path) -> Result<PathBuf, Box<dyn Error>> {
    let entries = fs::read_dir(directory).map_err(|_| "no user yet: comity user add NAME")?;
    let mut files = entries
        .map(|entry| Ok(entry?.path()))
        .collect::<Result<Vec<_>, std::io::Error>>()?;
    files.sort();
    let first = files.first().cloned();
    match (first, files.len()) {
        (Some(file), 1) => Ok(file),
        _ => {
            let names = files.iter().filter_map(|file| file.file_name()?.to_str());
            let names: Vec<_> = names.collect();
            Err(format!("which user? --as NAME, one of: {}", names.join(", ")).into())
        }
    }
}
