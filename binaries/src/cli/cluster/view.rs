//! The answer to `CLUSTER STATUS`, for people.

use std::fmt::Write;

use mneme_kernel::resp::Value;

/// An answer of a server of any version: what it does not say is empty.
#[derive(Clone, Copy, Debug)]
pub(super) struct View<'a>(pub &'a Value);

impl<'a> View<'a> {
    pub(super) fn node(&self) -> &'a str {
        text(self.0, "node")
    }

    pub(super) fn is_primary(&self) -> bool {
        text(self.0, "role") == "primary"
    }

    /// Its name; empty if there is none.
    pub(super) fn primary(&self) -> &'a str {
        text(self.0, "primary")
    }

    pub(super) fn epoch(&self) -> String {
        shown(self.0, "epoch")
    }

    /// The cluster address of a Core.
    pub(super) fn address_of(&self, core: &str) -> &'a str {
        let found = items(self.0, "cores").iter().find(|item| text(item, "name") == core);
        found.map_or("", |core| text(core, "address"))
    }

    /// Facts of the node that was asked, then a table of Cores and one of Keepers.
    pub(super) fn text(&self) -> String {
        let mut out = String::new();
        let primary = if self.primary().is_empty() { "none" } else { self.primary() };
        let facts = [("node", self.node()), ("role", text(self.0, "role")), ("primary", primary)];
        let facts = facts.into_iter().map(|(name, fact)| (name, fact.to_owned()));
        let numbers = ["epoch", "format", "applied", "committed", "lag", "voters", "forwarded"];
        let numbers = numbers.into_iter().map(|name| (name, shown(self.0, name)));
        for (name, fact) in facts.chain(numbers) {
            // Writing into memory cannot fail.
            let _ = writeln!(out, "{name:<10} {fact}");
        }
        table("CORE", &["role", "address", "incarnation"], items(self.0, "cores"), &mut out);
        table("KEEPER", &["role", "leader", "matched", "address", "id"], items(self.0, "keepers"), &mut out);
        out
    }
}

/// Appends items, a line each, by their name and these fields.
fn table(kind: &str, fields: &[&str], items: &[Value], out: &mut String) {
    let head = [kind.to_owned()].into_iter().chain(fields.iter().map(|field| field.to_uppercase())).collect();
    let row = |item| ["name"].iter().chain(fields).map(|field| cell(item, field)).collect();
    let rows: Vec<Vec<String>> = [head].into_iter().chain(items.iter().map(row)).collect();
    out.push('\n');
    out.push_str(&crate::table::text(&rows, fields.len() + 1));
}

fn cell(item: &Value, field: &str) -> String {
    match (field, get(item, field)) {
        ("leader", Some(Value::Int(leads))) => if *leads == 1 { "yes" } else { "no" }.to_owned(),
        (_, None | Some(Value::Null)) => "-".to_owned(),
        _ => shown(item, field),
    }
}

fn get<'a>(map: &'a Value, name: &str) -> Option<&'a Value> {
    let Value::Map(pairs) = map else { return None };
    pairs.iter().find(|(key, _)| key.as_bytes() == Some(name.as_bytes())).map(|(_, value)| value)
}

fn text<'a>(map: &'a Value, name: &str) -> &'a str {
    let bytes = get(map, name).and_then(Value::as_bytes).unwrap_or_default();
    std::str::from_utf8(bytes).unwrap_or_default()
}

/// A field as text, whatever it is; nothing in it can act upon a terminal.
fn shown(map: &Value, name: &str) -> String {
    match get(map, name) {
        Some(Value::Int(number)) => number.to_string(),
        _ => text(map, name).chars().filter(|c| !c.is_control()).collect(),
    }
}

fn items<'a>(map: &'a Value, name: &str) -> &'a [Value] {
    match get(map, name) {
        Some(Value::Array(items)) => items,
        _ => &[],
    }
}

/// A status as RESP3 has it, also if it came by RESP2, where maps are flat.
pub(super) fn with_maps(status: Value) -> Value {
    let map = |value| match value {
        Value::Array(flat) => {
            let mut flat = flat.into_iter();
            let mut pairs = Vec::new();
            while let (Some(key), Some(value)) = (flat.next(), flat.next()) {
                pairs.push((key, value));
            }
            Value::Map(pairs)
        }
        other => other,
    };
    match map(status) {
        Value::Map(pairs) => {
            let each = |value| match value {
                Value::Array(items) => Value::Array(items.into_iter().map(map).collect()),
                other => other,
            };
            Value::Map(pairs.into_iter().map(|(key, value)| (key, each(value))).collect())
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bulk(text: &str) -> Value {
        Value::Bulk(text.as_bytes().to_vec())
    }

    fn flat(fields: &[(&str, Value)]) -> Value {
        Value::Array(fields.iter().flat_map(|(name, value)| [bulk(name), value.clone()]).collect())
    }

    /// As RESP2 brings it.
    fn status() -> Value {
        let core = |name: &str, role: &str| {
            flat(&[
                ("name", bulk(name)),
                ("address", bulk(&format!("{name}:7379"))),
                ("role", bulk(role)),
                ("incarnation", Value::Int(17)),
            ])
        };
        let keeper = |name: &str, leads: i64, matched: Value| {
            flat(&[
                ("name", bulk(name)),
                ("address", bulk(&format!("{name}:7379"))),
                ("role", bulk("voter")),
                ("id", bulk("00ab")),
                ("leader", Value::Int(leads)),
                ("matched", matched),
            ])
        };
        flat(&[
            ("node", bulk("n2")),
            ("role", bulk("standby")),
            ("primary", bulk("n1")),
            ("epoch", Value::Int(5)),
            ("format", Value::Int(2)),
            ("applied", Value::Int(30)),
            ("committed", Value::Int(31)),
            ("lag", Value::Int(1)),
            ("voters", Value::Int(3)),
            ("forwarded", Value::Int(0)),
            ("cores", Value::Array(vec![core("n1", "primary"), core("n2", "standby")])),
            ("keepers", Value::Array(vec![keeper("n1", 1, Value::Int(31)), keeper("long-name", 0, Value::Null)])),
        ])
    }

    #[test]
    fn columns_are_aligned() {
        let status = with_maps(status());
        let expected = "\
node       n2
role       standby
primary    n1
epoch      5
format     2
applied    30
committed  31
lag        1
voters     3
forwarded  0

CORE  ROLE     ADDRESS  INCARNATION
n1    primary  n1:7379  17
n2    standby  n2:7379  17

KEEPER     ROLE   LEADER  MATCHED  ADDRESS         ID
n1         voter  yes     31       n1:7379         00ab
long-name  voter  no      -        long-name:7379  00ab
";
        assert_eq!(View(&status).text(), expected);
        let view = View(&status);
        assert_eq!((view.is_primary(), view.primary(), view.address_of("n1")), (false, "n1", "n1:7379"));
    }

    #[test]
    fn what_is_not_said_is_empty() {
        let nothing = Value::Map(Vec::new());
        let view = View(&nothing);
        assert_eq!((view.node(), view.primary(), view.is_primary()), ("", "", false));
        assert!(view.text().contains("primary    none\n"));
    }
}
