//! How the live view is drawn: from what a relay has last answered, and the rates of the minutes before.

use std::collections::VecDeque;

use ratatui::{
    Frame,
    layout::{Constraint, Layout, Rect},
    style::{Color, Modifier, Style},
    text::Line,
    widgets::{Paragraph, Sparkline},
};
use relay_wire::text::escaped;

use super::{
    api::Status,
    table::Table,
    units::bytes,
    words::{self, wrapped},
};

/// Seconds that the plot goes back, at most: as many as a wide screen has columns.
const HISTORY: usize = 500;
/// Lines of the plot, on a screen that has as many as a small terminal.
const PLOT: u16 = 4;
const SMALL: u16 = 20;

/// What is shown.
pub(super) struct View {
    status: Status,
    /// Bytes a second, out, the last at the end.
    rates: VecDeque<u64>,
    /// Why the relay does not answer, if it does not.
    silence: Option<String>,
}

impl View {
    pub(super) fn new(status: Status) -> Self {
        let rates = VecDeque::from([status.sent_bytes_per_sec]);
        Self {
            status,
            rates,
            silence: None,
        }
    }

    /// The relay has answered, or has not.
    pub(super) fn heard(&mut self, answer: Result<Status, String>) {
        match answer {
            Ok(status) => {
                self.rates.push_back(status.sent_bytes_per_sec);
                if self.rates.len() > HISTORY {
                    self.rates.pop_front();
                }
                self.status = status;
                self.silence = None;
            }
            Err(why) => self.silence = Some(why),
        }
    }

    pub(super) fn draw(&self, frame: &mut Frame<'_>) {
        let area = frame.area();
        let head = self.head(usize::from(area.width));
        // However much is not well, half of the screen is for the rest.
        let head_lines = u16::try_from(head.len()).unwrap_or(u16::MAX);
        let areas = Layout::vertical([
            Constraint::Length(head_lines.min(area.height.div_ceil(2))),
            Constraint::Length(if area.height < SMALL { 0 } else { PLOT }),
            Constraint::Fill(1),
            Constraint::Fill(1),
            Constraint::Length(1),
        ]);
        let [top, plot, rooms, clients, foot] = areas.areas(area);
        frame.render_widget(Paragraph::new(head), top);
        self.draw_plot(frame, plot);
        draw_table(frame, rooms, &words::rooms(&self.status.busiest_rooms));
        draw_table(frame, clients, &words::clients(&self.status.clients));
        frame.render_widget(Paragraph::new("q ends this view").style(dim()), foot);
    }

    /// The first lines, in this width.
    fn head(&self, width: usize) -> Vec<Line<'static>> {
        let it = &self.status;
        let well = it.troubles.is_empty() && self.silence.is_none();
        let colour = if well { Color::Green } else { Color::Red };
        let bold = Style::new().fg(colour).add_modifier(Modifier::BOLD);
        let mut lines = Vec::new();
        let mut say = |text: &str, style| {
            let wrapped = wrapped(&escaped(text), width).into_iter();
            lines.extend(wrapped.map(|line| Line::styled(line, style)));
        };
        say(&words::headline(it), bold);
        for trouble in self.silence.iter().chain(&it.troubles) {
            say(trouble, Style::new().fg(Color::Red));
        }
        say(&words::load(it), Style::new());
        say(&words::transfers(it), Style::new());
        if !it.refusals.is_empty() {
            let refused = format!("refused so far: {}", words::refusals(it));
            say(&refused, Style::new());
        }
        lines
    }

    /// The rates of the last minutes, the newest on the right.
    fn draw_plot(&self, frame: &mut Frame<'_>, area: Rect) {
        let [title, plot] =
            Layout::vertical([Constraint::Length(1), Constraint::Fill(1)]).areas(area);
        let first = self.rates.len().saturating_sub(usize::from(plot.width));
        let shown: Vec<_> = self.rates.iter().skip(first).copied().collect();
        let most = shown.iter().copied().max().unwrap_or(0);
        let text = format!("out, a second a column, up to {}/s", bytes(most));
        frame.render_widget(Paragraph::new(text).style(dim()), title);
        frame.render_widget(Sparkline::default().data(shown).max(most.max(1)), plot);
    }
}

fn dim() -> Style {
    Style::new().add_modifier(Modifier::DIM)
}

/// As much of it as there is room for, and a line between it and what is below.
fn draw_table<const N: usize>(frame: &mut Frame<'_>, area: Rect, table: &Table<N>) {
    let columns = table.columns(usize::from(area.width));
    let most = usize::from(area.height.saturating_sub(1));
    let lines = table.lines(&columns).into_iter().take(most).enumerate();
    let lines = lines.map(|(number, line)| {
        let style = match number {
            0 => Style::new().add_modifier(Modifier::BOLD),
            _ => Style::new(),
        };
        Line::styled(line, style)
    });
    frame.render_widget(Paragraph::new(lines.collect::<Vec<_>>()), area);
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
