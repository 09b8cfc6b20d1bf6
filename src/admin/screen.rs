//! How the live view is drawn: from what a relay has last answered, and the rates of the minutes before.

use std::collections::VecDeque;

use ratatui::{
    Frame,
    layout::{Constraint, Layout, Rect},
    style::{Color, Modifier, Style},
    text::Line,
    widgets::{Paragraph, Row, Sparkline, Table},
};
use relay_wire::text::escaped;

use super::{
    api::Status,
    units::bytes,
    words::{self, CLIENT_HEADS, ROOM_HEADS},
};

/// Seconds that the plot goes back, at most: as many as a wide screen has columns.
const HISTORY: usize = 500;
/// Lines of the plot.
const PLOT: u16 = 4;

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
        let head = self.head();
        let rows = |count: usize| u16::try_from(count + 2).unwrap_or(u16::MAX);
        let areas = Layout::vertical([
            Constraint::Length(u16::try_from(head.len()).unwrap_or(u16::MAX)),
            Constraint::Length(PLOT),
            Constraint::Max(rows(self.status.busiest_rooms.len())),
            Constraint::Fill(1),
            Constraint::Length(1),
        ]);
        let [top, plot, rooms, clients, foot] = areas.areas(frame.area());
        frame.render_widget(Paragraph::new(head), top);
        self.draw_plot(frame, plot);
        let of_rooms = self.status.busiest_rooms.iter().map(words::room_row);
        draw_table(frame, rooms, ROOM_HEADS, of_rooms);
        let of_clients = self.status.clients.iter().map(words::client_row);
        draw_table(frame, clients, CLIENT_HEADS, of_clients);
        frame.render_widget(Paragraph::new("q ends this view").style(dim()), foot);
    }

    /// The first lines.
    fn head(&self) -> Vec<Line<'static>> {
        let it = &self.status;
        let well = it.troubles.is_empty() && self.silence.is_none();
        let colour = if well { Color::Green } else { Color::Red };
        let bold = Style::new().fg(colour).add_modifier(Modifier::BOLD);
        let mut lines = vec![Line::styled(escaped(&words::headline(it)), bold)];
        let troubles = self.silence.iter().chain(&it.troubles);
        lines.extend(troubles.map(|it| Line::styled(escaped(it), Color::Red)));
        lines.push(Line::raw(words::load(it)));
        lines.push(Line::raw(words::transfers(it)));
        if !it.refusals.is_empty() {
            lines.push(Line::raw(format!(
                "refused so far: {}",
                escaped(&words::refusals(it))
            )));
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

fn draw_table<const N: usize>(
    frame: &mut Frame<'_>,
    area: Rect,
    heads: [&str; N],
    rows: impl Iterator<Item = [String; N]>,
) {
    let rows: Vec<_> = rows.collect();
    let width = |column: usize| {
        let cells = rows.iter().map(|row| row[column].chars().count());
        let width = cells.chain([heads[column].len()]).max().unwrap_or(0);
        Constraint::Length(u16::try_from(width).unwrap_or(u16::MAX))
    };
    let widths: [_; N] = std::array::from_fn(width);
    let bold = Style::new().add_modifier(Modifier::BOLD);
    let table = Table::new(rows.into_iter().map(Row::new), widths).column_spacing(2);
    frame.render_widget(table.header(Row::new(heads).style(bold)), area);
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
