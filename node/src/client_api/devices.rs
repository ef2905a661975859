//! The devices that a user is logged in with.

use comity_core::transport::matrix_error::{ErrorCode, MatrixError};
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    Handled,
    errors::{self, not_found},
    login,
    request::Request,
    session::Session,
};
use crate::accounts::{Caller, Device};

#[derive(Deserialize)]
struct Names {
    devices: Vec<String>,
}

pub(super) fn list(session: &Session<'_>, _request: &Request<'_>) -> Handled {
    let devices: Vec<_> = session.own_devices()?.iter().map(described).collect();
    Ok(json!({ "devices": devices }))
}

pub(super) fn show(session: &Session<'_>, request: &Request<'_>) -> Handled {
    let mut devices = session.own_devices()?.into_iter();
    let device = devices.find(|device| device.device_id == request.parameter(0));
    device.as_ref().map(described).ok_or_else(no_such_device)
}

pub(super) fn rename(session: &Session<'_>, request: &Request<'_>) -> Handled {
    let body = request.object()?;
    let Some(name) = body.get("display_name").and_then(Value::as_str) else {
        return show(session, request).map(|_| json!({}));
    };
    let device = session.own_device(request.parameter(0));
    let renamed = session.api.accounts.rename_device(&device, name);
    match renamed.map_err(errors::from_accounts)? {
        true => Ok(json!({})),
        false => Err(no_such_device()),
    }
}

pub(super) fn remove(session: &Session<'_>, request: &Request<'_>) -> Handled {
    session.must_confirm(request)?;
    session.forget_device(&session.own_device(request.parameter(0)))?;
    Ok(json!({}))
}

pub(super) fn remove_several(session: &Session<'_>, request: &Request<'_>) -> Handled {
    let Names { devices } = request.body()?;
    session.must_confirm(request)?;
    for device_id in devices {
        session.forget_device(&session.own_device(&device_id))?;
    }
    Ok(json!({}))
}

/// A request comes from the device that it logs out.
pub(super) fn log_out(session: &Session<'_>, _request: &Request<'_>) -> Handled {
    session.forget_device(&session.caller)?;
    Ok(json!({}))
}

pub(super) fn log_out_all(session: &Session<'_>, _request: &Request<'_>) -> Handled {
    for device in session.own_devices()? {
        session.forget_device(&session.own_device(&device.device_id))?;
    }
    Ok(json!({}))
}

/// Where and when a device was last seen is not noted; some clients need the fields all the same.
fn described(device: &Device) -> Value {
    json!({
        "device_id": device.device_id,
        "display_name": device.display_name,
        "last_seen_ip": null,
        "last_seen_ts": null,
    })
}

fn no_such_device() -> MatrixError {
    not_found("you have no such device")
}

impl Session<'_> {
    fn own_devices(&self) -> Result<Vec<Device>, MatrixError> {
        let devices = self.api.accounts.devices(&self.caller.localpart);
        devices.map_err(errors::from_accounts)
    }

    /// The device of the user that would have this id.
    fn own_device(&self, device_id: &str) -> Caller {
        Caller {
            localpart: self.caller.localpart.clone(),
            device_id: device_id.to_owned(),
        }
    }

    fn forget_device(&self, device: &Caller) -> Result<(), MatrixError> {
        let had_keys = self.api.accounts.remove_device(device);
        if had_keys.map_err(errors::from_accounts)? {
            self.announce_device_of(device, None)?;
        }
        Ok(())
    }

    /// Errors unless the request confirms, by the user's password, that it comes from them and not from
    /// whoever found one of their devices (client-server API, "User-Interactive Authentication API").
    /// There is one stage, so nothing is remembered between the request that learns of it and the one
    /// that passes it.
    fn must_confirm(&self, request: &Request<'_>) -> Result<(), MatrixError> {
        let body = request.object()?;
        let ask = |error: &str| {
            MatrixError::new(ErrorCode::Forbidden, error)
                .with_status(StatusCode::UNAUTHORIZED)
                .with("flows", json!([{ "stages": [login::PASSWORD] }]))
                .with("params", json!({}))
                .with("session", "password")
        };
        let Some(auth) = body.get("auth") else {
            return Err(ask("the password is needed"));
        };
        let password = auth["password"].as_str().unwrap_or_default();
        if auth["type"] != login::PASSWORD {
            return Err(ask("there is no such way to confirm"));
        }
        let (attempts, accounts) = (&self.api.attempts, &self.api.accounts);
        let checked = attempts.check(accounts, &self.caller.localpart, password);
        checked.map_err(|error| match error.errcode {
            ErrorCode::Forbidden => ask("this is not the password"),
            _ => error,
        })
    }
}
