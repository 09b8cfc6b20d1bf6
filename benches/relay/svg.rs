//! Just enough SVG for the plots.

use std::fmt::{Display, Write};

pub(crate) const INK: &str = "#1f2328";
pub(crate) const FAINT: &str = "#656d76";
pub(crate) const GRID: &str = "#d8dee4";

/// A drawing on white, in pixels from its top left corner.
pub(crate) struct Svg {
    text: String,
}

/// Where a text stands in relation to its point.
#[derive(Clone, Copy)]
pub(crate) enum Anchor {
    Start,
    Middle,
    End,
}

/// How a text looks.
#[derive(Clone, Copy)]
pub(crate) struct Font {
    pub(crate) size: u8,
    pub(crate) bold: bool,
    pub(crate) color: &'static str,
}

pub(crate) const TITLE: Font = Font {
    size: 18,
    bold: true,
    color: INK,
};
pub(crate) const LABEL: Font = Font {
    size: 13,
    bold: false,
    color: INK,
};
pub(crate) const SMALL: Font = Font {
    size: 12,
    bold: false,
    color: FAINT,
};

impl Svg {
    pub(crate) fn new(width: f64, height: f64) -> Self {
        let text = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" \
             width=\"{width}\" height=\"{height}\" \
             font-family=\"-apple-system, 'Segoe UI', 'DejaVu Sans', sans-serif\">\n\
             <rect width=\"{width}\" height=\"{height}\" rx=\"6\" fill=\"#ffffff\"/>\n"
        );
        Self { text }
    }

    pub(crate) fn line(&mut self, from: (f64, f64), to: (f64, f64), color: &str, width: f64) {
        self.element(format_args!(
            "<line x1=\"{:.1}\" y1=\"{:.1}\" x2=\"{:.1}\" y2=\"{:.1}\" stroke=\"{color}\" \
             stroke-width=\"{width}\"/>",
            from.0, from.1, to.0, to.1
        ));
    }

    pub(crate) fn path(&mut self, points: &[(f64, f64)], color: &str) {
        let points: Vec<_> = points
            .iter()
            .map(|(x, y)| format!("{x:.1},{y:.1}"))
            .collect();
        self.element(format_args!(
            "<polyline points=\"{}\" fill=\"none\" stroke=\"{color}\" stroke-width=\"2\"/>",
            points.join(" ")
        ));
    }

    pub(crate) fn dot(&mut self, (x, y): (f64, f64), color: &str) {
        self.element(format_args!(
            "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"5\" fill=\"{color}\" stroke=\"#ffffff\"/>"
        ));
    }

    pub(crate) fn band(&mut self, (x, y): (f64, f64), width: f64, height: f64, color: &str) {
        self.element(format_args!(
            "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height:.1}\" \
             fill=\"{color}\"/>"
        ));
    }

    pub(crate) fn text(&mut self, (x, y): (f64, f64), anchor: Anchor, font: Font, text: &str) {
        let anchor = match anchor {
            Anchor::Start => "start",
            Anchor::Middle => "middle",
            Anchor::End => "end",
        };
        let weight = if font.bold {
            " font-weight=\"600\""
        } else {
            ""
        };
        let text = text.replace('&', "&amp;").replace('<', "&lt;");
        self.element(format_args!(
            "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\" font-size=\"{}\"{weight} \
             fill=\"{}\">{text}</text>",
            font.size, font.color
        ));
    }

    pub(crate) fn finish(self) -> String {
        self.text + "</svg>\n"
    }

    fn element(&mut self, element: impl Display) {
        // Writing to a string does not fail.
        _ = writeln!(self.text, "{element}");
    }
}
