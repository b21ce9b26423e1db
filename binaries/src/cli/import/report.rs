//! What an import, or a look at a file, comes to.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use mneme_kernel::resp::Value;

use crate::cli::keys::{Content, Entry, now};
use crate::cli::output::Form;

/// How many of the biggest keys are named.
const BIGGEST: usize = 10;

/// Counts keys.
#[derive(Debug)]
pub(super) struct Report {
    begun: Instant,
    /// What was done, in a word or two.
    pub(super) done: &'static str,
    /// Keys and bytes of values by the source's database and type.
    keys: BTreeMap<(String, &'static str), (u64, u64)>,
    /// Keys with a deadline, by the source's database.
    mortal: BTreeMap<String, u64>,
    pub(super) libraries: u64,
    /// Keys whose deadline had passed.
    expired: u64,
    /// Keys that were left out, by why.
    left_out: BTreeMap<String, u64>,
    /// The keys with the largest values: bytes, database, key. Only where they are asked for.
    biggest: Option<Vec<(usize, String, Vec<u8>)>>,
    /// Keys that were read back and were the same, if that was asked for.
    pub(super) verified: Option<u64>,
    /// Keys that were found to differ, and were copied once more.
    pub(super) mended: u64,
}

impl Report {
    pub(super) fn new(done: &'static str) -> Report {
        Report {
            begun: Instant::now(),
            done,
            keys: BTreeMap::new(),
            mortal: BTreeMap::new(),
            libraries: 0,
            expired: 0,
            left_out: BTreeMap::new(),
            biggest: None,
            verified: None,
            mended: 0,
        }
    }

    /// Names the biggest keys as well.
    pub(super) fn with_biggest(self) -> Report {
        Report { biggest: Some(Vec::new()), ..self }
    }

    /// Counts anew.
    pub(super) fn forget(&mut self) {
        self.keys.clear();
        self.mortal.clear();
        self.left_out.clear();
        self.expired = 0;
    }

    /// Counts a key that is there.
    pub(super) fn count(&mut self, entry: &Entry) {
        match &entry.content {
            Content::Gone => return,
            Content::Unknown(why) => return self.leave_out(why),
            _ if entry.deadline.is_some_and(|deadline| deadline <= now()) => {
                self.expired += 1;
                return;
            }
            _ => {}
        }
        let size = entry.content.len();
        let counted = self.keys.entry((entry.database.clone(), entry.content.kind())).or_default();
        *counted = (counted.0 + 1, counted.1 + size as u64);
        if entry.deadline.is_some() {
            *self.mortal.entry(entry.database.clone()).or_default() += 1;
        }
        if let Some(biggest) = &mut self.biggest {
            let at = biggest.partition_point(|(bytes, ..)| *bytes >= size);
            if at < BIGGEST {
                biggest.insert(at, (size, entry.database.clone(), entry.key.clone()));
                biggest.truncate(BIGGEST);
            }
        }
    }

    pub(super) fn leave_out(&mut self, why: &str) {
        *self.left_out.entry(why.to_owned()).or_default() += 1;
    }

    /// The source's databases with keys.
    pub(super) fn databases(&self) -> Vec<String> {
        let mut databases: Vec<String> = self.keys.keys().map(|(database, _)| database.clone()).collect();
        databases.dedup();
        databases
    }

    /// How many keys of this database there are, and how many of them have a deadline.
    pub(super) fn keys_of(&self, database: &str) -> (u64, u64) {
        let of = self.keys.iter().filter(|((of, _), _)| of == database);
        (of.map(|(_, (keys, _))| keys).sum(), self.mortal.get(database).copied().unwrap_or_default())
    }

    pub(super) fn shown(&self, form: Option<Form>) -> Vec<u8> {
        match form {
            None => self.text().into_bytes(),
            Some(form) => {
                let mut out = Vec::new();
                form.write(&self.value(), &mut out);
                out
            }
        }
    }

    fn totals(&self) -> (u64, u64) {
        self.keys.values().fold((0, 0), |(keys, bytes), (more, larger)| (keys + more, bytes + larger))
    }

    fn text(&self) -> String {
        let (keys, bytes) = self.totals();
        let mut text = format!("{}: {keys} keys, {bytes} bytes, {} libraries of functions", self.done, self.libraries);
        text += &match self.begun.elapsed() {
            _ if self.biggest.is_some() => String::new(),
            took => format!(", in {}", shown_time(took)),
        };
        let mut lines = vec![text];
        let mut line = |text: String| lines.push(text);
        for ((database, kind), (keys, bytes)) in &self.keys {
            line(format!("  database {database}: {kind}: {keys} keys, {bytes} bytes"));
        }
        for (bytes, database, key) in self.biggest.iter().flatten() {
            line(format!("  big: \"{}\" in database {database}: {bytes} bytes", key.escape_ascii()));
        }
        if self.expired > 0 {
            line(format!("  expired: {} keys, which are left out", self.expired));
        }
        for (why, keys) in &self.left_out {
            line(format!("  left out: {keys} keys: {why}"));
        }
        if self.mended > 0 {
            line(format!("  mended: {} keys that had changed without being noticed", self.mended));
        }
        if let Some(keys) = self.verified {
            line(format!("verified: {keys} keys were read back and are the same"));
        }
        lines.iter().map(|line| format!("{line}\n")).collect()
    }

    fn value(&self) -> Value {
        let text = |text: &str| Value::Bulk(text.as_bytes().to_vec());
        let number = |number: u64| Value::Int(number as i64);
        let map = |pairs: Vec<(&str, Value)>| {
            Value::Map(pairs.into_iter().map(|(name, value)| (text(name), value)).collect())
        };
        let (keys, bytes) = self.totals();
        let rows = self.keys.iter().map(|((database, kind), (keys, bytes))| {
            map(vec![("db", text(database)), ("type", text(kind)), ("keys", number(*keys)), ("bytes", number(*bytes))])
        });
        let big = self.biggest.iter().flatten().map(|(bytes, database, key)| {
            map(vec![("db", text(database)), ("key", Value::Bulk(key.clone())), ("bytes", number(*bytes as u64))])
        });
        let left_out = self.left_out.iter().map(|(why, keys)| map(vec![("why", text(why)), ("keys", number(*keys))]));
        let mut pairs = vec![
            ("import", text(self.done)),
            ("keys", number(keys)),
            ("bytes", number(bytes)),
            ("libraries", number(self.libraries)),
            ("milliseconds", number(self.begun.elapsed().as_millis() as u64)),
            ("by_type", Value::Array(rows.collect())),
            ("expired", number(self.expired)),
            ("left_out", Value::Array(left_out.collect())),
            ("mended", number(self.mended)),
            ("verified", self.verified.map_or(Value::Null, number)),
        ];
        if self.biggest.is_some() {
            pairs.push(("biggest", Value::Array(big.collect())));
        }
        map(pairs)
    }
}

fn shown_time(time: Duration) -> String {
    match time.as_secs() {
        0..60 => format!("{:.1} s", time.as_secs_f64()),
        seconds => format!("{} min {} s", seconds / 60, seconds % 60),
    }
}
