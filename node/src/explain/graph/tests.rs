//! Pictures of made-up rooms.

use std::collections::BTreeSet;

use comity_core::pdu::explain::{EventBrief, RoomGraph, Standing, graph::GraphEvent};
use ruma_common::OwnedEventId;

use super::{
    drawing::draw,
    labels::LABEL_WIDTH,
    layout::{COLUMN, Layout, Route, lay_out},
};

const ALICE: &str = "@alice:oak.example";
const BOB: &str = "@bob:elm.example";

/// A graph that is made event by event.
struct Sketch {
    graph: RoomGraph,
}

impl Sketch {
    fn new() -> Self {
        Self {
            graph: RoomGraph {
                room_id: "!tea:oak.example".try_into().unwrap(),
                room_version: "12".to_owned(),
                events: Vec::new(),
            },
        }
    }

    /// A message after those of these numbers, counted from 0 in the order in which they are made.
    fn message(&mut self, sender: &str, previous: &[usize]) -> &mut GraphEvent {
        let number = self.graph.events.len();
        self.graph.events.push(GraphEvent {
            event: EventBrief {
                event_id: id(number),
                event_type: "m.room.message".to_owned(),
                state_key: None,
                membership: None,
                sender: sender.try_into().unwrap(),
                origin_server_ts: 1_700_000_000_000,
                depth: 1,
                standing: Standing::Accepted,
            },
            prev_events: previous.iter().copied().map(id).collect(),
            auth_events: Vec::new(),
            is_forward_extremity: false,
            reason: None,
        });
        self.graph.events.last_mut().unwrap()
    }

    /// Events of six servers that follow one to three of the last eight each, by chance.
    fn by_chance(seed: u64) -> Self {
        let mut sketch = Self::new();
        let mut state = seed;
        let mut chance = move |below: usize| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            usize::try_from(state >> 33).unwrap() % below
        };
        for number in 0..80 {
            let previous: BTreeSet<usize> = (0..=chance(3))
                .map(|_| number.max(1) - 1 - chance(number.clamp(1, 8)))
                .collect();
            let previous: Vec<usize> = previous.into_iter().filter(|_| number > 0).collect();
            let event = sketch.message(&format!("@someone:s{}.example", chance(6)), &previous);
            if chance(8) == 0 {
                event.event.standing = Standing::Rejected;
            }
        }
        sketch
    }

    fn layout(&self) -> Layout {
        lay_out(&self.graph)
    }

    fn picture(&self) -> String {
        draw(&self.graph, false)
    }
}

fn id(number: usize) -> OwnedEventId {
    format!("$event{number:010}").try_into().unwrap()
}

fn rooms_by_chance() -> impl Iterator<Item = Sketch> {
    (0..60).map(Sketch::by_chance)
}

#[test]
fn edges_run_from_left_to_right() {
    for sketch in rooms_by_chance() {
        let layout = sketch.layout();
        assert!(layout.edges.len() > 60);
        for edge in layout.edges {
            assert!(edge.from.x < edge.to.x, "{edge:?}");
        }
    }
}

#[test]
fn no_label_touches_another() {
    assert!(f64::from(COLUMN) > LABEL_WIDTH + 4.0);
    for sketch in rooms_by_chance() {
        let mut places = sketch.layout().places;
        places.sort_by_key(|place| (place.y, place.x));
        for pair in places.windows(2) {
            let in_one_row = pair[0].y == pair[1].y;
            assert!(!in_one_row || pair[1].x - pair[0].x >= COLUMN, "{pair:?}");
        }
    }
}

#[test]
fn no_edge_along_a_row_runs_through_an_event() {
    for sketch in rooms_by_chance() {
        let layout = sketch.layout();
        for edge in layout.edges {
            let row = match edge.route {
                Route::Straight | Route::Across => edge.from.y,
                Route::AcrossFirst => edge.to.y,
                Route::Around => continue,
            };
            let between = edge.from.x + 1..edge.to.x;
            let mut places = layout.places.iter();
            let hit = places.find(|place| place.y == row && between.contains(&place.x));
            assert_eq!(hit, None, "{edge:?}");
        }
    }
}

#[test]
fn each_server_has_one_lane_with_its_events_in_it() {
    for sketch in rooms_by_chance() {
        let layout = sketch.layout();
        let servers: BTreeSet<&str> = layout.lanes.iter().map(|lane| &*lane.server).collect();
        assert_eq!(servers.len(), layout.lanes.len());
        for (event, place) in sketch.graph.events.iter().zip(&layout.places) {
            let lane = &layout.lanes[layout.lane_at(*place)];
            assert_eq!(lane.server, event.event.sender.server_name().as_str());
            assert!((lane.top..lane.top + lane.height).contains(&place.y));
            assert!((0..layout.width).contains(&place.x) && place.y < layout.height);
        }
    }
}

#[test]
fn a_conversation_without_forks_is_one_row_for_each_server() {
    let mut sketch = Sketch::new();
    sketch.message(ALICE, &[]);
    for number in 1..20 {
        let sender = if number % 3 == 0 { BOB } else { ALICE };
        sketch.message(sender, &[number - 1]);
    }
    let rows: BTreeSet<i32> = sketch.layout().places.iter().map(|place| place.y).collect();
    assert_eq!(rows.len(), 2);
}

#[test]
fn what_was_refused_does_not_stand_between_events_that_follow_each_other() {
    let mut sketch = Sketch::new();
    sketch.message(ALICE, &[]);
    sketch.message(ALICE, &[0]).event.standing = Standing::Rejected;
    sketch.message(ALICE, &[0]);
    let places = sketch.layout().places;
    assert_eq!(places[0].y, places[2].y);
    assert_ne!(places[0].y, places[1].y);
}

#[test]
fn events_that_follow_each_other_in_a_circle_are_drawn() {
    let mut sketch = Sketch::new();
    sketch.message(ALICE, &[1]);
    sketch.message(BOB, &[0]);
    let layout = sketch.layout();
    assert_eq!((layout.places.len(), layout.edges.len()), (2, 1));
}

#[test]
fn what_became_of_events_can_be_seen() {
    let plain = Sketch::new().picture();
    let mut sketch = Sketch::new();
    sketch.message(ALICE, &[]);
    sketch.message(ALICE, &[0]).event.standing = Standing::Rejected;
    sketch.message(ALICE, &[0]).event.standing = Standing::SoftFailed;
    sketch.message(ALICE, &[0]).event.standing = Standing::Backfilled;
    sketch.message(BOB, &[0]).is_forward_extremity = true;
    let picture = sketch.picture();
    // The legend has one of each.
    let more = |class: &str| {
        let count = |picture: &str| picture.matches(&format!("class=\"{class}\"")).count();
        count(&picture) - count(&plain)
    };
    let found = [
        "accepted",
        "rejected",
        "soft_failed",
        "outlier",
        "extremity",
        "prev",
    ]
    .map(more);
    assert_eq!(found, [2, 1, 1, 1, 1, 4]);
}

#[test]
fn auth_edges_are_drawn_on_request() {
    let mut sketch = Sketch::new();
    sketch.message(ALICE, &[]);
    sketch.message(BOB, &[0]).auth_events = vec![id(0), id(77)];
    assert_eq!(sketch.picture().matches("class=\"auth\"").count(), 0);
    // One more is in the legend.
    assert_eq!(
        draw(&sketch.graph, true).matches("class=\"auth\"").count(),
        2
    );
}

#[test]
fn an_event_that_follows_one_that_is_not_drawn_says_so() {
    let mut sketch = Sketch::new();
    let in_legend = sketch.picture().matches("class=\"earlier\"").count();
    sketch.message(ALICE, &[100]);
    sketch.message(ALICE, &[0]);
    let picture = sketch.picture();
    assert_eq!(picture.matches("class=\"earlier\"").count(), in_legend + 1);
}

#[test]
fn hostile_names_stay_text() {
    let hostile = "</text></g><script>alert(1)</script><g onload='x' title=\"\u{1b}\u{202e}";
    let mut sketch = Sketch::new();
    let event = sketch.message("@a<b>&\"'c:oak.example", &[]);
    event.event.event_type = hostile.to_owned();
    event.event.state_key = Some(hostile.to_owned());
    event.event.membership = Some(hostile.to_owned());
    event.reason = Some(hostile.to_owned());
    let picture = sketch.picture();
    assert_eq!(elements(&picture), elements(&tame(&sketch).picture()));
    assert!(!picture.contains(['\u{1b}', '\u{202e}']));
    assert!(picture.contains("&lt;script&gt;alert(1)&lt;/script&gt;"));
}

/// The same with harmless names of the same kinds.
fn tame(sketch: &Sketch) -> Sketch {
    let mut tame = Sketch {
        graph: sketch.graph.clone(),
    };
    for event in &mut tame.graph.events {
        event.event.event_type = "type".to_owned();
        event.event.state_key = Some("key".to_owned());
        event.event.membership = Some("join".to_owned());
        event.reason = Some("reason".to_owned());
    }
    tame
}

/// The elements of a document in order, which must be well-formed.
fn elements(document: &str) -> Vec<String> {
    let (mut open, mut seen): (Vec<String>, _) = (Vec::new(), Vec::new());
    for part in document.split('<').skip(1) {
        let (tag, text) = part.split_once('>').unwrap();
        assert!(!text.contains('>'), "{part}");
        for entity in text.split('&').skip(1) {
            let (name, _) = entity.split_once(';').unwrap();
            assert!(
                ["amp", "lt", "gt", "quot", "#39"].contains(&name),
                "{entity}"
            );
        }
        match tag.strip_prefix('/') {
            Some(name) => assert_eq!(open.pop().as_deref(), Some(name)),
            None => {
                let name = tag.split([' ', '/']).next().unwrap().to_owned();
                seen.push(name.clone());
                open.extend((!tag.ends_with('/')).then_some(name));
            }
        }
    }
    assert!(open.is_empty(), "{open:?}");
    seen
}
