//! One request of one user.

use std::{cell::RefCell, collections::BTreeMap, sync::Arc};

use comity_core::{
    messaging::command::{Command, Reply},
    pdu::StateMap,
    persistence::tables::SnapshotId,
    transport::matrix_error::{ErrorCode, MatrixError},
};
use ruma_common::{OwnedUserId, UserId};

use super::{Api, errors, request::Request};
use crate::accounts::Caller;

/// Who asks, and what was read for them so far.
pub(super) struct Session<'a> {
    pub(super) api: &'a Api,
    pub(super) caller: Caller,
    pub(super) user_id: OwnedUserId,
    /// Snapshots never change, and many events share one.
    pub(super) snapshots: RefCell<BTreeMap<SnapshotId, Arc<StateMap>>>,
}

impl<'a> Session<'a> {
    /// Errors with `M_MISSING_TOKEN` or `M_UNKNOWN_TOKEN`.
    pub(super) fn authenticate(api: &'a Api, request: &Request<'_>) -> Result<Self, MatrixError> {
        let missing = || MatrixError::new(ErrorCode::MissingToken, "an access token is needed");
        let unknown = || MatrixError::new(ErrorCode::UnknownToken, "the access token is unknown");
        let token = request.access_token().ok_or_else(missing)?;
        let caller = api.accounts.caller(token).map_err(errors::from_accounts)?;
        let caller = caller.ok_or_else(unknown)?;
        let user_id = UserId::parse_with_server_name(caller.localpart.as_str(), &api.server_name)
            .map_err(|_| unknown())?;
        Ok(Self {
            api,
            caller,
            user_id,
            snapshots: RefCell::default(),
        })
    }

    pub(super) fn command(&self, command: impl Into<Command>) -> Result<Reply, MatrixError> {
        self.api.command(command)
    }
}
