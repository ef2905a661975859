//! A page of text for a terminal: at most 100 columns, coloured if wanted.

use std::{env, fmt};

/// How wide a page is.
pub(super) const WIDTH: usize = 100;

/// Whether to colour.
#[derive(Clone, Copy)]
pub(super) struct Colours(bool);

impl Colours {
    /// Colours on a terminal, unless `NO_COLOR` says otherwise.
    pub(super) fn if_wanted(is_terminal: bool) -> Self {
        let refused = env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Self(is_terminal && !refused)
    }
}

/// How a word is meant.
#[derive(Clone, Copy)]
pub(super) enum Tone {
    Plain,
    Heading,
    Faint,
    Good,
    Doubtful,
    Bad,
}

impl Tone {
    fn escape(self) -> &'static str {
        match self {
            Self::Plain => "",
            Self::Heading => "\u{1b}[1m",
            Self::Faint => "\u{1b}[2m",
            Self::Good => "\u{1b}[32m",
            Self::Doubtful => "\u{1b}[33m",
            Self::Bad => "\u{1b}[31m",
        }
    }
}

/// Lines being written.
pub(super) struct Page {
    colours: Colours,
    text: String,
}

impl Page {
    pub(super) fn new(colours: Colours) -> Self {
        Self {
            colours,
            text: String::new(),
        }
    }

    /// One line of parts; the last part is broken into several lines if it is too long.
    pub(super) fn line(&mut self, parts: &[(Tone, &str)]) {
        let Some(((tone, last), before)) = parts.split_last() else {
            return self.gap();
        };
        let mut indent = 0;
        for (tone, part) in before {
            indent += part.chars().count();
            self.put(*tone, part);
        }
        for (number, piece) in broken(last, WIDTH.saturating_sub(indent))
            .iter()
            .enumerate()
        {
            if number > 0 {
                self.text.push('\n');
                self.text.extend(std::iter::repeat_n(' ', indent));
            }
            self.put(*tone, piece);
        }
        self.end_line();
    }

    /// An empty line.
    pub(super) fn gap(&mut self) {
        self.text.push('\n');
    }

    /// A heading after an empty line.
    pub(super) fn heading(&mut self, text: &str) {
        self.gap();
        self.line(&[(Tone::Heading, text)]);
    }

    fn put(&mut self, tone: Tone, text: &str) {
        match tone.escape() {
            escape if self.colours.0 && !escape.is_empty() && !text.is_empty() => {
                self.text.extend([escape, text, "\u{1b}[0m"]);
            }
            _ => self.text.push_str(text),
        }
    }

    fn end_line(&mut self) {
        let trimmed = self.text.trim_end_matches(' ').len();
        self.text.truncate(trimmed);
        self.text.push('\n');
    }
}

impl fmt::Display for Page {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// The text in pieces of at most `width` characters, broken at spaces where there are any.
fn broken(text: &str, width: usize) -> Vec<String> {
    let width = width.max(20);
    let mut pieces: Vec<String> = Vec::new();
    for word in text.split(' ') {
        match pieces.last_mut() {
            Some(piece) if piece.chars().count() + 1 + word.chars().count() <= width => {
                piece.push(' ');
                piece.push_str(word);
            }
            _ => pieces.push(word.to_owned()),
        }
    }
    pieces
}

/// The text, shortened or filled up to exactly `width` characters.
pub(super) fn column(text: &str, width: usize) -> String {
    let count = text.chars().count();
    match count <= width {
        true => format!("{text:<width$}"),
        false => {
            let kept: String = text.chars().take(width.saturating_sub(1)).collect();
            format!("{kept}…")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_lines_are_broken_under_where_their_last_part_begins() {
        let mut page = Page::new(Colours(false));
        let words = "word ".repeat(30);
        page.line(&[(Tone::Plain, "12345 "), (Tone::Bad, words.trim_end())]);
        let text = page.to_string();
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines.len(), 2);
        assert!(lines.iter().all(|line| line.len() <= WIDTH), "{text}");
        assert!(lines[1].starts_with("      word"), "{text}");
    }

    #[test]
    fn colours_are_closed_and_only_there_if_wanted() {
        let line = |colours| {
            let mut page = Page::new(Colours(colours));
            page.line(&[(Tone::Bad, "no"), (Tone::Plain, " more")]);
            page.to_string()
        };
        assert_eq!(line(false), "no more\n");
        assert_eq!(line(true), "\u{1b}[31mno\u{1b}[0m more\n");
    }

    #[test]
    fn a_column_is_as_wide_as_it_is_told() {
        assert_eq!(column("tea", 5), "tea  ");
        assert_eq!(column("teapot", 5), "teap…");
    }
}
