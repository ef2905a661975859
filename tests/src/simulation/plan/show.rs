//! Plans in words, for whoever has to understand a failure.

use std::{fmt, time::Duration};

use comity_core::messaging::command::Preset;

use super::{Deed, Fault, NAMES, Plan, ServerPlan, Step, USERS, User, What};
use crate::simulation::{
    database::DatabaseKind,
    network::{Mishap, Quality},
};

/// The name of the server with this index.
pub fn server(index: u8) -> &'static str {
    NAMES[usize::from(index) % NAMES.len()]
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "seed {}, {} servers, {} steps",
            self.seed,
            self.servers.len(),
            self.steps.len()
        )?;
        for server in &self.servers {
            writeln!(f, "  {server}")?;
        }
        for (index, step) in self.steps.iter().enumerate() {
            writeln!(f, "  {index:3}. {step}")?;
        }
        Ok(())
    }
}

impl fmt::Display for ServerPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", server(self.index))?;
        if self.skew != 0 {
            write!(f, ", its clock off by {} s", self.skew)?;
        }
        if self.extremities_max != Self::usual(self.index).extremities_max {
            let ends = self.extremities_max;
            write!(f, ", merging branches when there are more than {ends}")?;
        }
        if self.joins_in_part {
            f.write_str(", joining in part")?;
        }
        f.write_str(match self.database {
            DatabaseKind::Model => ", on a model of a database",
            DatabaseKind::Sqlite => ", on SQLite",
            DatabaseKind::Compared => ", on SQLite and a model, compared",
        })?;
        match self.hostile {
            true => f.write_str("; SOMEBODY HOSTILE HAS ITS KEY AND ITS WIRES"),
            false => Ok(()),
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.what {
            What::Deed(user, deed) => write!(f, "{user} {deed}")?,
            What::Fault(fault) => write!(f, "{fault}")?,
            What::Lie(index, lie) => write!(f, "{} {lie}", server(*index))?,
        }
        match self.pause {
            Duration::ZERO => Ok(()),
            pause => write!(f, "; {} pass", Words(pause)),
        }
    }
}

/// A time in words.
pub struct Words(pub Duration);

impl fmt::Display for Words {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.as_secs();
        match seconds {
            0 => write!(f, "{} ms", self.0.as_millis()),
            1..120 => write!(f, "{seconds} s"),
            120..7_200 => write!(f, "{} min", seconds / 60),
            7_200..172_800 => write!(f, "{} h", seconds / 3_600),
            _ => write!(f, "{} days", seconds / 86_400),
        }
    }
}

impl fmt::Display for User {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = USERS[usize::from(self.name) % USERS.len()];
        write!(f, "@{name}:{}", server(self.server))
    }
}

impl fmt::Display for Deed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Create {
                room,
                version,
                preset,
                levels,
            } => {
                let open = match preset {
                    Preset::Public => "open to all",
                    Preset::Private | Preset::TrustedPrivate => "by invitation",
                };
                write!(f, "creates room {room}, version {version}, {open}")?;
                let above = levels.iter().filter(|(_, level)| *level > 0);
                above.into_iter().try_for_each(|(index, level)| {
                    write!(f, ", @ann:{} at {level}", server(*index))
                })
            }
            Self::Join(room, via) => write!(f, "joins room {room} by way of {}", server(*via)),
            Self::Knock(room, via) => {
                write!(f, "knocks at room {room} by way of {}", server(*via))
            }
            Self::Leave(room) => write!(f, "leaves room {room}"),
            Self::Invite(room, user) => write!(f, "invites {user} to room {room}"),
            Self::Moderate(room, user, membership) => {
                write!(f, "sets {user} to {membership} in room {room}")
            }
            Self::Empower(room, user, level) => {
                write!(f, "sets {user} to level {level} in room {room}")
            }
            Self::Say(room, 1) => write!(f, "talks in room {room}"),
            Self::Say(room, times) => write!(f, "says {times} things in room {room}"),
            Self::Repeat(room) => write!(f, "says one thing twice in room {room}"),
            Self::Redact(room, number) => write!(f, "redacts message {number} of room {room}"),
            Self::Backfill(room) => write!(f, "looks back in room {room}"),
            Self::JoinRule(room, rule) => write!(f, "makes room {room} {rule}"),
            Self::Topic(room, number) => write!(f, "sets the topic of room {room} to {number}"),
            Self::Acl(room, None) => write!(f, "lets all servers into room {room}"),
            Self::Acl(room, Some(denied)) => {
                write!(f, "shuts {} out of room {room}", server(*denied))
            }
            Self::Visibility(room, visibility) => {
                write!(f, "shows the past of room {room} to {visibility}")
            }
            Self::Type(room) => write!(f, "types in room {room}"),
            Self::InviteAddress(room) => write!(f, "invites an address to room {room}"),
            Self::IsFoundOut(room) => {
                write!(
                    f,
                    "is found out to be whose address was invited to room {room}"
                )
            }
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Crash(index) => write!(f, "{} crashes", server(*index)),
            Self::CrashAfterCommits(index, commits) => {
                write!(f, "{} will crash after {commits} commits", server(*index))
            }
            Self::DiskFails(index, commits) => {
                write!(
                    f,
                    "the disk of {} will fail at commit {commits} from now",
                    server(*index)
                )
            }
            Self::DiskSlow(index, pace) => {
                write!(f, "the disk of {} takes up to {pace} ms", server(*index))
            }
            Self::Start(index) => write!(f, "{} starts", server(*index)),
            Self::NewKey(index) => write!(f, "{} starts with a new key", server(*index)),
            Self::Cut(from, to) => {
                write!(f, "nothing gets from {} to {}", server(*from), server(*to))
            }
            Self::Mend(from, to) => write!(
                f,
                "the wire from {} to {} is mended",
                server(*from),
                server(*to)
            ),
            Self::CutOff(index) => write!(f, "{} is cut off from all", server(*index)),
            Self::Reconnect(index) => write!(f, "{} is reached again", server(*index)),
            Self::Degrade(
                from,
                to,
                Quality {
                    latency,
                    jitter,
                    lost,
                    doubled,
                },
            ) => write!(
                f,
                "the wire from {} to {} takes {latency} to {} ms, loses {lost} % and doubles {doubled} %",
                server(*from),
                server(*to),
                latency + jitter,
            ),
            Self::Mishap(index, target, mishap) => {
                let what = match mishap {
                    Mishap::LoseRequest => "is lost",
                    Mishap::LoseAnswer => "loses its answer",
                    Mishap::DoubleRequest => "comes twice",
                };
                write!(
                    f,
                    "the next request for {target} to {} {what}",
                    server(*index)
                )
            }
        }
    }
}
