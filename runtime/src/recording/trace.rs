//! Actions, short enough to be kept and exact enough to be told apart.

use comity_core::{Action, messaging::notice::Question, transport::endpoint_name::endpoint_name};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// How much of an action can be read in a log, in characters.
const WORDS_MAX: usize = 300;

/// One action of the core.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trace {
    /// The action, for people; cut if it is long.
    pub words: String,
    /// The beginning of the SHA-256 of all of it, as a number.
    pub digest: u64,
}

impl Trace {
    /// Of this action. Neither signatures to be checked nor tokens are part of it.
    #[must_use]
    pub fn of(action: &Action) -> Self {
        let words = words(action);
        let digest = Sha256::digest(words.as_bytes());
        let first = digest.first_chunk().copied().unwrap_or_default();
        Self {
            words: cut(words),
            digest: u64::from_be_bytes(first),
        }
    }
}

fn words(action: &Action) -> String {
    match action {
        Action::Compute(id, computation) => format!("Compute({id:?}, {:?})", computation.events),
        Action::Ask(id, Question::OpenIdUser(_)) => format!("Ask({id:?}, OpenIdUser)"),
        Action::Call(call) if endpoint_name(call.request.uri().path()) == "openid/userinfo" => {
            format!("Call({:?}, openid/userinfo)", call.id)
        }
        other => format!("{other:?}"),
    }
}

fn cut(mut words: String) -> String {
    if let Some((end, _)) = words.char_indices().nth(WORDS_MAX) {
        words.truncate(end);
        words.push('…');
    }
    words
}
