//! A page of HTML that needs nothing but itself: no network, no script. Drawings are SVG with classes of its own style.

use std::fmt::Display;

const STYLE: &str = include_str!("page.css");

/// A page with this title and this content.
pub fn page(title: &str, content: &str) -> String {
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" \
         content=\"width=device-width, initial-scale=1\">\n<title>{title}</title>\n<style>\n{STYLE}</style>\n</head>\n\
         <body>\n<h1>{title}</h1>\n{content}</body>\n</html>\n",
        title = escaped(title)
    )
}

/// A text as it stands between tags or in quotes.
pub fn escaped(text: impl Display) -> String {
    let mut escaped = String::new();
    for letter in text.to_string().chars() {
        match letter {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            other => escaped.push(other),
        }
    }
    escaped
}

/// A table. Cells are HTML; columns whose heading begins with `#` hold numbers.
pub fn table<const N: usize>(headings: [&str; N], rows: impl IntoIterator<Item = [String; N]>) -> String {
    let is_number = headings.map(|heading| heading.starts_with('#'));
    let class = |column: usize| if is_number[column] { " class=\"number\"" } else { "" };
    let cells = |tag: &str, cells: &[String; N]| -> String {
        let cells = cells.iter().enumerate();
        cells.map(|(column, cell)| format!("<{tag}{}>{cell}</{tag}>", class(column))).collect()
    };
    let heading = headings.map(|heading| escaped(heading.trim_start_matches('#')));
    let mut table = format!("<table>\n<thead><tr>{}</tr></thead>\n<tbody>\n", cells("th", &heading));
    for row in rows {
        table += &format!("<tr>{}</tr>\n", cells("td", &row));
    }
    table + "</tbody>\n</table>\n"
}

/// A bar that fills this share of its width.
pub fn bar(share: f64) -> String {
    const WIDTH: f64 = 160.0;
    format!(
        "<svg class=\"bar\" width=\"{WIDTH}\" height=\"12\" role=\"img\" aria-label=\"{:.0} %\"><rect class=\"rest\" \
         width=\"{WIDTH}\" height=\"12\" rx=\"2\"/><rect class=\"part\" width=\"{:.1}\" height=\"12\" rx=\"2\"/></svg>",
        100.0 * share,
        WIDTH * share.clamp(0.0, 1.0)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_is_not_taken_for_markup() {
        assert_eq!(escaped("<b> & \"c\""), "&lt;b&gt; &amp; &quot;c&quot;");
        let table = table(["what", "#times"], [["a".into(), "3".into()]]);
        assert!(table.contains("<th>what</th><th class=\"number\">times</th>"), "{table}");
        assert!(table.contains("<td>a</td><td class=\"number\">3</td>"), "{table}");
    }
}
