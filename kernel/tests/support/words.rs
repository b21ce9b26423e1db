//! What stands in scripts for replies and proposals.

use mneme_kernel::effect::{Effect, Effects};
use mneme_kernel::entry::Entry;
use mneme_kernel::resp::Value;

pub fn show(value: &Value) -> String {
    match value {
        Value::Simple(text) => format!("+{text}"),
        Value::Error(text) => format!("-{text}"),
        Value::Int(n) => format!(":{n}"),
        Value::Null => "$-1".into(),
        Value::Bulk(bytes) => format!("${:?}", String::from_utf8_lossy(bytes)),
        Value::Push(parts) => format!(">{}", parts.iter().map(show).collect::<Vec<_>>().join(" ")),
        other => format!("{other:?}"),
    }
}

pub fn describe(proposal: &[u8]) -> String {
    match Entry::decode(proposal).expect("what a Core proposed") {
        Entry::Hello { node, .. } => format!("hello of {node}"),
        Entry::Claim { incarnation, previous_epoch, last_renewal } => {
            format!("claim of life {incarnation} after epoch {previous_epoch}, renewed at {last_renewal}")
        }
        Entry::Batch { seq, effects, .. } => {
            let effects: Vec<String> =
                Effects::new(effects).map(|effect| describe_effect(&effect.expect("what a Core executed"))).collect();
            format!("batch {seq}: {}", effects.join(", "))
        }
        Entry::Renew { number, .. } => format!("renewal {number}"),
        Entry::Release { seq, .. } => format!("release behind batch {}", seq.0 - 1),
        Entry::Format { format } => format!("format {format}"),
        Entry::Remove { node, incarnation } => format!("removal of {node}, life {incarnation}"),
    }
}

fn describe_effect(effect: &Effect<'_>) -> String {
    let text = String::from_utf8_lossy;
    let until = |deadline: Option<u64>| deadline.map_or(String::new(), |deadline| format!(" until {deadline}"));
    match *effect {
        Effect::Put { key, value, deadline, .. } => format!("put {} {:?}{}", text(key), text(value), until(deadline)),
        Effect::Delete { key, .. } => format!("delete {}", text(key)),
        Effect::Deadline { key, deadline, .. } => format!("deadline {}{}", text(key), until(deadline)),
        Effect::Flush { db } => format!("flush {}", db.0),
        Effect::User { name, .. } => format!("user {name}"),
        Effect::SealCa { .. } => "seal the CA".into(),
        Effect::Answered { session, number, reply, .. } => format!("answered {session}:{number} {:?}", text(reply)),
        Effect::Acknowledged { session, number, .. } => format!("acknowledged {session}:{number}"),
        Effect::Reach { user, everywhere: true } => format!("{user} everywhere"),
        Effect::Reach { user, everywhere: false } => format!("{user} nowhere"),
        Effect::Grant { user, db } => format!("grant {user} {}", db.0),
        Effect::UserLevel { user, level } => format!("level of {user} {level:?}"),
        Effect::Rules { user, rules } => format!("rules of {user}, {} bytes", rules.len()),
        Effect::DropUser { name } => format!("drop user {name}"),
        Effect::CreateDatabase { name, db, id } => format!("database {name} {} at {}", db.0, id.0),
        Effect::DropDatabase { db } => format!("drop database {}", db.0),
        Effect::DatabaseLevel { db, level } => format!("level of database {} {level:?}", db.0),
        Effect::SwapDatabases { a, b } => format!("swap {} {}", a.0, b.0),
        Effect::Patch { key, offset, bytes, .. } => format!("patch {} at {offset} {:?}", text(key), text(bytes)),
        Effect::LoadScript { body } => format!("load script {}", text(body)),
        Effect::FlushScripts => "flush scripts".into(),
        Effect::LoadLibrary { name, .. } => format!("load library {name}"),
        Effect::DropLibrary { name } => format!("drop library {name}"),
        Effect::Change { key, change, .. } => format!("change {} {change:?}", text(key)),
    }
}
