//! What is written at an event, and how much of it there is space for.

use comity_core::pdu::explain::graph::GraphEvent;

use super::super::words::{legible, standing, utc, what};

/// The size of type of the lanes' names.
const LANE_SIZE: f64 = 13.0;

/// How wide the lanes' names may be, in pixels.
const LANE_NAME_WIDTH: f64 = 150.0;

/// How wide a label may be, in pixels.
pub(super) const LABEL_WIDTH: f64 = 108.0;

/// The few lines under an event, each with its class in the picture's style.
pub(super) struct Label {
    pub(super) lines: Vec<(&'static str, String)>,
    /// The width of the widest, in pixels.
    pub(super) width: i32,
}

impl Label {
    /// What the event is, to what or whom, who sent it, and the beginning of its id.
    pub(super) fn of(event: &GraphEvent, short_id: String) -> Self {
        let event = &event.event;
        let state_key = event.state_key.as_deref().unwrap_or_default();
        let kind = event.event_type.strip_prefix("m.room.");
        let kind = kind.unwrap_or(&event.event_type);
        let (kind, about) = match &event.membership {
            Some(membership) if state_key == event.sender => (format!("{kind}: {membership}"), ""),
            Some(membership) => (format!("{kind}: {membership}"), state_key),
            None => (kind.to_owned(), state_key),
        };
        let sender = format!("@{}", event.sender.localpart());
        let lines = [
            ("kind", kind, 11.5 * BOLD),
            ("about", about.to_owned(), 10.5),
            ("sender", sender, 10.5),
            ("id", short_id, 10.5),
        ];
        let lines = lines.into_iter().filter(|(_, text, _)| !text.is_empty());
        let fitted = lines.map(|(class, text, size)| match class {
            // What tells types apart is their end.
            "kind" => (class, ending(&text, size, LABEL_WIDTH), size),
            _ => (class, fitted(&text, size, LABEL_WIDTH), size),
        });
        let fitted: Vec<_> = fitted.collect();
        let widths = fitted.iter().map(|(_, text, size)| width(text, *size));
        Self {
            width: widths.fold(0.0, f64::max).ceil() as i32,
            lines: fitted
                .into_iter()
                .map(|(class, text, _)| (class, text))
                .collect(),
        }
    }

    /// How many lines there are.
    pub(super) fn height(&self) -> i32 {
        i32::try_from(self.lines.len()).unwrap_or_default()
    }
}

/// A server's name in up to three lines.
pub(super) fn lane_name(server: &str) -> Vec<String> {
    let mut lines = Vec::new();
    let mut rest = legible(server);
    while !rest.is_empty() && lines.len() < 2 {
        let line = beginning(&rest, LANE_SIZE * BOLD, LANE_NAME_WIDTH);
        let cut = match line.len() == rest.len() {
            true => line.len(),
            // Rather after a dot than anywhere.
            false => line.rfind('.').map_or(line.len(), |dot| dot + 1),
        };
        lines.extend(rest.get(..cut).map(ToOwned::to_owned));
        rest = rest.get(cut..).unwrap_or_default().to_owned();
    }
    if !rest.is_empty() {
        lines.push(fitted(&rest, LANE_SIZE * BOLD, LANE_NAME_WIDTH));
    }
    lines
}

/// Everything about an event, for a tool tip.
pub(super) fn details(event: &GraphEvent) -> Vec<String> {
    let (_, word) = standing(event.event.standing);
    let mut lines = vec![
        what(&event.event),
        format!("from {}", event.event.sender),
        format!(
            "{}, depth {}",
            utc(event.event.origin_server_ts),
            event.event.depth
        ),
        event.event.event_id.to_string(),
        word.to_owned(),
    ];
    lines.extend(event.reason.clone());
    if event.is_forward_extremity {
        lines.push("forward extremity".to_owned());
    }
    lines
}

/// How much wider bold letters are.
const BOLD: f64 = 1.08;

/// The text or, if it does not fit into this width at this size of type, its beginning.
pub(super) fn fitted(text: &str, size: f64, into: f64) -> String {
    let text = legible(text);
    match width(&text, size) <= into {
        true => text,
        false => format!("{}…", beginning(&text, size, into - size * advance('…'))),
    }
}

/// As [`fitted`], but the end of the text.
fn ending(text: &str, size: f64, into: f64) -> String {
    let backwards: String = legible(text).chars().rev().collect();
    fitted(&backwards, size, into).chars().rev().collect()
}

/// As much of the text as fits.
fn beginning(text: &str, size: f64, into: f64) -> String {
    let mut left = into / size;
    let fits = |character: &char| {
        left -= advance(*character);
        left >= 0.0
    };
    text.chars().take_while(fits).collect()
}

/// How wide a text is at most, in pixels.
fn width(text: &str, size: f64) -> f64 {
    size * text.chars().map(advance).sum::<f64>()
}

/// How wide a letter is, in the size of type; on the safe side for every sans-serif type. What may
/// be a wide letter counts as one.
fn advance(character: char) -> f64 {
    match character {
        'i' | 'j' | 'l' | '\'' | '|' | '.' | ',' | ':' | ';' | '!' => 0.32,
        'f' | 't' | 'r' | 'I' | ' ' | '(' | ')' | '[' | ']' | '-' | '/' | '"' | '`' => 0.42,
        'm' | 'w' | 'M' | 'W' | '@' | '%' | '…' => 1.0,
        'A'..='Z' | '&' | '+' | '<' | '=' | '>' | '~' | '#' => 0.74,
        ' '..='~' => 0.6,
        '\u{a1}'..='\u{52f}' => 0.74,
        _ => 1.3,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_that_does_not_fit_is_cut() {
        assert_eq!(fitted("short", 10.0, 108.0), "short");
        let cut = fitted("@a.very.long.name.of.a.user", 10.0, 60.0);
        assert!(cut.ends_with('…') && cut.starts_with("@a.very"), "{cut}");
        assert_eq!(fitted("茶茶茶茶", 10.0, 40.0), "茶茶…");
    }
}
