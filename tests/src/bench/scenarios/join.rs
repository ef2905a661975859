//! How long a user waits for a join through a remote, and the server works on it.
//!
//! The room's members are on twenty servers, whose keys have to be asked for. The answer holds every
//! member: no remote offers a join in part.

use crate::bench::arena::Arena;
use crate::bench::figures::{Better, Outcome};
use crate::bench::remote::hosted::Hosted;
use crate::bench::room::Room;
use crate::homeservers::failure::Failure;

/// On how many servers the members are.
const SERVERS: usize = 20;

const MEBIBYTE: f64 = 1024.0 * 1024.0;

/// A small room.
pub fn of_100(arena: &Arena) -> Result<Outcome, Failure> {
    join(arena, arena.size(100, 100))
}

/// A large room.
pub fn of_1000(arena: &Arena) -> Result<Outcome, Failure> {
    join(arena, arena.size(1_000, 1_000))
}

/// A very large room.
pub fn of_5000(arena: &Arena) -> Result<Outcome, Failure> {
    join(arena, arena.size(5_000, 5_000))
}

/// One of the largest rooms there are.
pub fn of_20000(arena: &Arena) -> Result<Outcome, Failure> {
    match arena.size(20_000, 0) {
        0 => Ok(Outcome::default().remark("left out without `--full`")),
        members => join(arena, members),
    }
}

fn join(arena: &Arena, members: usize) -> Result<Outcome, Failure> {
    let remote = arena.remote(SERVERS)?;
    let mut room = Room::found("join", remote.speaker(0)?)?;
    for number in 1..members {
        room.admit(&remote.speaker(number)?)?;
    }
    let hosted = Hosted::of(room, &remote);
    let room_id = hosted.room().room_id.clone();
    let answer_bytes = hosted.join_answer_bytes();
    remote.host(hosted);
    let meter = arena.meter()?;
    let host = remote.server(0)?.own.server_name();
    arena.user.join(room_id.as_str(), &[host.as_str()])?;
    let answered = meter.elapsed();
    let complete = meter.wait_for_rest()?.max(answered);
    let usage = meter.usage()?;
    let outcome = Outcome::of(members, "members")
        .with(
            "seconds to the join's answer",
            answered.as_secs_f64(),
            Better::Less,
        )
        .with(
            "seconds until at rest",
            complete.as_secs_f64(),
            Better::Less,
        )
        .with("CPU until at rest, s", usage.cpu, Better::Less)
        .with(
            "remote's answer, MiB",
            answer_bytes as f64 / MEBIBYTE,
            Better::Neither,
        )
        .with(
            "written to disk, MiB",
            usage.written / MEBIBYTE,
            Better::Less,
        )
        .with_peak(&usage)
        .with(
            "memory added, times the answer",
            usage.growth / answer_bytes as f64,
            Better::Less,
        );
    let shown = arena.user.joined_members(room_id.as_str())?.len();
    Ok(match shown == members + 1 {
        true => outcome,
        false => outcome.remark(format!("{shown} of {} members are shown", members + 1)),
    })
}
