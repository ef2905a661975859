//! Making text canonical that is not.

use std::{borrow::Cow, collections::BTreeMap};

use super::{
    JsonError, Numbers, number,
    read::unescaped,
    scan::Scanner,
    write::{write_items, write_string},
};

/// A value whose scalars are canonical text already.
enum Node<'a> {
    Object(BTreeMap<Cow<'a, str>, Node<'a>>),
    Array(Vec<Node<'a>>),
    String(Cow<'a, str>),
    Scalar(Cow<'a, str>),
}

/// The canonical text of what `json` says.
pub(in crate::pdu) fn rewrite(json: &str, numbers: Numbers) -> Result<String, JsonError> {
    let mut scanner = Scanner::new(json, numbers);
    let node = next_node(&mut scanner)?;
    scanner.finish()?;
    let mut out = String::with_capacity(json.len());
    write(&mut out, &node);
    Ok(out)
}

fn next_node<'a>(scanner: &mut Scanner<'a>) -> Result<Node<'a>, JsonError> {
    Ok(match scanner.peek() {
        Some(b'{') => {
            let mut members = BTreeMap::new();
            scanner.object(|scanner, key| {
                let value = next_node(scanner)?;
                members.insert(unescaped(key), value);
                Ok(())
            })?;
            Node::Object(members)
        }
        Some(b'[') => {
            let mut items = Vec::new();
            scanner.array(|scanner| {
                items.push(next_node(scanner)?);
                Ok(())
            })?;
            Node::Array(items)
        }
        Some(b'"') => Node::String(scanner.characters()?),
        Some(b't' | b'f' | b'n') => Node::Scalar(Cow::Borrowed(scanner.scalar()?)),
        _ => Node::Scalar(number::canonical(scanner.scalar()?)),
    })
}

fn write(out: &mut String, node: &Node<'_>) {
    match node {
        Node::Object(members) => {
            write_items(out, '{', members, '}', |out, (key, value)| {
                write_string(out, key);
                out.push(':');
                write(out, value);
            });
        }
        Node::Array(items) => write_items(out, '[', items, ']', write),
        Node::String(text) => write_string(out, text),
        Node::Scalar(text) => out.push_str(text),
    }
}
