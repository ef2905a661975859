//! `comity status`: how a running server stands.

use std::{
    fmt::Write as _,
    io::{self, Write as _},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use clap::Args;
use comity_core::{
    WallTime,
    messaging::status::{DestinationState, DestinationStatus, JoinState, JoinStatus, Status},
};
use serde::Deserialize;

use crate::{
    cli::CommandResult,
    client_api::STATUS,
    room_cli::{Connection, client::Client},
};

/// See `comity status --help`.
#[derive(Debug, Args)]
pub struct StatusArguments {
    #[command(flatten)]
    connection: Connection,
    /// Print what the server answers, as JSON
    #[arg(long)]
    json: bool,
}

/// Prints the servers that are owed something or failed, the jobs, the rooms with several ends, and
/// those that were joined in part.
///
/// # Errors
/// When the server cannot be reached or refuses.
pub fn run(arguments: &StatusArguments) -> CommandResult {
    let answer = Client::connect(&arguments.connection)?.get(STATUS)?;
    let page = match arguments.json {
        true => format!("{answer}\n"),
        false => {
            let now = SystemTime::now().duration_since(UNIX_EPOCH)?;
            let now = WallTime(now.as_millis().try_into()?);
            page(&Status::deserialize(answer)?, now)
        }
    };
    Ok(io::stdout().lock().write_all(page.as_bytes())?)
}

fn page(status: &Status, now: WallTime) -> String {
    let mut page = String::new();
    let destinations = status.destinations.iter();
    let rows = destinations.map(|it| destination(it, now)).collect();
    let head = [
        "server",
        "state",
        "failed",
        "queued",
        "last success",
        "last error",
    ];
    table(
        &mut page,
        "destinations that are owed something or failed",
        head,
        rows,
    );
    let rows = status.jobs.iter().map(|job| {
        let waits_for = job.waits_for.join(", ");
        let age = rough(Duration::from_millis(job.for_ms));
        [job.id.to_string(), job.kind.clone(), age, waits_for]
    });
    table(
        &mut page,
        "jobs under way",
        ["job", "kind", "for", "waits for"],
        rows.collect(),
    );
    let rows = status.rooms.iter();
    let rows = rows.map(|room| [room.room_id.to_string(), room.extremities.to_string()]);
    table(
        &mut page,
        "rooms with several ends",
        ["room", "ends"],
        rows.collect(),
    );
    let rows = status.joins.iter().map(|it| join(it, now));
    let head = [
        "room",
        "user",
        "for",
        "its state",
        "rounds in vain",
        "events waiting",
    ];
    table(
        &mut page,
        "rooms joined in part, shown when their state has come",
        head,
        rows.collect(),
    );
    page
}

fn join(of: &JoinStatus, now: WallTime) -> [String; 6] {
    let state = match &of.state {
        JoinState::Asking { server } => format!("asked of {server}"),
        JoinState::Checking => "being checked".to_owned(),
        JoinState::Pausing { until } => {
            let (by, others) = (&of.taken_by, of.others);
            let pause = rough(until.since(now));
            format!("asked of {by} and {others} others again in {pause}")
        }
    };
    [
        of.room_id.to_string(),
        of.user_id.to_string(),
        rough(now.since(of.taken_at)),
        state,
        of.rounds.to_string(),
        of.staged.to_string(),
    ]
}

fn destination(of: &DestinationStatus, now: WallTime) -> [String; 6] {
    let state = match of.state {
        DestinationState::BackingOff { until } => {
            format!("left alone for {}", rough(until.since(now)))
        }
        DestinationState::Idle => "in line".to_owned(),
        DestinationState::CatchingUp => "reading what it missed".to_owned(),
        DestinationState::InFlight => "waiting for its answer".to_owned(),
    };
    let more = if of.more_on_disk { "+" } else { "" };
    let ago = |at: WallTime| format!("{} ago", rough(now.since(at)));
    let error = of.last_error.as_ref();
    [
        of.server.to_string(),
        state,
        of.failures.to_string(),
        format!("{}{more}", of.queued),
        of.last_success.map_or("-".to_owned(), ago),
        error.map_or("-".to_owned(), |it| {
            format!("{}: {}", ago(it.at), it.reason)
        }),
    ]
}

/// A headed table whose columns are as wide as they must be; only "none" if there is no row.
fn table<const N: usize>(page: &mut String, title: &str, head: [&str; N], rows: Vec<[String; N]>) {
    if rows.is_empty() {
        let _ = writeln!(page, "{title}: none");
        return;
    }
    let _ = writeln!(page, "{title}: {}", rows.len());
    let head = head.map(str::to_owned);
    let lines: Vec<&[String; N]> = std::iter::once(&head).chain(&rows).collect();
    let mut widths = [0; N];
    for line in &lines {
        for (width, cell) in widths.iter_mut().zip(line.iter()) {
            *width = cell.chars().count().max(*width);
        }
    }
    for line in lines {
        let cells = line.iter().zip(widths);
        let cells: Vec<_> = cells
            .map(|(cell, width)| format!("{cell:width$}"))
            .collect();
        let _ = writeln!(page, "  {}", cells.join("  ").trim_end());
    }
}

/// A time to one figure and its unit.
fn rough(time: Duration) -> String {
    match time.as_secs() {
        0 => format!("{} ms", time.as_millis()),
        seconds @ 1..120 => format!("{seconds} s"),
        seconds @ 120..7200 => format!("{} min", seconds / 60),
        seconds @ 7200..172_800 => format!("{} h", seconds / 3600),
        seconds => format!("{} days", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use comity_core::messaging::status::{Failure, JobStatus, RoomStatus};

    use super::*;

    fn join(state: JoinState) -> JoinStatus {
        JoinStatus {
            room_id: "!b:elm.example".try_into().unwrap(),
            user_id: "@ann:oak.example".try_into().unwrap(),
            taken_by: "fir.example".try_into().unwrap(),
            taken_at: WallTime(9_990_000),
            state,
            rounds: 1,
            others: 2,
            staged: 3,
        }
    }

    #[test]
    fn every_part_is_told_in_columns() {
        let now = WallTime(10_000_000);
        let status = Status {
            destinations: vec![DestinationStatus {
                server: "elm.example".try_into().unwrap(),
                state: DestinationState::BackingOff {
                    until: WallTime(10_090_000),
                },
                queued: 0,
                more_on_disk: true,
                failures: 3,
                last_success: Some(WallTime(2_000_000)),
                last_error: Some(Failure {
                    at: WallTime(9_999_500),
                    reason: "timed out".to_owned(),
                }),
            }],
            jobs: vec![JobStatus {
                id: 7,
                kind: "SeekEvents".to_owned(),
                for_ms: 2500,
                waits_for: vec!["event $a".to_owned(), "2 other jobs".to_owned()],
            }],
            rooms: vec![RoomStatus {
                room_id: "!a:elm.example".try_into().unwrap(),
                extremities: 12,
            }],
            joins: vec![
                join(JoinState::Asking {
                    server: "elm.example".try_into().unwrap(),
                }),
                join(JoinState::Pausing {
                    until: WallTime(10_030_000),
                }),
            ],
        };
        assert_eq!(
            page(&status, now).lines().collect::<Vec<_>>(),
            [
                "destinations that are owed something or failed: 1",
                "  server       state                failed  queued  last success  last error",
                "  elm.example  left alone for 90 s  3       0+      2 h ago       500 ms ago: timed out",
                "jobs under way: 1",
                "  job  kind        for  waits for",
                "  7    SeekEvents  2 s  event $a, 2 other jobs",
                "rooms with several ends: 1",
                "  room            ends",
                "  !a:elm.example  12",
                "rooms joined in part, shown when their state has come: 2",
                "  room            user              for   its state                                        rounds in vain  events waiting",
                "  !b:elm.example  @ann:oak.example  10 s  asked of elm.example                             1               3",
                "  !b:elm.example  @ann:oak.example  10 s  asked of fir.example and 2 others again in 30 s  1               3",
            ]
        );
        assert_eq!(
            page(&Status::default(), now)
                .lines()
                .filter(|line| line.ends_with(": none"))
                .count(),
            4
        );
    }
}
