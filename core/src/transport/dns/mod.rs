//! The little of the domain name system's wire format that service records need (RFC 1035,
//! RFC 2782): one question, and its answer.
//!
//! Addresses are not asked for this way: the operating system resolves those, as it knows names
//! that are in no zone.
//!
//! An answer is hostile: it may come from anybody who guesses the question's id. What does not
//! answer exactly the question that was asked is no answer.

mod read;

use std::time::Duration;

use self::read::Reader;
use super::names::{Found, Records, Service};

/// The port of name servers.
pub const PORT: u16 = 53;

/// How large an answer over UDP may be; a longer one comes cut, and is asked for over TCP.
pub const DATAGRAM_MAX: usize = 4096;

/// Bytes of a label and of a whole name, at most.
const LABEL_MAX: usize = 63;
const NAME_MAX: usize = 255;

/// How many records of an answer are looked at.
const RECORDS_MAX: u16 = 64;

/// How long an absence is believed that does not say so itself.
const ABSENT_FOR: Duration = Duration::from_secs(60);

const TYPE_SOA: u16 = 6;
const TYPE_SRV: u16 = 33;
const TYPE_OPT: u16 = 41;
const CLASS_IN: u16 = 1;

/// Who offers the service of this name?
///
/// # Errors
/// If it is no domain name.
pub fn question(id: u16, name: &str) -> Result<Vec<u8>, InvalidName> {
    const RECURSION_DESIRED: u16 = 0x0100;
    let mut bytes = Vec::new();
    for field in [id, RECURSION_DESIRED, 1, 0, 0, 1] {
        bytes.extend(field.to_be_bytes());
    }
    let start = bytes.len();
    for label in name.strip_suffix('.').unwrap_or(name).split('.') {
        if label.is_empty() || label.len() > LABEL_MAX {
            return Err(InvalidName);
        }
        bytes.push(u8::try_from(label.len()).map_err(|_| InvalidName)?);
        bytes.extend(label.as_bytes());
    }
    bytes.push(0);
    if bytes.len() - start > NAME_MAX {
        return Err(InvalidName);
    }
    for field in [TYPE_SRV, CLASS_IN] {
        bytes.extend(field.to_be_bytes());
    }
    bytes.push(0);
    for field in [TYPE_OPT, DATAGRAM_MAX as u16, 0, 0, 0] {
        bytes.extend(field.to_be_bytes());
    }
    Ok(bytes)
}

/// It is too long, or has an empty or overlong part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no domain name")]
pub struct InvalidName;

/// Why some bytes tell nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoAnswer {
    /// They answer another question; the right answer may still come.
    #[error("it answers another question")]
    Unrelated,
    /// They are cut: the whole answer is to be had over TCP.
    #[error("the answer is cut")]
    Truncated,
    /// They make no sense.
    #[error("malformed")]
    Malformed,
    /// The name server could not find out.
    #[error("the name server failed with code {0}")]
    Failed(u8),
}

/// Reads the answer to [`question`].
///
/// # Errors
/// See [`NoAnswer`].
pub fn answer(id: u16, name: &str, bytes: &[u8]) -> Result<Found, NoAnswer> {
    let mut reader = Reader::new(bytes);
    let counts = header(&mut reader, id)?;
    let asked = (reader.name()?, reader.u16()?, reader.u16()?);
    let name = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
    if asked != (name.clone(), TYPE_SRV, CLASS_IN) {
        return Err(NoAnswer::Unrelated);
    }
    if counts.truncated {
        return Err(NoAnswer::Truncated);
    }
    let mut services = Vec::new();
    let mut good_for = None;
    let mut canonical = name;
    for _ in 0..counts.answers.min(RECORDS_MAX) {
        let record = reader.record()?;
        if record.class != CLASS_IN || record.name != canonical {
            continue;
        }
        let shortest = good_for.map_or(record.ttl, |known: Duration| known.min(record.ttl));
        match record.data {
            Data::Service(service) => services.push(service),
            Data::Alias(target) => canonical = target,
            Data::Absence(_) | Data::Other => continue,
        }
        good_for = Some(shortest);
    }
    let absent_for = match services.is_empty() && counts.answers <= RECORDS_MAX {
        true => absence(&mut reader, counts.authorities)?,
        false => None,
    };
    Ok(Found {
        records: Records::Services(services),
        good_for: absent_for.or(good_for).unwrap_or(ABSENT_FOR),
    })
}

/// How much there is of what.
struct Counts {
    truncated: bool,
    answers: u16,
    authorities: u16,
}

fn header(reader: &mut Reader<'_>, id: u16) -> Result<Counts, NoAnswer> {
    const IS_RESPONSE: u16 = 0x8000;
    const OPCODE: u16 = 0x7800;
    const TRUNCATED: u16 = 0x0200;
    const NO_SUCH_NAME: u16 = 3;
    let (their_id, flags) = (reader.u16()?, reader.u16()?);
    let (questions, answers, authorities) = (reader.u16()?, reader.u16()?, reader.u16()?);
    let _additional = reader.u16()?;
    if their_id != id || flags & IS_RESPONSE == 0 || flags & OPCODE != 0 || questions != 1 {
        return Err(NoAnswer::Unrelated);
    }
    match flags & 0xf {
        0 | NO_SUCH_NAME => Ok(Counts {
            truncated: flags & TRUNCATED != 0,
            answers,
            authorities,
        }),
        code => Err(NoAnswer::Failed(code.to_be_bytes()[1])),
    }
}

/// For how long a zone lets its names be taken for absent (RFC 2308).
fn absence(reader: &mut Reader<'_>, authorities: u16) -> Result<Option<Duration>, NoAnswer> {
    for _ in 0..authorities.min(RECORDS_MAX) {
        let record = reader.record()?;
        if let Data::Absence(minimum) = record.data {
            return Ok(Some(minimum.min(record.ttl)));
        }
    }
    Ok(None)
}

/// A record of an answer.
struct Record {
    name: String,
    class: u16,
    ttl: Duration,
    data: Data,
}

/// What a record says.
enum Data {
    Service(Service),
    /// The name is another's.
    Alias(String),
    /// For how long names of the zone may be taken for absent.
    Absence(Duration),
    Other,
}

#[cfg(test)]
mod tests;
