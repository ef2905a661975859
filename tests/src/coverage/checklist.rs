//! Reading the checklist.

/// What a conforming server must do, item by item.
#[derive(Debug)]
pub struct Checklist {
    /// In the order of the document.
    pub items: Vec<Item>,
}

/// One item.
#[derive(Debug, PartialEq, Eq)]
pub struct Item {
    /// Such as `TXN-3`.
    pub id: String,
    /// What it asks for.
    pub text: String,
    /// Why no test proves it.
    pub unproved: Option<String>,
}

/// What stands before the sentence that says why an item is not proved.
const UNPROVED: &str = "  Not proved: ";

impl Checklist {
    /// Reads the document: an item is a line `- **ID** text`; the reason for which it is not proved,
    /// if there is one, is the next line.
    #[must_use]
    pub fn read(text: &str) -> Self {
        let mut items: Vec<Item> = Vec::new();
        for line in text.lines() {
            let item = line
                .strip_prefix("- **")
                .and_then(|rest| rest.split_once("** "));
            if let Some((id, text)) = item {
                items.push(Item {
                    id: id.to_owned(),
                    text: text.to_owned(),
                    unproved: None,
                });
            } else if let (Some(reason), Some(item)) =
                (line.strip_prefix(UNPROVED), items.last_mut())
            {
                item.unproved = Some(reason.to_owned());
            }
        }
        Self { items }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_item_is_read_with_the_reason_for_which_it_is_not_proved() {
        let read = Checklist::read(
            "# A list\n\n## Of things\n\n- **ONE-1** The first.\n  Not proved: it is new.\n\
             - **ONE-2** The second.\n",
        );
        let item = |id: &str, text: &str, unproved: Option<&str>| Item {
            id: id.to_owned(),
            text: text.to_owned(),
            unproved: unproved.map(str::to_owned),
        };
        let first = item("ONE-1", "The first.", Some("it is new."));
        assert_eq!(read.items, [first, item("ONE-2", "The second.", None)]);
    }
}
