//! Names, times and ids as people read them.
//!
//! What other servers wrote may hold anything: control characters that move a terminal's cursor,
//! marks that turn the direction of writing. Nothing of it is printed before it is [`legible`].

use std::collections::BTreeSet;

use comity_core::pdu::explain::{EventBrief, Standing};

use super::page::Tone;

/// The shortest id that is printed, without its sigil.
const ID_LETTERS_MIN: usize = 8;

const MILLISECONDS_OF_A_DAY: i64 = 86_400_000;

/// The longest of an id that is printed where it need not be whole.
const ID_LETTERS_MAX: usize = 24;

/// The text without anything that does more than stand where it is.
pub(super) fn legible(text: &str) -> String {
    text.chars()
        .map(|character| match is_legible(character) {
            true => character,
            false => '\u{fffd}',
        })
        .collect()
}

fn is_legible(character: char) -> bool {
    let steers_writing = matches!(
        character,
        '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e007f}'
    );
    !character.is_control() && !steers_writing
}

/// What an event is: its type, and what it does to whom.
pub(super) fn what(event: &EventBrief) -> String {
    let state_key = event.state_key.as_deref().unwrap_or_default();
    let what = match (&event.membership, state_key) {
        (Some(membership), user) if user == event.sender => {
            format!("{} {membership}", event.event_type)
        }
        (Some(membership), user) => format!("{} {membership} {user}", event.event_type),
        (None, "") => event.event_type.clone(),
        (None, key) => format!("{} {key}", event.event_type),
    };
    legible(&what)
}

/// What became of an event, in a word, and how that is meant.
pub(super) fn standing(standing: Standing) -> (Tone, &'static str) {
    match standing {
        Standing::Accepted => (Tone::Good, "accepted"),
        Standing::SoftFailed => (Tone::Doubtful, "soft-failed"),
        Standing::Rejected => (Tone::Bad, "rejected"),
        Standing::Backfilled => (Tone::Faint, "backfilled"),
        Standing::Outlier => (Tone::Faint, "outlier"),
    }
}

/// A number of things.
pub(super) fn count(number: usize, one: &str, several: &str) -> String {
    match number {
        1 => format!("1 {one}"),
        _ => format!("{number} {several}"),
    }
}

/// How much of each event id to print so that all differ.
pub(super) struct ShortIds {
    letters: usize,
}

impl ShortIds {
    /// For these ids.
    pub(super) fn of<'i>(ids: impl IntoIterator<Item = &'i str>) -> Self {
        let ids: BTreeSet<&str> = ids.into_iter().collect();
        let differ = |letters: &usize| {
            let short: BTreeSet<String> = ids.iter().map(|id| cut(id, *letters)).collect();
            short.len() == ids.len()
        };
        let letters = (ID_LETTERS_MIN..ID_LETTERS_MAX).find(differ);
        Self {
            letters: letters.unwrap_or(ID_LETTERS_MAX),
        }
    }

    /// The beginning of an id.
    pub(super) fn short(&self, id: impl AsRef<str>) -> String {
        legible(&cut(id.as_ref(), self.letters))
    }
}

/// The sigil and so many letters.
fn cut(id: &str, letters: usize) -> String {
    id.chars().take(letters + 1).collect()
}

/// A time given in milliseconds since the Unix epoch, in UTC, and saying so; the bare number if no
/// calendar has it.
pub(super) fn utc(milliseconds: i64) -> String {
    match date(milliseconds.div_euclid(MILLISECONDS_OF_A_DAY)) {
        Some(_) => format!("{} UTC", moment(milliseconds)),
        None => moment(milliseconds),
    }
}

/// As [`utc`], where it is clear that UTC is meant.
pub(super) fn moment(milliseconds: i64) -> String {
    let second = milliseconds.rem_euclid(MILLISECONDS_OF_A_DAY) / 1000;
    match date(milliseconds.div_euclid(MILLISECONDS_OF_A_DAY)) {
        Some((year, month, day)) => format!(
            "{year:04}-{month:02}-{day:02} {:02}:{:02}:{:02}",
            second / 3600,
            second / 60 % 60,
            second % 60
        ),
        None => format!("{milliseconds} ms after 1970"),
    }
}

/// The date of a day counted from 1970-01-01, in the years 0 to 9999. Years are counted from
/// March, so that the leap day is a year's last.
fn date(day: i64) -> Option<(i64, i64, i64)> {
    const DAYS_TO_1970: i64 = 719_468;
    const DAYS_OF_400_YEARS: i64 = 146_097;
    if !(-719_162..=2_932_896).contains(&day) {
        return None;
    }
    let day = day + DAYS_TO_1970;
    let (era, day) = (
        day.div_euclid(DAYS_OF_400_YEARS),
        day.rem_euclid(DAYS_OF_400_YEARS),
    );
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (month, next_year) = if month < 10 {
        (month + 3, 0)
    } else {
        (month - 9, 1)
    };
    Some((era * 400 + year + next_year, month, day))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_in_utc() {
        assert_eq!(utc(0), "1970-01-01 00:00:00 UTC");
        assert_eq!(utc(951_827_696_000), "2000-02-29 12:34:56 UTC");
        assert_eq!(utc(1_709_251_199_999), "2024-02-29 23:59:59 UTC");
        assert_eq!(utc(4_107_542_400_000), "2100-03-01 00:00:00 UTC");
        assert_eq!(utc(-1), "1969-12-31 23:59:59 UTC");
        assert_eq!(utc(253_402_300_799_000), "9999-12-31 23:59:59 UTC");
        assert_eq!(utc(i64::MAX), "9223372036854775807 ms after 1970");
        assert_eq!(utc(i64::MIN), "-9223372036854775808 ms after 1970");
    }

    #[test]
    fn ids_are_as_short_as_they_can_be() {
        let ids = ShortIds::of(["$aaaaaaaaaa1", "$aaaaaaaaaa2", "$b"]);
        assert_eq!(ids.short("$aaaaaaaaaa1"), "$aaaaaaaaaa1");
        assert_eq!(
            ShortIds::of(["$abcdefghijkl"]).short("$abcdefghijkl"),
            "$abcdefgh"
        );
    }

    #[test]
    fn what_others_wrote_cannot_steer_the_terminal() {
        assert_eq!(
            legible("a\u{1b}[2Jb\u{202e}c\nd"),
            "a\u{fffd}[2Jb\u{fffd}c\u{fffd}d"
        );
        assert_eq!(legible("žluťoučký 茶"), "žluťoučký 茶");
    }
}
