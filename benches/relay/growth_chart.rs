//! The plot of growth: costs by number of rooms, which are to stay flat.

use crate::{
    figures::figure,
    growth::{Growth, Point, Series},
    svg::{Anchor, Font, GRID, LABEL, SMALL, Svg, TITLE},
};

const BAND: &str = "#eef4f9";
/// How far from the first figure still counts as flat.
const FLAT: f64 = 0.2;

const WIDTH: f64 = 960.0;
const HEIGHT: f64 = 324.0;
const TOP: f64 = 130.0;
const BOTTOM: f64 = 280.0;
const PANEL: f64 = 214.0;
const GAP: f64 = 20.0;

/// One cost.
struct Panel {
    title: &'static str,
    cost: fn(&Point) -> f64,
    memory: bool,
}

const PANELS: [Panel; 4] = [
    cpu("CPU µs per message, 64 B", |point| point.message),
    cpu("CPU s per GiB, 64 KiB", |point| point.gib),
    memory("KiB per session, idle", |point| point.idle),
    memory("KiB per session, after use", |point| point.used),
];

const fn cpu(title: &'static str, cost: fn(&Point) -> f64) -> Panel {
    Panel {
        title,
        cost,
        memory: false,
    }
}

const fn memory(title: &'static str, cost: fn(&Point) -> f64) -> Panel {
    Panel {
        title,
        cost,
        memory: true,
    }
}

impl Panel {
    /// What is to be seen of a peer here: rooms and cost.
    fn costs(&self, series: &Series) -> Vec<(usize, f64)> {
        let points = series.points.iter();
        points
            .filter(|point| !self.memory || point.has_memory())
            .map(|point| (point.rooms, (self.cost)(point)))
            .collect()
    }
}

pub(crate) fn draw(growth: &Growth) -> String {
    let mut svg = Svg::new(WIDTH, HEIGHT);
    svg.text((24.0, 36.0), Anchor::Start, TITLE, "What more rooms cost");
    let explained = "By number of rooms open and in use, on a logarithmic scale. Shaded: within \
                     20 % of the relay's first figure.";
    svg.text((24.0, 58.0), Anchor::Start, SMALL, explained);
    for (index, series) in growth.series.iter().enumerate() {
        let x = 30.0 + 140.0 * index as f64;
        svg.dot((x, 80.0), color(series));
        svg.text((x + 11.0, 84.0), Anchor::Start, SMALL, series.title);
    }
    for (index, panel) in PANELS.iter().enumerate() {
        draw_panel(&mut svg, 24.0 + index as f64 * (PANEL + GAP), panel, growth);
    }
    svg.finish()
}

fn draw_panel(svg: &mut Svg, left: f64, panel: &Panel, growth: &Growth) {
    let Some(ours) = growth.series.iter().find(|series| series.name == "relay") else {
        return;
    };
    let Some(&(_, first)) = panel.costs(ours).first() else {
        return;
    };
    let all = growth.series.iter().flat_map(|series| panel.costs(series));
    let (rooms, most) = all.fold((1, first * (1.0 + FLAT)), |(rooms, most), (at, cost)| {
        (rooms.max(at), most.max(cost))
    });
    let x = |at: usize| left + 14.0 + (at as f64).ln() / (rooms as f64).ln() * (PANEL - 40.0);
    let y = |cost: f64| BOTTOM - cost / (most * 1.15) * (BOTTOM - TOP);

    let bold = Font {
        bold: true,
        ..LABEL
    };
    svg.text((left, TOP - 14.0), Anchor::Start, bold, panel.title);
    let (high, low) = (y(first * (1.0 + FLAT)), y(first * (1.0 - FLAT)));
    svg.band((left, high), PANEL, low - high, BAND);
    svg.line((left, BOTTOM), (left + PANEL, BOTTOM), GRID, 1.0);
    for point in &ours.points {
        let label = match point.rooms {
            rooms @ ..1_000 => rooms.to_string(),
            rooms => format!("{}k", rooms / 1_000),
        };
        let below = (x(point.rooms), BOTTOM + 18.0);
        svg.text(below, Anchor::Middle, SMALL, &label);
    }
    // The relay is the first, and so on top.
    for series in growth.series.iter().rev() {
        let costs = panel.costs(series);
        let points: Vec<_> = costs.iter().map(|(at, cost)| (x(*at), y(*cost))).collect();
        svg.path(&points, color(series));
        for (point, (_, cost)) in points.iter().zip(&costs) {
            svg.dot(*point, color(series));
            if series.name == "relay" {
                let below = (point.0, point.1 + 20.0);
                svg.text(below, Anchor::Middle, SMALL, &figure(*cost));
            }
        }
    }
}

fn color(series: &Series) -> &'static str {
    if series.name == "relay" {
        "#0072b2"
    } else {
        "#8c959f"
    }
}
