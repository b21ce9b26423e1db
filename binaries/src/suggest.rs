//! What somebody who mistyped a name probably meant.

/// `; did you mean "listen"?`, or nothing if no candidate is near. The mark (`$`) stands before the name; without one, the
/// name is in quotes.
pub fn did_you_mean<'a>(typed: &str, known: impl Iterator<Item = &'a str>, mark: &str) -> String {
    let near = known
        .map(|name| (strsim::jaro_winkler(typed, name), name))
        .filter(|(likeness, _)| *likeness > 0.9)
        .max_by(|a, b| a.0.total_cmp(&b.0));
    match near {
        None => String::new(),
        Some((_, name)) if mark.is_empty() => format!("; did you mean \"{name}\"?"),
        Some((_, name)) => format!("; did you mean {mark}{name}?"),
    }
}
