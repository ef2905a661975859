//! Addresses that are invited, in some plans, and whose they turn out to be.

use std::time::Duration;

use super::{Deed, Plan, Slot, Step, USERS, User, What, draw::small};
use crate::rooms::Dice;

/// In one of how many plans an address is invited.
const RARITY: usize = 6;

/// The room that it is invited to.
const ROOM: Slot = 0;

/// Adds such an invitation to a plan, at any time after the room was made, and to the rest of it that
/// somebody is found out, and comes.
pub(super) fn add(plan: &mut Plan) {
    let mut dice = Dice::new(plan.seed ^ 0xadd2);
    let is_made = |step: &Step| matches!(step.what, What::Deed(_, Deed::Create { room: ROOM, .. }));
    let made = plan.steps.iter().position(is_made);
    let Some(made) = made.filter(|_| dice.once_in(RARITY)) else {
        return;
    };
    let mut user = || User {
        server: plan.servers[dice.below(plan.servers.len())].index,
        name: small(dice.below(USERS.len())),
    };
    let (guest, other) = (user(), user());
    let What::Deed(creator, _) = plan.steps[made].what else {
        return;
    };
    let host = if dice.once_in(4) { other } else { creator };
    let invited = after(made, plan, &mut dice);
    insert(plan, invited, host, Deed::InviteAddress(ROOM), 3);
    for _ in 0..1 + dice.below(2) {
        let found = after(invited, plan, &mut dice);
        insert(plan, found, guest, Deed::Join(ROOM, host.server), 3);
        insert(plan, found, guest, Deed::IsFoundOut(ROOM), 10);
    }
}

/// A place between a step and the end.
fn after(step: usize, plan: &Plan, dice: &mut Dice) -> usize {
    step + 1 + dice.below(plan.steps.len() - step)
}

fn insert(plan: &mut Plan, place: usize, user: User, deed: Deed, seconds: u64) {
    let step = Step {
        what: What::Deed(user, deed),
        pause: Duration::from_secs(seconds),
    };
    plan.steps.insert(place, step);
}
