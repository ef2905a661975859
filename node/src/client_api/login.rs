//! Logging in with a password.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use comity_core::transport::matrix_error::MatrixError;
use ruma_common::{ServerName, UserId};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    Api, Handled,
    errors::{self, bad_json, forbidden, invalid},
    request::Request,
};
use crate::accounts::Accounts;

/// The one way to log in.
pub(super) const PASSWORD: &str = "m.login.password";

/// How often a user may give a wrong password before they have to wait.
const FREE_ATTEMPTS: u32 = 5;

/// How long they have to wait then, before each further attempt.
const WAIT: Duration = Duration::from_secs(10);

/// The longest id that a client may choose for its device, in bytes.
const DEVICE_ID_MAX: usize = 255;

/// Who gave wrong passwords lately. One password is tried at a time, since trying one takes 19 MiB
/// and a while.
#[derive(Debug, Default)]
pub(super) struct Attempts(Mutex<BTreeMap<String, Wrong>>);

/// The wrong passwords that were given for a user since the last right one.
#[derive(Clone, Copy, Debug)]
struct Wrong {
    count: u32,
    last: Instant,
}

impl Wrong {
    /// How long nothing more is tried for the user.
    fn wait(self, now: Instant) -> Duration {
        match self.count < FREE_ATTEMPTS {
            true => Duration::ZERO,
            false => WAIT.saturating_sub(now.saturating_duration_since(self.last)),
        }
    }
}

impl Attempts {
    /// Errors unless this is the password of that user, or with `M_LIMIT_EXCEEDED` when others were
    /// tried too often.
    pub(super) fn check(
        &self,
        accounts: &Accounts,
        localpart: &str,
        password: &str,
    ) -> Result<(), MatrixError> {
        let mut wrong = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known = wrong.get(localpart).copied();
        let wait = known.map_or(Duration::ZERO, |wrong| wrong.wait(Instant::now()));
        if !wait.is_zero() {
            return Err(MatrixError::limit_exceeded(
                "too many wrong passwords",
                wait,
            ));
        }
        let is_right = accounts.is_password(localpart, password);
        if is_right.map_err(errors::from_accounts)? {
            wrong.remove(localpart);
            return Ok(());
        }
        let is_user = accounts.profile(localpart).map_err(errors::from_accounts)?;
        if is_user.is_some() {
            let count = known.map_or(0, |wrong| wrong.count).saturating_add(1);
            let last = Instant::now();
            wrong.insert(localpart.to_owned(), Wrong { count, last });
        }
        Err(forbidden("there is no such user with this password"))
    }
}

#[derive(Deserialize)]
struct Body {
    #[serde(rename = "type")]
    kind: String,
    identifier: Option<Value>,
    /// Where old clients have the identifier.
    user: Option<String>,
    password: Option<String>,
    device_id: Option<String>,
    initial_device_display_name: Option<String>,
}

impl Body {
    /// The local part of the user's id, given alone or in the id.
    fn localpart<'b>(&'b self, server_name: &ServerName) -> Result<&'b str, MatrixError> {
        let user = match &self.identifier {
            Some(identifier) if identifier["type"] == "m.id.user" => identifier["user"].as_str(),
            Some(_) => return Err(invalid("users are identified by m.id.user only")),
            None => self.user.as_deref(),
        };
        let user = user.ok_or_else(|| bad_json("identifier is missing"))?;
        match <&UserId>::try_from(user) {
            Ok(user_id) if user_id.server_name() == server_name => Ok(user_id.localpart()),
            Ok(_) => Err(forbidden("this user is of another server")),
            Err(_) => Ok(user),
        }
    }
}

pub(super) fn flows(_api: &Api, _request: &Request<'_>) -> Handled {
    Ok(json!({ "flows": [{ "type": PASSWORD }] }))
}

pub(super) fn log_in(api: &Api, request: &Request<'_>) -> Handled {
    let body: Body = request.body()?;
    if body.kind != PASSWORD {
        return Err(invalid(format!("{:?} is no way to log in here", body.kind)));
    }
    let localpart = body.localpart(&api.server_name)?;
    let device_id = body.device_id.as_deref().filter(|id| !id.is_empty());
    if device_id.is_some_and(|id| id.len() > DEVICE_ID_MAX) {
        return Err(invalid("the device's id is too long"));
    }
    let password = body.password.as_deref();
    let password = password.ok_or_else(|| bad_json("password is missing"))?;
    api.attempts.check(&api.accounts, localpart, password)?;
    let name = body.initial_device_display_name.as_deref();
    let login = api.accounts.log_in(localpart, device_id, name);
    let login = login.map_err(errors::from_accounts)?;
    Ok(json!({
        "user_id": format!("@{localpart}:{}", api.server_name),
        "access_token": login.token,
        "device_id": login.device_id,
    }))
}
