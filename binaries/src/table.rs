//! Text in columns.

/// Rows of equal length, a line each: the first columns, so many, to the left, the others to the right.
pub fn lines(rows: &[Vec<String>], left: usize) -> Vec<String> {
    let columns = rows.first().map_or(0, Vec::len);
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or_default();
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let line = |row: &Vec<String>| {
        let cells = row.iter().zip(&widths).enumerate().map(|(column, (cell, width))| match column < left {
            true => format!("{cell:<width$}"),
            false => format!("{cell:>width$}"),
        });
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect()
}

/// The same, as one text.
pub fn text(rows: &[Vec<String>], left: usize) -> String {
    lines(rows, left).into_iter().map(|line| line + "\n").collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let rows = [["name", "n"], ["a", "1000"], ["ä", "1"]].map(|row| row.map(str::to_owned).to_vec());
        assert_eq!(lines(&rows, 1), ["name     n", "a     1000", "ä        1"]);
        assert_eq!(text(&rows, 2), "name  n\na     1000\nä     1\n");
        assert_eq!(text(&[], 1), "");
    }
}
