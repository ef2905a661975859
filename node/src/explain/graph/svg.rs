//! Writing SVG. Everything that comes from outside is escaped here and nowhere else.

use std::fmt::{self, Write};

use super::super::words::legible;

/// An element being written.
pub(super) struct Svg {
    text: String,
}

impl Svg {
    /// An empty picture of this size, in pixels.
    pub(super) fn new(width: i32, height: i32) -> Self {
        let mut svg = Self {
            text: String::new(),
        };
        svg.raw(format_args!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" \
             viewBox=\"0 0 {width} {height}\">\n"
        ));
        svg
    }

    /// Markup that holds nothing from outside.
    pub(super) fn raw(&mut self, markup: fmt::Arguments<'_>) {
        // Writing to a `String` cannot fail.
        let _ = self.text.write_fmt(markup);
    }

    /// A line of text. `attributes` hold nothing from outside.
    pub(super) fn text(&mut self, attributes: fmt::Arguments<'_>, text: &str) {
        let text = escaped(text);
        self.raw(format_args!("<text {attributes}>{text}</text>\n"));
    }

    /// What a viewer shows when the pointer rests on the group that is open.
    pub(super) fn tool_tip(&mut self, lines: &[String]) {
        let lines: Vec<_> = lines.iter().map(|line| escaped(line)).collect();
        let lines = lines.join("\n");
        self.raw(format_args!("<title>{lines}</title>\n"));
    }

    /// The whole picture.
    pub(super) fn finish(mut self) -> String {
        self.text.push_str("</svg>\n");
        self.text
    }
}

/// Text that is text in XML, whatever it holds.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in legible(text).chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            // No XML document may hold these.
            '\u{fffe}' | '\u{ffff}' => escaped.push('\u{fffd}'),
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_stays_text() {
        let hostile = "</text><script>alert('&\"')</script>\u{0}\u{1b}\u{ffff}\u{202e}";
        assert_eq!(
            escaped(hostile),
            "&lt;/text&gt;&lt;script&gt;alert(&#39;&amp;&quot;&#39;)&lt;/script&gt;\
             \u{fffd}\u{fffd}\u{fffd}\u{fffd}"
        );
    }
}
