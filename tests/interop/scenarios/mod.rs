//! What must work between two homeservers, one topic a file.
//!
//! A scenario knows neither software: it is given a stage, makes its own users and rooms, and
//! returns at the first thing that is not as it should be.

mod asking;
pub mod backlog;
mod history;
mod in_short;
mod inviting;
mod joining;
mod leaving;
mod moderating;
mod noticing;
pub mod ordinary_life;
mod redacting;
pub mod restarts;
pub mod secrets;
mod state;
mod talking;
pub mod weather;

use crate::failure::Failure;
use crate::stage::Stage;

/// A scenario.
pub type Scenario = fn(&Stage) -> Result<(), Failure>;

/// The scenarios for the room versions of old.
pub const SCENARIOS_OF_OLD: &[(&str, Scenario)] =
    &[("a_room_lives_its_life", in_short::life_of_a_room)];

/// Every scenario that leaves both servers running, by the name it has in the test's.
pub const SCENARIOS: &[(&str, Scenario)] = &[
    ("a_remote_user_joins_by_room_id", joining::by_room_id),
    ("a_remote_user_joins_by_alias", joining::by_alias),
    ("a_remote_profile_is_shown", joining::profile),
    (
        "ten_messages_each_way_arrive_in_order_once",
        talking::ten_messages_each_way,
    ),
    (
        "state_set_on_either_side_shows_on_the_other",
        state::shows_on_both_sides,
    ),
    ("an_invite_is_accepted", inviting::accepted),
    ("an_invite_is_refused", inviting::refused),
    ("one_leaves_and_rejoins", leaving::and_rejoining),
    ("a_kick_is_honoured", moderating::kick),
    ("a_ban_is_honoured_until_it_is_lifted", moderating::ban),
    ("a_remote_moderator_is_obeyed", moderating::remote_moderator),
    ("a_redaction_is_honoured", redacting::own_message),
    (
        "a_moderators_redaction_is_honoured",
        redacting::message_of_another,
    ),
    (
        "history_from_before_the_join_is_fetched",
        history::before_the_join,
    ),
    (
        "what_was_said_is_found_by_its_time",
        asking::what_was_said_when,
    ),
    ("a_file_is_seen_on_the_other_server", asking::files),
    ("a_published_room_is_listed", asking::published_rooms),
    ("the_rooms_of_a_space_are_shown", asking::a_space),
    ("who_knocks_is_let_in", asking::knocking),
    ("devices_find_each_other", asking::devices),
    ("who_types_is_noticed", noticing::typing),
    ("what_was_read_is_noticed", noticing::receipts),
    ("who_is_there_is_noticed", noticing::presence),
    ("a_token_tells_whose_it_is", noticing::tokens),
];
