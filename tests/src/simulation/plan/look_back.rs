//! Who looks back, in some plans, finds what was redacted before that.

use std::time::Duration;

use comity_core::{messaging::command::Preset, pdu::RoomVersion};

use super::{Deed, Plan, Slot, Step, User, What};
use crate::rooms::Dice;

/// In one of how many plans this happens.
const RARITY: usize = 8;

/// The room in which it does.
const ROOM: Slot = 6;

/// Adds to a plan, at any time, a message that is redacted after somebody has joined, and who joined
/// looks back on it.
pub(super) fn add(plan: &mut Plan) {
    let mut dice = Dice::new(plan.seed ^ 0xbac2);
    if plan.servers.len() < 2 || !dice.once_in(RARITY) {
        return;
    }
    let host = dice.below(plan.servers.len());
    let guest = (host + 1 + dice.below(plan.servers.len() - 1)) % plan.servers.len();
    let user = |place: usize| User {
        server: plan.servers[place].index,
        name: 0,
    };
    let (host, guest) = (user(host), user(guest));
    let create = Deed::Create {
        room: ROOM,
        version: *dice.pick(RoomVersion::SUPPORTED),
        preset: Preset::Public,
        levels: Vec::new(),
    };
    let deeds = [
        (host, create),
        (host, Deed::Say(ROOM, 1)),
        (guest, Deed::Join(ROOM, host.server)),
        (host, Deed::Redact(ROOM, 0)),
        (guest, Deed::Backfill(ROOM)),
    ];
    let steps = deeds.map(|(user, deed)| Step {
        what: What::Deed(user, deed),
        pause: Duration::from_secs(3),
    });
    let place = dice.below(plan.steps.len() + 1);
    plan.steps.splice(place..place, steps);
}
