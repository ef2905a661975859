//! Where everything stands in the picture.
//!
//! Each server has a lane, and a lane has one row or, where its events fork, several. An event
//! stands to the right of all its previous events, and in its row so far to the right of the event
//! before it that their labels do not touch. So no edge runs from right to left, whatever times and
//! depths events claim. All measures are in pixels.

use std::collections::BTreeMap;

use comity_core::pdu::explain::{RoomGraph, Standing, graph::GraphEvent};
use ruma_common::{EventId, ServerName};

/// Left of the first event: the lanes' names.
pub(super) const LEFT: i32 = 256;
/// Above the first lane: the title, the legend, the times.
pub(super) const TOP: i32 = 112;
/// The least distance between two events in one row.
pub(super) const COLUMN: i32 = 116;
/// The least distance between an event and one in another row that follows it.
pub(super) const STEP: i32 = 88;
/// The height of a row.
pub(super) const ROW: i32 = 92;
/// From the top of a row to the middle of its events.
pub(super) const MIDDLE: i32 = 26;
/// Between lanes.
const LANE_GAP: i32 = 6;
/// The width of the legend.
const LEGEND: i32 = 1120;
/// Right of the last event.
const RIGHT: i32 = 84;
/// Below the last lane.
const BOTTOM: i32 = 24;
/// As many rows as a lane gets before its events have to wait for space.
const ROWS_MAX: usize = 4;

/// The whole picture.
pub(super) struct Layout {
    pub(super) width: i32,
    pub(super) height: i32,
    pub(super) lanes: Vec<Lane>,
    /// The place of each event, in the graph's order.
    pub(super) places: Vec<Place>,
    pub(super) edges: Vec<Edge>,
}

impl Layout {
    /// The number of the lane in which something stands.
    pub(super) fn lane_at(&self, place: Place) -> usize {
        let after = self.lanes.iter().filter(|lane| lane.top > place.y);
        self.lanes.len().saturating_sub(after.count() + 1)
    }
}

/// A server's lane.
pub(super) struct Lane {
    pub(super) server: String,
    pub(super) top: i32,
    pub(super) height: i32,
}

/// The middle of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) x: i32,
    pub(super) y: i32,
}

/// A line from an event to one that names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Edge {
    pub(super) from: Place,
    pub(super) to: Place,
    pub(super) route: Route,
}

/// How an edge gets there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Route {
    /// Along one row, with nothing in between.
    Straight,
    /// Along the row where it begins, then across.
    Across,
    /// Across, then along the row where it ends.
    AcrossFirst,
    /// From one straight to the other, or above what stands in between.
    Around,
}

/// Places everything.
pub(super) fn lay_out(graph: &RoomGraph) -> Layout {
    let mut placing = Placing::new(graph);
    for event in &graph.events {
        placing.place(event);
    }
    let tops = placing.tops();
    let places: Vec<Place> = placing
        .spots
        .iter()
        .map(|spot| Place {
            x: spot.x,
            y: tops.get(spot.lane).copied().unwrap_or(TOP) + spot.row_offset() + MIDDLE,
        })
        .collect();
    let rightmost = places.iter().map(|place| place.x).max();
    let bottom = placing
        .lanes
        .iter()
        .zip(&tops)
        .map(|(lane, top)| top + lane.height())
        .max();
    Layout {
        width: rightmost.unwrap_or(LEFT).max(LEGEND - RIGHT) + RIGHT,
        height: bottom.unwrap_or(TOP + ROW) + BOTTOM,
        edges: edges(&placing, &places),
        lanes: placing
            .lanes
            .iter()
            .zip(tops)
            .map(|(lane, top)| Lane {
                server: lane.server.to_string(),
                top,
                height: lane.height(),
            })
            .collect(),
        places,
    }
}

/// What has been placed so far.
#[derive(Default)]
struct Placing<'g> {
    /// How many of the events that follow an event are not placed yet.
    awaited: BTreeMap<&'g EventId, usize>,
    lanes: Vec<Rows<'g>>,
    spots: Vec<Spot<'g>>,
    known: BTreeMap<&'g EventId, usize>,
    /// Of each event, those that it builds on, itself among them, as bits.
    ancestors: Vec<Bits>,
}

/// The rows of a lane; of each the last event.
struct Rows<'g> {
    server: &'g ServerName,
    last: Vec<usize>,
}

impl Rows<'_> {
    fn height(&self) -> i32 {
        ROW * i32::try_from(self.last.len()).unwrap_or(1)
    }
}

/// The end of a row.
struct Row {
    number: usize,
    last: usize,
    /// From where on another event may stand in it.
    free_from: i32,
    /// Whether more events will follow the last one.
    is_awaited: bool,
}

struct Spot<'g> {
    event_id: &'g EventId,
    x: i32,
    lane: usize,
    row: usize,
    previous: Vec<usize>,
}

impl Spot<'_> {
    fn row_offset(&self) -> i32 {
        ROW * i32::try_from(self.row).unwrap_or_default()
    }

    fn is_in_row_of(&self, other: &Spot<'_>) -> bool {
        (self.lane, self.row) == (other.lane, other.row)
    }
}

impl<'g> Placing<'g> {
    fn new(graph: &'g RoomGraph) -> Self {
        let mut placing = Self::default();
        for event_id in graph.events.iter().flat_map(|event| &event.prev_events) {
            *placing.awaited.entry(event_id).or_default() += 1;
        }
        placing
    }

    fn place(&mut self, event: &'g GraphEvent) {
        let index = self.spots.len();
        let previous: Vec<usize> = event
            .prev_events
            .iter()
            .filter_map(|event_id| self.known.get(&**event_id).copied())
            .collect();
        let mut ancestors = Bits::default();
        ancestors.insert(index);
        for of_previous in previous
            .iter()
            .filter_map(|index| self.ancestors.get(*index))
        {
            ancestors.extend(of_previous);
        }
        for event_id in &event.prev_events {
            self.awaited
                .entry(event_id)
                .and_modify(|count| *count = count.saturating_sub(1));
        }
        let earliest = self.earliest(&previous);
        let lane = self.lane(event.event.sender.server_name());
        let (row, x) = self.row(lane, event, &previous, &ancestors, earliest);
        if let Some(rows) = self.lanes.get_mut(lane) {
            match rows.last.get_mut(row) {
                Some(last) => *last = index,
                None => rows.last.push(index),
            }
        }
        self.known.insert(&event.event.event_id, index);
        self.ancestors.push(ancestors);
        self.spots.push(Spot {
            event_id: &event.event.event_id,
            x,
            lane,
            row,
            previous,
        });
    }

    /// As far left as the event's previous events let it stand. One without any stands where those
    /// stand that came about the same time.
    fn earliest(&self, previous: &[usize]) -> i32 {
        let follows = previous.iter().filter_map(|index| self.spots.get(*index));
        let after = follows.map(|spot| spot.x + STEP).max();
        after.unwrap_or_else(|| self.spots.last().map_or(LEFT, |spot| spot.x))
    }

    fn lane(&mut self, server: &'g ServerName) -> usize {
        let known = self.lanes.iter().position(|lane| lane.server == server);
        known.unwrap_or_else(|| {
            self.lanes.push(Rows {
                server,
                last: Vec::new(),
            });
            self.lanes.len() - 1
        })
    }

    /// The row for an event, and where in it: that of an event that it follows, or else one whose
    /// last event nothing more will follow, or else a new one. What was set aside never goes on the
    /// row of what it follows, where it would stand between events that follow each other.
    fn row(
        &self,
        lane: usize,
        event: &GraphEvent,
        previous: &[usize],
        ancestors: &Bits,
        earliest: i32,
    ) -> (usize, i32) {
        let rows = self.lanes.get(lane).into_iter().flat_map(|lane| &lane.last);
        let rows: Vec<Row> = rows
            .enumerate()
            .filter_map(|(row, last)| self.end(row, *last))
            .collect();
        let is_aside = matches!(
            event.event.standing,
            Standing::SoftFailed | Standing::Rejected
        );
        let followed = rows
            .iter()
            .filter(|row| !is_aside && ancestors.contains(row.last));
        let followed = followed.max_by_key(|row| (previous.contains(&row.last), row.free_from));
        let vacant = || {
            rows.iter()
                .find(|row| !row.is_awaited && row.free_from <= earliest)
        };
        match followed.or_else(vacant) {
            Some(row) => (row.number, earliest.max(row.free_from)),
            None if rows.len() < ROWS_MAX => (rows.len(), earliest),
            None => {
                let first_free = rows.iter().min_by_key(|row| row.free_from);
                first_free.map_or((0, earliest), |row| {
                    (row.number, earliest.max(row.free_from))
                })
            }
        }
    }

    /// How a row stands whose last event this is.
    fn end(&self, number: usize, last: usize) -> Option<Row> {
        let spot = self.spots.get(last)?;
        Some(Row {
            number,
            last,
            free_from: spot.x + COLUMN,
            is_awaited: self
                .awaited
                .get(spot.event_id)
                .is_some_and(|count| *count > 0),
        })
    }

    fn tops(&self) -> Vec<i32> {
        let mut top = TOP;
        let mut tops = Vec::new();
        for lane in &self.lanes {
            tops.push(top);
            top += lane.height() + LANE_GAP;
        }
        tops
    }

    /// Whether an event stands in this row strictly between two places.
    fn is_occupied(&self, row_of: &Spot<'_>, from: i32, to: i32) -> bool {
        let mut spots = self.spots.iter();
        spots.any(|spot| spot.is_in_row_of(row_of) && from < spot.x && spot.x < to)
    }
}

fn edges(placing: &Placing<'_>, places: &[Place]) -> Vec<Edge> {
    let mut edges = Vec::new();
    for (spot, to) in placing.spots.iter().zip(places) {
        for index in &spot.previous {
            if let (Some(previous), Some(from)) = (placing.spots.get(*index), places.get(*index)) {
                edges.push(Edge {
                    from: *from,
                    to: *to,
                    route: route(placing, previous, spot, from.y < to.y),
                });
            }
        }
    }
    edges
}

/// A way that passes through no event, if there is one: downward along the upper row first, upward
/// along the upper row last, so that the edge stays clear of the labels below the events.
fn route(placing: &Placing<'_>, from: &Spot<'_>, to: &Spot<'_>, downward: bool) -> Route {
    let first_free = !placing.is_occupied(from, from.x, to.x);
    let last_free = !placing.is_occupied(to, from.x, to.x);
    if from.is_in_row_of(to) {
        return if first_free {
            Route::Straight
        } else {
            Route::Around
        };
    }
    match (first_free, last_free) {
        (true, true) if downward => Route::Across,
        (true, true) => Route::AcrossFirst,
        (true, false) => Route::Across,
        (false, true) => Route::AcrossFirst,
        (false, false) => Route::Around,
    }
}

/// A set of small numbers.
#[derive(Clone, Default)]
struct Bits(Vec<u64>);

impl Bits {
    fn insert(&mut self, number: usize) {
        let word = number / 64;
        if self.0.len() <= word {
            self.0.resize(word + 1, 0);
        }
        if let Some(word) = self.0.get_mut(word) {
            *word |= 1 << (number % 64);
        }
    }

    fn extend(&mut self, other: &Self) {
        if self.0.len() < other.0.len() {
            self.0.resize(other.0.len(), 0);
        }
        for (word, other) in self.0.iter_mut().zip(&other.0) {
            *word |= other;
        }
    }

    fn contains(&self, number: usize) -> bool {
        let word = self.0.get(number / 64);
        word.is_some_and(|word| word & (1 << (number % 64)) != 0)
    }
}
