//! What other servers say to and of devices. The accounts here have no devices that could read it,
//! so that all of it is dealt with as soon as it comes.

use std::{
    io,
    sync::{
        Weak,
        mpsc::{Sender, channel},
    },
    thread,
};

use comity_core::{messaging::command::Command, persistence::tables::InboxId};

use crate::homeserver::Homeserver;

/// A thread that acknowledges what is sent to it, as long as the sender lives: whoever is told of
/// an EDU must not block.
pub(super) fn acknowledger(homeserver: Weak<dyn Homeserver>) -> io::Result<Sender<InboxId>> {
    let (sender, told) = channel();
    let acknowledge = move || {
        for through in told {
            let Some(homeserver) = homeserver.upgrade() else {
                return;
            };
            if let Err(error) = homeserver.command(Command::Acknowledge { through }) {
                tracing::debug!(%error, "an EDU is not acknowledged, and will be told again");
            }
        }
    };
    thread::Builder::new()
        .name("acknowledger".to_owned())
        .spawn(acknowledge)?;
    Ok(sender)
}
