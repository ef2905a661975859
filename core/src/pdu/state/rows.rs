//! Rows of texts, packed.

/// A few rows of as many texts each, in two pieces of memory: what many short texts would take is
/// mostly overhead.
pub(super) struct Rows<const COLUMNS: usize> {
    /// All texts, one after the other.
    text: Box<str>,
    /// Where in it each ends.
    ends: Box<[u32]>,
}

/// One row.
pub(super) type Row<'a, const COLUMNS: usize> = [&'a str; COLUMNS];

impl<const COLUMNS: usize> Rows<COLUMNS> {
    /// Packs rows.
    pub fn pack(rows: &[Row<'_, COLUMNS>]) -> Self {
        let texts = rows.as_flattened();
        let mut text = String::with_capacity(texts.iter().map(|text| text.len()).sum());
        let mut ends = Vec::with_capacity(texts.len());
        for one in texts {
            text.push_str(one);
            // Texts of events are short: no event is longer than 65,536 bytes.
            ends.push(u32::try_from(text.len()).unwrap_or(u32::MAX));
        }
        Self {
            text: text.into(),
            ends: ends.into(),
        }
    }

    pub fn len(&self) -> usize {
        self.ends.len() / COLUMNS
    }

    /// A row; empty texts if there is none.
    pub fn get(&self, row: usize) -> Row<'_, COLUMNS> {
        let first = row * COLUMNS;
        let end = |index: usize| self.ends.get(index).map_or(0, |end| *end as usize);
        let mut start = first.checked_sub(1).map_or(0, end);
        std::array::from_fn(|column| {
            let end = end(first + column);
            let text = self.text.get(start..end).unwrap_or_default();
            start = end;
            text
        })
    }

    pub fn iter(&self) -> impl Iterator<Item = Row<'_, COLUMNS>> {
        (0..self.len()).map(|row| self.get(row))
    }
}
