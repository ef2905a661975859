//! The picture itself.

use std::collections::BTreeMap;

use comity_core::pdu::explain::{RoomGraph, Standing, graph::GraphEvent};
use ruma_common::EventId;

use super::{
    super::words::{ShortIds, count, moment},
    labels::{Label, details, fitted, lane_name},
    layout::{COLUMN, Edge, Lane, Layout, Place, Route, STEP, TOP, lay_out},
    svg::Svg,
};

/// The radius of an event.
const RADIUS: i32 = 8;

/// How long the line is that says that an event follows others that are not drawn.
const STUB: i32 = 26;

/// From one line of a label to the next.
const LINE: i32 = 12;

const STYLE: &str = "<style>
text { font-family: Inter, 'Segoe UI', 'Helvetica Neue', 'DejaVu Sans', Arial, sans-serif;
  fill: #1f2933; }
.title { font-size: 17px; font-weight: 600; }
.note, .legend, .time { font-size: 11px; fill: #5d6873; }
.lane { font-size: 13px; font-weight: 600; }
.kind { font-size: 11.5px; font-weight: 600; }
.about, .sender, .id { font-size: 10.5px; }
.sender { fill: #46525e; }
.id { fill: #6b7783; }
.label text { text-anchor: middle; }
.label rect { opacity: 0.86; }
.prev { fill: none; stroke: #8793a0; stroke-width: 1.6; }
.earlier { fill: none; stroke: #b4bdc6; stroke-width: 1.6; stroke-dasharray: 2 4; }
.auth { fill: none; stroke: #7c5cc4; stroke-width: 1; stroke-dasharray: 5 3; opacity: 0.7; }
.tick { stroke: #dde2e7; stroke-width: 1; }
.accepted { fill: #2b8a57; stroke: #1d6b41; }
.soft_failed { fill: #f0a92e; stroke: #a86c00; }
.rejected { fill: #d64533; stroke: #8f2418; }
.outlier { fill: #fff; stroke: #7b8794; stroke-width: 2; }
.mark { fill: none; stroke: #fff; stroke-width: 2; stroke-linecap: round; }
.extremity { fill: none; stroke: #1d4ed8; stroke-width: 2.2; }
</style>
";

/// Draws a graph, with the edges to auth events if they are wanted.
pub(in super::super) fn draw(graph: &RoomGraph, auth_edges: bool) -> String {
    let layout = lay_out(graph);
    let ids = ShortIds::of(
        graph
            .events
            .iter()
            .map(|event| event.event.event_id.as_str()),
    );
    let mut svg = Svg::new(layout.width, layout.height);
    svg.raw(format_args!("{STYLE}"));
    let (width, height) = (layout.width, layout.height);
    svg.raw(format_args!(
        "<rect width=\"{width}\" height=\"{height}\" fill=\"#ffffff\"/>\n"
    ));
    draw_heading(&mut svg, graph, auth_edges);
    for (number, lane) in layout.lanes.iter().enumerate() {
        draw_lane(&mut svg, lane, number, layout.width);
    }
    draw_times(&mut svg, graph, &layout);
    if auth_edges {
        draw_auth_edges(&mut svg, graph, &layout.places);
    }
    draw_earlier(&mut svg, graph, &layout.places);
    for edge in &layout.edges {
        draw_edge(&mut svg, edge);
    }
    for (event, place) in graph.events.iter().zip(&layout.places) {
        let fill = ground(layout.lane_at(*place));
        draw_event(&mut svg, event, *place, &ids, fill);
    }
    svg.finish()
}

fn draw_heading(svg: &mut Svg, graph: &RoomGraph, auth_edges: bool) {
    let title = fitted(graph.room_id.as_str(), 17.0, 760.0);
    svg.text(format_args!("class=\"title\" x=\"20\" y=\"32\""), &title);
    let events = count(graph.events.len(), "event", "events");
    let note = format!("room version {}, {events} drawn", graph.room_version);
    svg.text(format_args!("class=\"note\" x=\"20\" y=\"50\""), &note);
    draw_legend(svg, auth_edges);
}

fn draw_legend(svg: &mut Svg, auth_edges: bool) {
    let (mut x, y) = (28, 74);
    let standings = [
        (Standing::Accepted, "accepted", 82),
        (Standing::SoftFailed, "soft-failed", 90),
        (Standing::Rejected, "rejected", 82),
        (Standing::Outlier, "backfilled or outlier", 140),
    ];
    for (standing, name, width) in standings {
        draw_shape(svg, standing, false, Place { x, y });
        svg.text(
            format_args!("class=\"legend\" x=\"{}\" y=\"{}\"", x + 14, y + 4),
            name,
        );
        x += width;
    }
    draw_shape(svg, Standing::Accepted, true, Place { x, y });
    svg.text(
        format_args!("class=\"legend\" x=\"{}\" y=\"{}\"", x + 14, y + 4),
        "state event",
    );
    x += 100;
    draw_shape(svg, Standing::Accepted, false, Place { x, y });
    svg.raw(format_args!(
        "<circle class=\"extremity\" cx=\"{x}\" cy=\"{y}\" r=\"12\"/>\n"
    ));
    svg.text(
        format_args!("class=\"legend\" x=\"{}\" y=\"{}\"", x + 18, y + 4),
        "forward extremity",
    );
    x += 126;
    let lines = [
        ("prev", "previous event"),
        ("earlier", "previous event not shown"),
        ("auth", "auth event"),
    ];
    let shown = if auth_edges { 3 } else { 2 };
    for (class, name) in lines.into_iter().take(shown) {
        let end = x + 30;
        svg.raw(format_args!(
            "<path class=\"{class}\" d=\"M{x} {y}H{end}\"/>\n"
        ));
        svg.text(
            format_args!("class=\"legend\" x=\"{}\" y=\"{}\"", end + 7, y + 4),
            name,
        );
        x += 60 + 6 * i32::try_from(name.len()).unwrap_or_default();
    }
}

fn draw_lane(svg: &mut Svg, lane: &Lane, number: usize, width: i32) {
    let (fill, top, height, wide) = (ground(number), lane.top, lane.height, width - 24);
    svg.raw(format_args!(
        "<g>\n<rect x=\"12\" y=\"{top}\" width=\"{wide}\" height=\"{height}\" rx=\"8\" \
         fill=\"{fill}\"/>\n"
    ));
    svg.tool_tip(std::slice::from_ref(&lane.server));
    for (line, y) in lane_name(&lane.server)
        .iter()
        .zip([top + 31, top + 47, top + 63])
    {
        svg.text(format_args!("class=\"lane\" x=\"24\" y=\"{y}\""), line);
    }
    svg.raw(format_args!("</g>\n"));
}

/// The colour of a lane.
fn ground(lane: usize) -> &'static str {
    match lane.is_multiple_of(2) {
        true => "#f5f7f9",
        false => "#ebf0f4",
    }
}

/// The time above every event that is far enough from the last time written and not before it.
fn draw_times(svg: &mut Svg, graph: &RoomGraph, layout: &Layout) {
    let mut times: Vec<(i32, i64)> = graph
        .events
        .iter()
        .zip(&layout.places)
        .map(|(event, place)| (place.x, event.event.origin_server_ts))
        .collect();
    times.sort_unstable();
    let (mut free_from, mut last, mut last_day) = (i32::MIN, i64::MIN, String::new());
    for (x, time) in times {
        if x < free_from || time < last {
            continue;
        }
        let text = moment(time);
        let (day, clock) = text.split_once(' ').unwrap_or(("", &text));
        let shown = if day == last_day { clock } else { &text };
        let bottom = layout.height - 20;
        svg.raw(format_args!(
            "<path class=\"tick\" d=\"M{x} {TOP}V{bottom}\"/>\n"
        ));
        svg.text(
            format_args!(
                "class=\"time\" text-anchor=\"middle\" x=\"{x}\" y=\"{}\"",
                TOP - 8
            ),
            shown,
        );
        free_from = x + COLUMN.max(7 * i32::try_from(shown.len()).unwrap_or_default());
        last = time;
        last_day = day.to_owned();
    }
}

/// Where events follow others that are not drawn.
fn draw_earlier(svg: &mut Svg, graph: &RoomGraph, places: &[Place]) {
    let drawn: BTreeMap<&EventId, ()> = graph
        .events
        .iter()
        .map(|event| (&*event.event.event_id, ()))
        .collect();
    for (event, Place { x, y }) in graph.events.iter().zip(places) {
        let mut previous = event.prev_events.iter();
        if previous.any(|event_id| !drawn.contains_key(&**event_id)) {
            let (from, to) = (x - RADIUS - STUB, x - RADIUS);
            svg.raw(format_args!(
                "<path class=\"earlier\" d=\"M{from} {y}H{to}\"/>\n"
            ));
        }
    }
}

fn draw_edge(svg: &mut Svg, edge: &Edge) {
    let (x1, y1) = (edge.from.x + RADIUS, edge.from.y);
    let (x2, y2) = (edge.to.x - RADIUS, edge.to.y);
    let bend = STEP / 2;
    let path = match edge.route {
        Route::Straight => format!("M{x1} {y1}H{x2}"),
        Route::Across => {
            let turn = (x2 - bend).max(x1);
            let control = turn.midpoint(x2);
            format!("M{x1} {y1}H{turn}C{control} {y1} {control} {y2} {x2} {y2}")
        }
        Route::AcrossFirst => {
            let turn = (x1 + bend).min(x2);
            let control = x1.midpoint(turn);
            format!("M{x1} {y1}C{control} {y1} {control} {y2} {turn} {y2}H{x2}")
        }
        Route::Around if y1 == y2 => {
            let top = y1 - 22;
            format!("M{x1} {y1}C{} {top} {} {top} {x2} {y2}", x1 + 24, x2 - 24)
        }
        Route::Around => {
            let control = x1.midpoint(x2);
            format!("M{x1} {y1}C{control} {y1} {control} {y2} {x2} {y2}")
        }
    };
    svg.raw(format_args!("<path class=\"prev\" d=\"{path}\"/>\n"));
}

fn draw_auth_edges(svg: &mut Svg, graph: &RoomGraph, places: &[Place]) {
    let events = graph.events.iter().zip(places);
    let by_id: BTreeMap<&EventId, &Place> = events
        .clone()
        .map(|(event, place)| (&*event.event.event_id, place))
        .collect();
    for (event, to) in events {
        let named = event.auth_events.iter().filter_map(|id| by_id.get(&**id));
        for from in named {
            let (x1, y1, x2, y2) = (from.x, from.y - RADIUS, to.x, to.y - RADIUS);
            let top = y1.min(y2) - 20;
            svg.raw(format_args!(
                "<path class=\"auth\" d=\"M{x1} {y1}C{} {top} {} {top} {x2} {y2}\"/>\n",
                x1 + 20,
                x2 - 20
            ));
        }
    }
}

fn draw_event(svg: &mut Svg, event: &GraphEvent, place: Place, ids: &ShortIds, fill: &str) {
    let Place { x, y } = place;
    svg.raw(format_args!("<g class=\"event\">\n"));
    svg.tool_tip(&details(event));
    if event.is_forward_extremity {
        svg.raw(format_args!(
            "<circle class=\"extremity\" cx=\"{x}\" cy=\"{y}\" r=\"12\"/>\n"
        ));
    }
    let is_state = event.event.state_key.is_some();
    draw_shape(svg, event.event.standing, is_state, place);
    draw_label(
        svg,
        &Label::of(event, ids.short(&event.event.event_id)),
        place,
        fill,
    );
    svg.raw(format_args!("</g>\n"));
}

/// The lines below an event, on a ground that keeps edges from crossing them out.
fn draw_label(svg: &mut Svg, label: &Label, Place { x, y }: Place, fill: &str) {
    let (left, width) = (x - label.width / 2 - 2, label.width + 4);
    let (top, height) = (y + 13, LINE * label.height() + 2);
    svg.raw(format_args!(
        "<g class=\"label\">\n<rect x=\"{left}\" y=\"{top}\" width=\"{width}\" \
         height=\"{height}\" fill=\"{fill}\"/>\n"
    ));
    for ((class, text), line) in label.lines.iter().zip(0..) {
        let y = y + 23 + LINE * line;
        svg.text(format_args!("class=\"{class}\" x=\"{x}\" y=\"{y}\""), text);
    }
    svg.raw(format_args!("</g>\n"));
}

/// A circle, or a square for a state event.
fn draw_shape(svg: &mut Svg, standing: Standing, is_state: bool, Place { x, y }: Place) {
    let class = match standing {
        Standing::Accepted => "accepted",
        Standing::SoftFailed => "soft_failed",
        Standing::Rejected => "rejected",
        Standing::Backfilled | Standing::Outlier => "outlier",
    };
    if is_state {
        let (left, top, side) = (x - 7, y - 7, 14);
        svg.raw(format_args!(
            "<rect class=\"{class}\" x=\"{left}\" y=\"{top}\" width=\"{side}\" height=\"{side}\" \
             rx=\"3\"/>\n"
        ));
    } else {
        svg.raw(format_args!(
            "<circle class=\"{class}\" cx=\"{x}\" cy=\"{y}\" r=\"{RADIUS}\"/>\n"
        ));
    }
    let (left, right, top, bottom) = (x - 3, x + 3, y - 3, y + 3);
    match standing {
        Standing::Rejected => svg.raw(format_args!(
            "<path class=\"mark\" d=\"M{left} {top}L{right} {bottom}M{left} {bottom}L{right} {top}\"/>\n"
        )),
        Standing::SoftFailed => {
            svg.raw(format_args!("<path class=\"mark\" d=\"M{left} {y}H{right}\"/>\n"));
        }
        Standing::Accepted | Standing::Backfilled | Standing::Outlier => {}
    }
}
