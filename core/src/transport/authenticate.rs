//! Who sent a request: checking its `Authorization` header (XMTX-4 to XMTX-10).

use bytes::Bytes;
use http::{Method, StatusCode, Uri, header, request::Parts};
use ruma_common::ServerName;
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
    claims: Vec<XMatrix>,
    method: Method,
    uri: Uri,
    content: Option<Value>,
    body: Bytes,
}

impl Authenticate {
    /// Reads what a request claims of itself.
    ///
    /// # Errors
    /// 401 without the header, 400 if it, or the body, cannot be read.
    pub fn new(route: ServerRoute, parts: &Parts, body: Bytes) -> Result<Self, MatrixError> {
        let claims = claims(parts)?;
        let content = match parts.method {
            Method::GET => None,
            _ => Some(Value::Object(object(&body)?)),
        };
        let (method, uri) = (parts.method.clone(), parts.uri.clone());
        Ok(Self {
            route,
            claims,
            method,
            uri,
            content,
            body,
        })
    }

    /// See [`crate::engine`].
    pub fn decide(&self, facts: &Facts<'_>) -> Result<Outcome, Blocked> {
        let Some(origin) = self.claims.first().map(|claim| claim.origin.clone()) else {
            return Ok(Outcome::respond(
                unauthorised("no X-Matrix header").into_response(),
            ));
        };
        let wall = facts.now().wall;
        let known: Vec<_> = self
            .claims
            .iter()
            .map(|claim| facts.key(&origin, claim.key.as_str(), wall))
            .collect();
        known.into_iter().collect::<Result<Vec<()>, Blocked>>()?;
        Ok(match self.check(&origin, facts) {
            Ok(()) => {
                let (route, body) = (self.route.clone(), self.body.clone());
                let serve = ServeRequest::new(origin.clone(), route, body);
                let refresh = facts.keys_need_refreshing(&origin).then(|| RefreshKeys {
                    server: origin.clone(),
                });
                Outcome {
                    alive: Some(origin),
                    also: refresh.into_iter().map(Job::from).collect(),
                    ..Outcome::phase(Job::from(serve))
                }
            }
            Err(error) => Outcome::respond(error.into_response()),
        })
    }

    fn check(&self, origin: &ServerName, facts: &Facts<'_>) -> Result<(), MatrixError> {
        let ours = facts.our_name();
        let elsewhere = |claim: &XMatrix| claim.destination.as_ref().is_some_and(|d| d != ours);
        if self.claims.iter().any(elsewhere) {
            return Err(unauthorised("the request is for another server"));
        }
        let mut object =
            signing_object(&self.method, &self.uri, origin, ours, self.content.as_ref());
        object.insert("signatures".to_owned(), signatures(origin, &self.claims));
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

fn claims(parts: &Parts) -> Result<Vec<XMatrix>, MatrixError> {
    let headers = parts
        .headers
        .get_all(header::AUTHORIZATION)
        .iter()
        .take(HEADERS_MAX);
    let claims: Vec<XMatrix> = headers
        .map(XMatrix::parse)
        .collect::<Result<_, _>>()
        .map_err(|error| unauthorised(&error.to_string()).with_status(StatusCode::BAD_REQUEST))?;
    let mut origins = claims.iter().map(|claim| &claim.origin);
    let Some(first) = origins.next() else {
        return Err(unauthorised("the Authorization header is missing"));
    };
    match origins.all(|origin| origin == first) {
        true => Ok(claims),
        false => Err(unauthorised("several origins in one request")),
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
