//! What comes out of the core.

use bytes::Bytes;

use crate::{
    engine::compute::Computation,
    input::{CallId, CommandId, ComputationId, LookupId, QueryId, QuestionId, RequestId},
    messaging::{
        command::{CommandError, Reply},
        notice::{Notice, Question},
    },
    persistence::queries::Query,
    time::Monotonic,
    transport::{names::Lookup, server_address::ServerAddress},
};

/// Something the runtime must do. Actions are to be begun in the order in which they come; only
/// queries must also be finished in that order.
#[derive(Debug)]
pub enum Action {
    /// Answer a request.
    Respond(RequestId, http::Response<Bytes>),
    /// Send a request and give the outcome back as [`Input::Response`](crate::Input::Response),
    /// by the deadline at the latest.
    Call(Box<Call>),
    /// Look a name up and give the outcome back as [`Input::Found`](crate::Input::Found), by this
    /// moment at the latest.
    LookUp(LookupId, Lookup, Monotonic),
    /// Run a query and give the outcome back as [`Input::Answer`](crate::Input::Answer).
    Query(QueryId, Query),
    /// Run a computation, on any thread, and give the outcome back as
    /// [`Input::Computed`](crate::Input::Computed).
    Compute(ComputationId, Computation),
    /// Tell the application how its command went.
    Complete(CommandId, Result<Reply, CommandError>),
    /// Tell the application what happened.
    Notify(Notice),
    /// Ask the application and give the outcome back as [`Input::Told`](crate::Input::Told).
    Ask(QuestionId, Question),
    /// The database failed, so the core knows more than the disk: stop the server.
    Halt(String),
}

/// A request to another server.
#[derive(Clone, Debug)]
pub struct Call {
    /// Names the call.
    pub id: CallId,
    /// Where to connect to and how to check who answers. Nothing is left to be resolved, and no
    /// other address may be connected to.
    pub address: ServerAddress,
    /// The request, complete with `Host` and `Authorization`.
    pub request: http::Request<Bytes>,
    /// When to give up, connecting included.
    pub deadline: Monotonic,
    /// The largest response body to accept, in bytes.
    pub response_limit: usize,
}
