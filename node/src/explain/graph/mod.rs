//! A room's recent event graph as a picture: time from left to right, one lane per server.

mod drawing;
mod labels;
mod layout;
mod svg;

pub(super) use drawing::draw;

#[cfg(test)]
mod tests;
