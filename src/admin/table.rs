//! Rows of cells, for a person, on however narrow a screen: pure.

/// What heads a column, and how soon it gives way where there is no room for all: the one with the highest
/// number is the first.
pub(super) type Head = (&'static str, u8);

/// Blanks between columns.
pub(super) const GAP: usize = 2;

/// Rows under their heads.
pub(super) struct Table<const N: usize> {
    heads: [Head; N],
    rows: Vec<[String; N]>,
}

impl<const N: usize> Table<N> {
    pub(super) fn new(heads: [Head; N], rows: impl Iterator<Item = [String; N]>) -> Self {
        let rows = rows.collect();
        Self { heads, rows }
    }

    /// A column is as wide as what is in it.
    fn width_of(&self, column: usize) -> usize {
        let cells = self.rows.iter().map(|row| row[column].chars().count());
        cells.chain([self.heads[column].0.len()]).max().unwrap_or(0)
    }

    /// The columns that there is room for in this width, one at least, and the width of each.
    pub(super) fn columns(&self, width: usize) -> Vec<(usize, usize)> {
        let mut columns: Vec<_> = (0..N).map(|it| (it, self.width_of(it))).collect();
        let needed = |columns: &[(usize, usize)]| {
            let cells = columns.iter().map(|&(_, width)| width).sum::<usize>();
            cells + GAP * columns.len().saturating_sub(1)
        };
        while columns.len() > 1 && needed(&columns) > width {
            let gives_way = columns.iter().map(|&(it, _)| self.heads[it].1).max();
            columns.retain(|&(it, _)| Some(self.heads[it].1) != gives_way);
        }
        columns
    }

    /// Its lines, the heads first, in these columns, where those of numbers end where they do.
    pub(super) fn lines(&self, columns: &[(usize, usize)]) -> Vec<String> {
        let is_number = |cell: &str| cell == "-" || cell.starts_with(|c: char| c.is_ascii_digit());
        let is_right = |column: usize| {
            let words = ["room", "address", "sender", "receiver", "largest share"];
            let mut cells = self.rows.iter().map(|row| &row[column]);
            !words.contains(&self.heads[column].0) && cells.all(|cell| is_number(cell))
        };
        let columns = columns.iter().map(|&(it, width)| (it, width, is_right(it)));
        let columns: Vec<_> = columns.collect();
        let line = move |cell: &dyn Fn(usize) -> String| {
            let cells = columns.iter().map(|&(it, width, is_right)| {
                let cell = cell(it);
                match is_right {
                    true => format!("{cell:>width$}"),
                    false => format!("{cell:width$}"),
                }
            });
            let line = cells.collect::<Vec<_>>().join(&" ".repeat(GAP));
            line.trim_end().to_owned()
        };
        let head = line(&|it| self.heads[it].0.to_owned());
        let rows = self.rows.iter().map(|row| line(&|it| row[it].clone()));
        [head].into_iter().chain(rows).collect()
    }

    /// All of it in this width.
    pub(super) fn text(&self, width: usize) -> String {
        let lines = self.lines(&self.columns(width));
        lines.into_iter().map(|line| line + "\n").collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table<3> {
        let rows = [["a1", "9 B", "-"], ["b", "10 KiB", "sender"]];
        let rows = rows.map(|row| row.map(str::to_owned));
        Table::new([("room", 0), ("down", 2), ("slow", 1)], rows.into_iter())
    }

    #[test]
    fn columns_of_numbers_end_where_they_do() {
        assert_eq!(
            table().text(80),
            "room    down  slow\na1       9 B  -\nb     10 KiB  sender\n"
        );
    }

    #[test]
    fn what_matters_least_gives_way() {
        assert_eq!(table().text(20), table().text(80));
        assert_eq!(table().text(19), "room  slow\na1    -\nb     sender\n");
        assert_eq!(table().text(11), "room\na1\nb\n");
        assert_eq!(table().text(0), "room\na1\nb\n");
    }
}
