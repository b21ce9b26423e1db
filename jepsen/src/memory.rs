//! From whose memory a node answers at `EVENTUAL`, as far as it says so itself: what `CLUSTER STATUS` shows before and behind
//! the reads of one pipeline.

use mneme_checks::history::Memory;
use mneme_kernel::ids::Incarnation;
use redis::Value;

/// The memory, if both say the same.
pub fn between(before: &Value, after: &Value) -> Option<Memory> {
    of(before).filter(|memory| of(after) == Some(*memory))
}

fn of(status: &Value) -> Option<Memory> {
    let text = |value: &Value| match value {
        Value::BulkString(bytes) => String::from_utf8(bytes.clone()).ok(),
        Value::SimpleString(text) => Some(text.clone()),
        _ => None,
    };
    let field = |map: &Value, name: &str| match map {
        Value::Map(pairs) => {
            pairs.iter().find(|(key, _)| text(key).as_deref() == Some(name)).map(|(_, value)| value.clone())
        }
        _ => None,
    };
    if text(&field(status, "role")?)? == "replica" {
        return Some(Memory::Replica);
    }
    let node = text(&field(status, "node")?)?;
    let Value::Array(cores) = field(status, "cores")? else { return None };
    let own = cores.iter().find(|core| field(core, "name").as_ref().and_then(text) == Some(node.clone()))?;
    match field(own, "incarnation")? {
        Value::Int(number) => Some(Memory::Core(Incarnation(number as u64))),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(incarnation: i64) -> Value {
        let text = |text: &str| Value::BulkString(text.into());
        let core =
            |name, number| Value::Map(vec![(text("name"), text(name)), (text("incarnation"), Value::Int(number))]);
        Value::Map(vec![
            (text("node"), text("n2")),
            (text("role"), text("standby")),
            (text("cores"), Value::Array(vec![core("n1", 3), core("n2", incarnation)])),
        ])
    }

    #[test]
    fn a_memory_is_a_cores_as_long_as_its_incarnation_is_the_same() {
        assert_eq!(between(&status(7), &status(7)), Some(Memory::Core(Incarnation(7))));
        assert_eq!(between(&status(7), &status(8)), None);
        assert_eq!(between(&status(7), &Value::Nil), None);
    }
}
