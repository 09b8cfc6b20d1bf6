//! The plot of the comparison: what the others take, in multiples of what this relay takes.

use crate::{
    figures::figure,
    report::{Line, Report},
    rows::Kind,
    svg::{Anchor, FAINT, Font, GRID, INK, LABEL, SMALL, Svg, TITLE},
};

const COLORS: &[(&str, &str)] = &[
    ("python", "#0072b2"),
    ("ws", "#009e73"),
    ("bun", "#d55e00"),
    ("haproxy", "#8c959f"),
];

const WIDTH: f64 = 960.0;
const LEFT: f64 = 250.0;
const RIGHT: f64 = 780.0;
const TOP: f64 = 122.0;
const ROW: f64 = 28.0;

/// The logarithmic axis: multiples of the relay's own figure.
struct Axis {
    least: f64,
    most: f64,
}

impl Axis {
    /// From the decade of the smallest multiple to beyond the largest.
    fn around(multiples: impl Iterator<Item = f64>) -> Self {
        let (least, most) = multiples.fold((0.5_f64, 20.0_f64), |(least, most), value| {
            (least.min(value), most.max(value))
        });
        Self {
            least: least / 1.2,
            most: most * 1.3,
        }
    }

    fn x(&self, multiple: f64) -> f64 {
        let share = (multiple / self.least).ln() / (self.most / self.least).ln();
        LEFT + share * (RIGHT - LEFT)
    }

    fn ticks(&self) -> impl Iterator<Item = f64> {
        const TICKS: [f64; 10] = [0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 100.0, 1_000.0];
        TICKS
            .into_iter()
            .filter(|tick| (self.least..self.most).contains(tick))
    }
}

pub(crate) fn draw(report: &Report) -> String {
    let lines: Vec<&Line> = report
        .lines
        .iter()
        .filter(|line| matches!(line.row.kind, Kind::Cost(_)) && line.median("relay").is_some())
        .collect();
    let multiple = |line: &Line, peer| line.share_of(peer).map(|share| 1.0 / share);
    let axis = Axis::around(
        lines
            .iter()
            .flat_map(|line| COLORS.iter().filter_map(|(peer, _)| multiple(line, peer))),
    );
    let bottom = TOP + ROW * lines.len() as f64;
    let mut svg = Svg::new(WIDTH, bottom + 62.0);

    svg.text(
        (24.0, 36.0),
        Anchor::Start,
        TITLE,
        "What the others take, if this relay takes 1",
    );
    let explained = "The server's own CPU time and memory, and delays, on a logarithmic scale. \
                     A dot to the right of the line takes more than this relay.";
    svg.text((24.0, 58.0), Anchor::Start, SMALL, explained);
    legend(&mut svg, report);

    for tick in axis.ticks() {
        let x = axis.x(tick);
        let (color, width) = if tick == 1.0 { (INK, 2.0) } else { (GRID, 1.0) };
        svg.line((x, TOP - 8.0), (x, bottom), color, width);
        svg.text(
            (x, bottom + 18.0),
            Anchor::Middle,
            SMALL,
            &format!("{tick}×"),
        );
    }
    svg.text(
        (RIGHT + 24.0, TOP - 14.0),
        Anchor::Start,
        SMALL,
        "this relay takes",
    );

    for (index, line) in lines.into_iter().enumerate() {
        let y = TOP + ROW * (index as f64 + 0.5);
        svg.text((LEFT - 16.0, y + 4.0), Anchor::End, LABEL, &label(line));
        for (peer, color) in COLORS {
            if let Some(multiple) = multiple(line, peer) {
                svg.dot((axis.x(multiple), y), color);
            }
        }
        let ours = line.median("relay").map(figure).unwrap_or_default();
        let ours = format!("{ours} {}", line.row.unit);
        svg.text((RIGHT + 24.0, y + 4.0), Anchor::Start, SMALL, &ours);
    }
    svg.text(
        (24.0, bottom + 46.0),
        Anchor::Start,
        SMALL,
        &report.small_print(),
    );
    svg.finish()
}

fn legend(svg: &mut Svg, report: &Report) {
    let bold = Font {
        bold: true,
        ..SMALL
    };
    let mut x = LEFT;
    for subject in &report.subjects {
        let Some((_, color)) = COLORS.iter().find(|(name, _)| *name == subject.name) else {
            continue;
        };
        svg.dot((x, 84.0), color);
        svg.text(
            (x + 11.0, 88.0),
            Anchor::Start,
            Font {
                color: FAINT,
                ..bold
            },
            subject.title,
        );
        x += 34.0 + 7.2 * subject.title.len() as f64;
    }
}

fn label(line: &Line) -> String {
    match line.row.unit.split_once(' ') {
        Some((percentile @ ("p50" | "p99"), _)) => format!("{}, {percentile}", line.row.title),
        _ => line.row.title.to_owned(),
    }
}
