//! The plot of shares over thin lines: what one takes, and which arrive.

use crate::{
    figures::figure,
    machine,
    svg::{Anchor, FAINT, Font, GRID, INK, LABEL, SMALL, Svg, TITLE},
    thin_lines::{Arrival, Cost, Fate, PEERS, RECEIVERS, SENDERS, SIZES, ThinLines},
};

const COLORS: [&str; 2] = [INK, "#0072b2"];
const TITLES: [&str; 2] = ["this relay", "Python websockets"];
const ARRIVED: &str = "#cfe8d5";
const UNDER_WAY: &str = "#eef4f9";
const DIED: &str = "#f6d0c4";

const WIDTH: f64 = 960.0;
const HEIGHT: f64 = 560.0;
/// The upper half: three panels of bars.
const TOP: f64 = 132.0;
const PANEL: f64 = 286.0;
const GAP: f64 = 27.0;
const ROW: f64 = 34.0;
/// The lower half: a grid for each relay.
const GRID_TOP: f64 = 366.0;
const CELL: (f64, f64) = (40.0, 30.0);

const BOLD: Font = Font {
    bold: true,
    ..LABEL
};

/// One of the figures of a share.
struct Panel {
    title: &'static str,
    of: fn(&Cost) -> f64,
}

const PANELS: [Panel; 3] = [
    Panel {
        title: "Seconds, to the receiver's answer",
        of: |cost| cost.seconds,
    },
    Panel {
        title: "MB on the wire, both hops",
        of: |cost| cost.wire,
    },
    Panel {
        title: "The relay's CPU, seconds",
        of: |cost| cost.cpu,
    },
];

pub(crate) fn draw(lines: &ThinLines) -> String {
    let mut svg = Svg::new(WIDTH, HEIGHT);
    let title = "A share between two of today's clients, over thin lines";
    svg.text((24.0, 36.0), Anchor::Start, TITLE, title);
    let explained = "4 MB of text, with the same line at both ends. Below: which shares arrive, by \
                     size and by the line of sender and receiver.";
    svg.text((24.0, 58.0), Anchor::Start, SMALL, explained);
    for (index, title) in TITLES.into_iter().enumerate() {
        let x = 30.0 + 110.0 * index as f64;
        svg.dot((x, 80.0), COLORS[index]);
        svg.text((x + 11.0, 84.0), Anchor::Start, SMALL, title);
    }
    for (index, panel) in PANELS.iter().enumerate() {
        let left = 24.0 + index as f64 * (PANEL + GAP);
        draw_panel(&mut svg, left, panel, lines);
    }
    for (index, peer) in PEERS.into_iter().enumerate() {
        let left = 24.0 + 470.0 * index as f64;
        svg.text(
            (left, GRID_TOP - 44.0),
            Anchor::Start,
            BOLD,
            &format!("Which arrive over {}", TITLES[index]),
        );
        draw_grid(&mut svg, left, peer, lines);
    }
    let meant = "Seconds until the share has arrived. †: until a connection ended instead. 1009: over the \
                 relay's limit. >: still under way.";
    svg.text((24.0, HEIGHT - 38.0), Anchor::Start, SMALL, meant);
    let print = format!("{}. {}.", machine::describe(), machine::today());
    svg.text((24.0, HEIGHT - 16.0), Anchor::Start, SMALL, &print);
    svg.finish()
}

/// A bar for each relay at each line, the longest as long as there is room.
fn draw_panel(svg: &mut Svg, left: f64, panel: &Panel, lines: &ThinLines) {
    let most = lines.costs.iter().map(panel.of).fold(0.0, f64::max);
    svg.text((left, TOP - 16.0), Anchor::Start, BOLD, panel.title);
    let bars = left + 76.0;
    let room = PANEL - 76.0 - 44.0;
    for (index, rate) in lines.rates().into_iter().enumerate() {
        let y = TOP + ROW * index as f64;
        let label = format!("{rate} Mbit/s");
        svg.text((bars - 8.0, y + 17.0), Anchor::End, SMALL, &label);
        for (index, peer) in PEERS.into_iter().enumerate() {
            let Some(value) = lines.cost(peer, rate).map(panel.of) else {
                continue;
            };
            let y = y + 13.0 * index as f64;
            let length = value / most * room;
            svg.band((bars, y), length.max(1.0), 11.0, COLORS[index]);
            let end = (bars + length + 5.0, y + 10.0);
            svg.text(end, Anchor::Start, SMALL, &figure(value));
        }
    }
    let bottom = TOP + ROW * lines.rates().len() as f64;
    svg.line((bars, TOP - 6.0), (bars, bottom), GRID, 1.0);
}

/// A cell for each size and line.
fn draw_grid(svg: &mut Svg, left: f64, peer: &str, lines: &ThinLines) {
    let (width, height) = CELL;
    let left = left + 72.0;
    let column = |size: usize, sender: usize| {
        left + width * (size * SENDERS.len() + sender) as f64 + 4.0 * size as f64
    };
    for (size, megabytes) in SIZES.into_iter().enumerate() {
        let middle = column(size, 0) + 1.5 * width;
        let label = format!("{megabytes} MB, from");
        svg.text((middle, GRID_TOP - 24.0), Anchor::Middle, SMALL, &label);
        for (sender, rate) in SENDERS.into_iter().enumerate() {
            let x = column(size, sender) + width / 2.0;
            svg.text(
                (x, GRID_TOP - 8.0),
                Anchor::Middle,
                SMALL,
                &rate.to_string(),
            );
        }
    }
    svg.text((left - 8.0, GRID_TOP - 8.0), Anchor::End, SMALL, "Mbit/s");
    for (row, receiver) in RECEIVERS.into_iter().enumerate() {
        let y = GRID_TOP + height * row as f64;
        let label = format!("to {receiver}");
        svg.text((left - 8.0, y + 19.0), Anchor::End, SMALL, &label);
        for (size, megabytes) in SIZES.into_iter().enumerate() {
            for (sender, rate) in SENDERS.into_iter().enumerate() {
                if let Some(it) = lines.arrival(peer, megabytes, receiver, rate) {
                    draw_cell(svg, (column(size, sender), y), it);
                }
            }
        }
    }
}

fn draw_cell(svg: &mut Svg, (x, y): (f64, f64), it: &Arrival) {
    let (width, height) = CELL;
    let seconds = match it.seconds {
        few @ ..9.95 => format!("{few:.1} s"),
        many => format!("{many:.0} s"),
    };
    let (color, label) = match &it.fate {
        Fate::Arrived => (ARRIVED, seconds),
        Fate::UnderWay => (UNDER_WAY, format!("> {}", seconds.trim_end_matches(" s"))),
        Fate::Died(why) if why.contains("too big") => (DIED, "1009".to_owned()),
        Fate::Died(_) => (DIED, format!("† {}", seconds.trim_end_matches(" s"))),
    };
    svg.band((x + 1.0, y + 1.0), width - 2.0, height - 2.0, color);
    let ink = Font {
        color: if it.fate == Fate::Arrived { INK } else { FAINT },
        size: 11,
        ..SMALL
    };
    svg.text((x + width / 2.0, y + 19.0), Anchor::Middle, ink, &label);
}
