//! How soon a server with many rooms answers after its start.

use serde_json::json;

use crate::bench::arena::{Arena, wait_until};
use crate::bench::figures::{Better, Outcome};
use crate::bench::meter::Meter;
use crate::homeservers::failure::Failure;

/// A server that was stopped in order and starts again.
pub fn restart(arena: &Arena) -> Result<Outcome, Failure> {
    let rooms = arena.size(1_000, 200);
    let mut last = String::new();
    for _ in 0..rooms {
        last = arena.user.create_room("11", &json!({}))?;
    }
    arena.meter()?;
    arena.server.process().stop()?;
    arena.server.launch()?;
    let meter = Meter::start(arena.process_id()?)?;
    wait_until("the server answers", || {
        Ok(arena.server.door().versions().is_ok())
    })?;
    let answered = meter.elapsed().as_secs_f64();
    let told = arena.user.ask("GET", "v3/joined_rooms", None)?;
    arena
        .user
        .say(&last, "after-the-start", "here we are again")?;
    let said = meter.elapsed().as_secs_f64();
    meter.wait_for_rest()?;
    let usage = meter.usage()?;
    let outcome = Outcome::of(rooms, "rooms")
        .with("seconds to the first answer", answered, Better::Less)
        .with("seconds to the first message", said, Better::Less)
        .with("CPU until at rest, s", usage.cpu, Better::Less)
        .with_peak(&usage);
    let joined = told["joined_rooms"].as_array().map_or(0, Vec::len);
    Ok(match joined == rooms {
        true => outcome,
        false => outcome.remark(format!("the user is in {joined} of {rooms} rooms")),
    })
}
