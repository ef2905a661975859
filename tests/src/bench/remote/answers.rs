//! What remotes answer.

use std::sync::Arc;

use bytes::Bytes;
use comity_core::pdu::Pdu;
use comity_core::transport::json::{json_bytes_response, json_response};
use comity_core::transport::matrix_error::{ErrorCode, MatrixError};
use comity_core::transport::router::{Route, ServerRoute, route};
use http::{Request, Response, StatusCode};
use ruma_common::OwnedRoomId;
use serde_json::{Value, json};

use super::hosted::{Hosted, Span};
use super::{Server, Shared, locked};
use crate::bench::clock;

impl Shared {
    /// The answer of one of the servers.
    pub(super) fn answer(&self, server: &Server, request: &Request<Bytes>) -> Response<Bytes> {
        let uri = request.uri();
        match route(request.method(), uri.path(), uri.query()) {
            Ok(Route::ServerKeys) => server.own.published(clock::now().wall),
            Ok(Route::Version) => {
                let version = json!({ "server": { "name": "bench", "version": "1" } });
                json_response(StatusCode::OK, &version)
            }
            Ok(Route::Authenticated(route)) => self
                .serve(server, route, request.body())
                .unwrap_or_else(unknown),
            Ok(_) => unknown(),
            Err(error) => error.into_response(),
        }
    }

    /// Nothing, if it is not known here.
    fn serve(&self, server: &Server, route: ServerRoute, body: &Bytes) -> Option<Response<Bytes>> {
        match route {
            ServerRoute::Send(transaction_id) => {
                server.inbox.take(transaction_id.as_str(), body);
                Some(text(r#"{"pdus":{}}"#.to_owned()))
            }
            ServerRoute::MakeJoin(room_id, user_id, _) => {
                let template = |hosted: &mut Hosted| hosted.room().join_template(&user_id);
                let template = self.of_room(&room_id, template)?;
                Some(json_response(StatusCode::OK, &template))
            }
            ServerRoute::SendJoin(room_id, _, _) => self
                .of_room(&room_id, |hosted| hosted.let_in(body))?
                .map(text),
            ServerRoute::Event(event_id) => {
                let mut rooms = locked(&self.rooms);
                let event = rooms.values_mut().find_map(|room| room.event(&event_id))?;
                Some(text(events_of(server, &[event])))
            }
            ServerRoute::StateIds(room_id, _) => {
                let ids = self.of_room(&room_id, |hosted| hosted.state_ids())?;
                Some(json_response(StatusCode::OK, &ids))
            }
            ServerRoute::Backfill(room_id, from, limit) => {
                let page = |hosted: &mut Hosted| hosted.backfill(&from, limit as usize);
                let events = self.of_room(&room_id, page)?;
                Some(text(events_of(server, &events)))
            }
            ServerRoute::MissingEvents(room_id) => {
                let span: Span = serde_json::from_slice(body).ok()?;
                let events = self.of_room(&room_id, |hosted| hosted.between(&span))?;
                Some(text(format!(r#"{{"events":[{}]}}"#, listed(&events))))
            }
            _ => None,
        }
    }

    fn of_room<T>(&self, room_id: &OwnedRoomId, read: impl FnOnce(&mut Hosted) -> T) -> Option<T> {
        locked(&self.rooms).get_mut(room_id).map(read)
    }
}

fn unknown() -> Response<Bytes> {
    MatrixError::new(ErrorCode::NotFound, "the bench has no such thing").into_response()
}

fn text(json: String) -> Response<Bytes> {
    json_bytes_response(StatusCode::OK, json.into())
}

fn events_of(server: &Server, events: &[Arc<Pdu>]) -> String {
    let origin = Value::from(server.own.server_name().as_str());
    let now = clock::now().wall.0;
    let pdus = listed(events);
    format!(r#"{{"origin":{origin},"origin_server_ts":{now},"pdus":[{pdus}]}}"#)
}

/// Events as JSON, with commas between them.
pub(super) fn listed<'a>(events: impl IntoIterator<Item = &'a Arc<Pdu>>) -> String {
    let events: Vec<&str> = events.into_iter().map(|event| event.json()).collect();
    events.join(",")
}
