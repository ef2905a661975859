//! Who sent a request: checking its `Authorization` header (XMTX-4 to XMTX-10).

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode, Uri, header, request::Parts};
use ruma_common::{OwnedServerName, ServerName};
use serde_json::{Map, Value, json};

use super::{
    matrix_error::{ErrorCode, MatrixError},
    router::ServerRoute,
    x_matrix::{XMatrix, signing_object},
};
use crate::{
    engine::{
        facts::{Blocked, Facts},
        job::Job,
        outcome::Outcome,
    },
    keys::fetch::RefreshKeys,
    pdu::signing,
    transport::serve::ServeRequest,
};

/// How many `X-Matrix` headers, one per key, a request may carry.
const HEADERS_MAX: usize = 4;

/// A request whose sender is not known yet.
#[derive(Clone, Debug)]
pub struct Authenticate {
    route: ServerRoute,
    claims: Claims,
    method: Method,
    uri: Uri,
    content: Option<Value>,
    body: Bytes,
}

/// Who a request says to be of, with the signatures that are to prove it.
#[derive(Clone, Debug)]
pub struct Claims {
    origin: OwnedServerName,
    signed: Vec<XMatrix>,
}

impl Authenticate {
    /// Reads a request that claims this.
    ///
    /// # Errors
    /// 400 if the body cannot be read.
    pub fn new(
        route: ServerRoute,
        claims: Claims,
        parts: &Parts,
        body: Bytes,
    ) -> Result<Self, MatrixError> {
        let content = match parts.method {
            Method::GET => None,
            _ => Some(Value::Object(object(&body)?)),
        };
        Ok(Self {
            route,
            claims,
            method: parts.method.clone(),
            uri: parts.uri.clone(),
            content,
            body,
        })
    }

    /// See [`crate::engine`].
    pub fn decide(&self, facts: &Facts<'_>) -> Result<Outcome, Blocked> {
        let origin = &self.claims.origin;
        if let Err(blocked) = self.keys_are_known(facts) {
            return match facts.may_wait(origin) {
                Ok(()) => Err(blocked),
                Err(error) => Ok(Outcome::refuse(error)),
            };
        }
        let checked = self.check(origin, facts);
        Ok(match checked.and_then(|()| facts.may_serve(origin)) {
            Ok(()) => {
                let (route, body) = (self.route.clone(), self.body.clone());
                let serve = ServeRequest::new(origin.clone(), route, body);
                let refresh = facts.keys_need_refreshing(origin).then(|| RefreshKeys {
                    server: origin.clone(),
                });
                Outcome {
                    alive: Some(origin.clone()),
                    also: refresh.into_iter().map(Job::from).collect(),
                    ..Outcome::phase(Job::from(serve))
                }
            }
            Err(error) => Outcome::refuse(error),
        })
    }

    fn keys_are_known(&self, facts: &Facts<'_>) -> Result<(), Blocked> {
        let Claims { origin, signed } = &self.claims;
        let wall = facts.now().wall;
        let known: Vec<_> = signed
            .iter()
            .map(|claim| facts.key(origin, claim.key.as_str(), wall))
            .collect();
        known.into_iter().collect()
    }

    fn check(&self, origin: &ServerName, facts: &Facts<'_>) -> Result<(), MatrixError> {
        let ours = facts.our_name();
        let elsewhere = |claim: &XMatrix| claim.destination.as_ref().is_some_and(|d| d != ours);
        if self.claims.signed.iter().any(elsewhere) {
            return Err(unauthorised("the request is for another server"));
        }
        let mut object =
            signing_object(&self.method, &self.uri, origin, ours, self.content.as_ref());
        object.insert(
            "signatures".to_owned(),
            signatures(origin, &self.claims.signed),
        );
        let now = facts.now().wall.to_i64();
        let keys = facts.keys_of(origin);
        let valid = keys
            .iter()
            .filter(|key| !key.retired && key.valid_until >= now);
        signing::verify_json(&object, origin, valid)
            .map_err(|error| unauthorised(&error.to_string()))
    }
}

fn signatures(origin: &ServerName, claims: &[XMatrix]) -> Value {
    let by_key: Map<String, Value> = claims
        .iter()
        .map(|claim| (claim.key.to_string(), claim.signature.as_str().into()))
        .collect();
    json!({ origin.as_str(): by_key })
}

impl Claims {
    /// Reads the `Authorization` headers.
    ///
    /// # Errors
    /// 401 without one, 400 if one cannot be read.
    pub fn read(headers: &HeaderMap) -> Result<Self, MatrixError> {
        let headers = headers.get_all(header::AUTHORIZATION).iter();
        let signed: Vec<XMatrix> = headers
            .take(HEADERS_MAX)
            .map(XMatrix::parse)
            .collect::<Result<_, _>>()
            .map_err(|error| {
                unauthorised(&error.to_string()).with_status(StatusCode::BAD_REQUEST)
            })?;
        let mut origins = signed.iter().map(|claim| &claim.origin);
        let Some(origin) = origins.next().cloned() else {
            return Err(unauthorised("the Authorization header is missing"));
        };
        match origins.all(|other| *other == origin) {
            true => Ok(Self { origin, signed }),
            false => Err(unauthorised("several origins in one request")),
        }
    }

    /// Who it says to be of; not to be believed.
    #[must_use]
    pub fn origin(&self) -> &OwnedServerName {
        &self.origin
    }
}

/// A body that must be a JSON object (GEN-3).
fn object(body: &Bytes) -> Result<Map<String, Value>, MatrixError> {
    match serde_json::from_slice(body) {
        Ok(Value::Object(object)) => Ok(object),
        Ok(_) => Err(MatrixError::new(
            ErrorCode::BadJson,
            "the body is no JSON object",
        )),
        Err(error) => Err(MatrixError::new(ErrorCode::NotJson, error.to_string())),
    }
}

fn unauthorised(reason: &str) -> MatrixError {
    MatrixError::new(ErrorCode::Unauthorized, reason)
}
