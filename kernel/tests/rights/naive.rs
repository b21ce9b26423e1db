//! For random rules and commands: what is allowed is what one finds who reads the rules one after the other, as they were
//! given, with sets of names.

use std::collections::{BTreeMap, BTreeSet};

use mneme_kernel::glob;
use proptest::prelude::*;
use proptest::sample::subsequence;

use crate::stage::Stage;

/// What is asked, what that is to rules, the keys and what is done with them, and the channels.
type Case = (&'static str, &'static str, &'static [(&'static str, &'static str)], &'static [&'static str]);

const CASES: &[Case] = &[
    ("PING", "ping", &[], &[]),
    ("GET a1", "get", &[("a1", "r")], &[]),
    ("SET a1 v", "set", &[("a1", "w")], &[]),
    ("SET b1 v GET", "set", &[("b1", "rw")], &[]),
    ("INCR b2", "incr", &[("b2", "rw")], &[]),
    ("EXISTS a1 b1", "exists", &[("a1", ""), ("b1", "")], &[]),
    ("COPY a1 b1", "copy", &[("a1", "r"), ("b1", "w")], &[]),
    ("RENAME a1 b1", "rename", &[("a1", "rw"), ("b1", "w")], &[]),
    ("SORT a1 BY x STORE b2", "sort", &[("a1", "r"), ("b2", "w")], &[]),
    ("ZUNIONSTORE b1 2 a1 a2", "zunionstore", &[("b1", "w"), ("a1", "r"), ("a2", "r")], &[]),
    ("XREAD STREAMS a1 b1 0 0", "xread", &[("a1", "r"), ("b1", "r")], &[]),
    ("BITFIELD a2 GET u4 0", "bitfield", &[("a2", "r")], &[]),
    ("OBJECT ENCODING a1", "object|encoding", &[("a1", "")], &[]),
    ("XGROUP CREATE b1 g 0", "xgroup|create", &[("b1", "w")], &[]),
    ("CONFIG GET x", "config|get", &[], &[]),
    ("CONFIG SET x y", "config|set", &[], &[]),
    ("CLIENT ID", "client|id", &[], &[]),
    ("CLIENT KILL x", "client|kill", &[], &[]),
    ("SELECT 0", "select", &[], &[]),
    ("SELECT 1", "select", &[], &[]),
    ("DEBUG SLEEP 0", "debug", &[], &[]),
    ("PUBLISH c1 m", "publish", &[], &["c1"]),
    ("SPUBLISH d1 m", "spublish", &[], &["d1"]),
    ("SUBSCRIBE c1 d1", "subscribe", &[], &["c1", "d1"]),
    ("PSUBSCRIBE c*", "psubscribe", &[], &["c*"]),
    ("PSUBSCRIBE c1", "psubscribe", &[], &["c1"]),
    ("UNSUBSCRIBE e", "unsubscribe", &[], &[]),
    ("FLUSHALL", "flushall", &[], &[]),
    ("USER SHOW x", "user|show", &[], &[]),
];

const COMMAND_RULES: &[&str] = &[
    "+@all",
    "-@all",
    "allcommands",
    "nocommands",
    "+@read",
    "-@read",
    "+@write",
    "-@write",
    "+@string",
    "-@string",
    "+@keyspace",
    "-@keyspace",
    "+@admin",
    "-@admin",
    "+@dangerous",
    "-@dangerous",
    "+@slow",
    "-@slow",
    "+@fast",
    "-@fast",
    "+@pubsub",
    "-@pubsub",
    "+@connection",
    "-@connection",
    "+get",
    "-get",
    "+set",
    "-set",
    "+copy",
    "-sort",
    "+xread",
    "+config",
    "-config",
    "+config|get",
    "-config|get",
    "+config|set",
    "-client|kill",
    "+client",
    "-client",
    "+client|id",
    "+select|0",
    "+select|1",
    "-select",
    "+select",
    "+debug|sleep",
    "-debug",
    "+object",
    "-xgroup",
    "+user|show",
    "+SADD",
];
const PATTERN_RULES: &[&str] = &[
    "allkeys",
    "resetkeys",
    "~a*",
    "~b1",
    "%R~a1",
    "%W~b*",
    "%RW~?1",
    "%R~*",
    "%w~a1",
    "allchannels",
    "resetchannels",
    "&c*",
    "&c1",
    "&d?",
];

/// What one selector allows, as sets of names.
#[derive(Default)]
struct Naive {
    commands: BTreeSet<String>,
    first_arguments: BTreeSet<(String, String)>,
    keys: Vec<(String, String)>,
    channels: Vec<String>,
}

/// The names of a category, and all names.
struct Names {
    categories: BTreeMap<String, Vec<String>>,
    all: BTreeSet<String>,
}

impl Names {
    fn ask(stage: &mut Stage) -> Self {
        let words = |text: String| text.split(' ').map(String::from).collect::<Vec<_>>();
        let categories: BTreeMap<_, _> = words(stage.ask("admin", "ACL CAT"))
            .into_iter()
            .map(|category| (category.clone(), words(stage.ask("admin", &format!("ACL CAT {category}")))))
            .collect();
        // Every command and subcommand is in one of these two.
        let all = categories["slow"].iter().chain(&categories["fast"]).cloned().collect();
        Self { categories, all }
    }

    /// A name and those beneath it.
    fn beneath<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a String> {
        let prefix = format!("{name}|");
        self.all.iter().filter(move |known| *known == name || known.starts_with(&prefix))
    }
}

impl Naive {
    fn apply(&mut self, rule: &str, names: &Names) {
        let rule = match rule {
            "allcommands" => "+@all",
            "nocommands" => "-@all",
            rule => rule,
        };
        match rule.split_at(1) {
            (sign @ ("+" | "-"), name) => {
                let name = name.to_ascii_lowercase();
                let meant: Vec<&str> = match name.strip_prefix('@') {
                    Some("all") => names.all.iter().map(String::as_str).collect(),
                    Some(category) => names.categories[category].iter().map(String::as_str).collect(),
                    None if names.all.contains(&name) => vec![&name],
                    None => {
                        let (command, word) = name.split_once('|').expect("a command with its first argument");
                        self.first_arguments.insert((command.into(), word.into()));
                        vec![]
                    }
                };
                for name in meant.into_iter().flat_map(|name| names.beneath(name)) {
                    self.first_arguments.retain(|(command, _)| command != name);
                    match sign {
                        "+" => self.commands.insert(name.clone()),
                        _ => self.commands.remove(name),
                    };
                }
            }
            ("~", pattern) => self.keys.push((pattern.into(), "rw".into())),
            ("%", rest) => {
                let (flags, pattern) = rest.split_once('~').expect("a pattern");
                self.keys.push((pattern.into(), flags.to_ascii_lowercase()));
            }
            ("&", pattern) => self.channels.push(pattern.into()),
            _ => match rule {
                "allkeys" => self.keys = vec![("*".into(), "rw".into())],
                "resetkeys" => self.keys.clear(),
                // A pattern of its own, that allows every pattern, too.
                "allchannels" => self.channels = vec!["every".into()],
                "resetchannels" => self.channels.clear(),
                other => panic!("{other}"),
            },
        }
    }

    fn allows(&self, (request, name, keys, channels): &Case) -> bool {
        let argument = request.split(' ').nth(1).unwrap_or_default().to_ascii_lowercase();
        let is_begun = self.first_arguments.contains(&((*name).to_string(), argument));
        let matches = |pattern: &str, text: &str| glob::matches(pattern.as_bytes(), text.as_bytes());
        let key = |(key, needed): &(&str, &str)| {
            // What the same pattern allows by several rules, it allows together; other patterns do not add to it.
            let patterns: BTreeSet<&String> = self.keys.iter().map(|(pattern, _)| pattern).collect();
            patterns.into_iter().filter(|pattern| matches(pattern, key)).any(|pattern| {
                let gives: String = self.keys.iter().filter(|(other, _)| other == pattern).map(|(_, f)| &**f).collect();
                needed.chars().all(|flag| gives.contains(flag))
            })
        };
        let channel = |channel: &&str| {
            let is_pattern = *name == "psubscribe";
            let allows = |known: &String| match is_pattern {
                true => known == channel,
                false => matches(known, channel),
            };
            self.channels.iter().any(|known| known == "every" || allows(known))
        };
        (self.commands.contains(*name) || is_begun) && keys.iter().all(key) && channels.iter().all(channel)
    }
}

/// Rules of one selector. Once everything is allowed, Redis takes no further patterns: those are left out.
fn rules() -> impl Strategy<Value = Vec<&'static str>> {
    let commands = prop::collection::vec(prop::sample::select(COMMAND_RULES), 0..8);
    let patterns = subsequence(PATTERN_RULES, 0..6).prop_shuffle();
    (commands, patterns).prop_map(|(commands, patterns)| {
        let mut kept: Vec<&str> = Vec::new();
        for rule in patterns {
            let after = |every: &str, reset: &str| {
                let last = kept.iter().rposition(|rule| *rule == every);
                last.is_some() && kept.iter().rposition(|rule| *rule == reset) < last
            };
            let is_needless = match &rule[..1] {
                "~" | "%" => after("allkeys", "resetkeys"),
                "&" => after("allchannels", "resetchannels"),
                _ => false,
            };
            if !is_needless {
                kept.push(rule);
            }
        }
        kept.into_iter().chain(commands).collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn what_is_made_of_rules_says_what_the_rules_say(root in rules(), others in prop::collection::vec(rules(), 0..3)) {
        let mut stage = Stage::new();
        let names = Names::ask(&mut stage);
        let mut naive = vec![Naive::default()];
        let mut words: Vec<String> = root.iter().map(|rule| (*rule).into()).collect();
        root.iter().for_each(|rule| naive[0].apply(rule, &names));
        for selector in &others {
            words.push(format!("({})", selector.join(" ")));
            let mut found = Naive::default();
            selector.iter().for_each(|rule| found.apply(rule, &names));
            naive.push(found);
        }
        prop_assert_eq!(stage.ask("admin", format!("ACL SETUSER ann on nopass {}", words.join(" ")).trim_end()), "OK");
        // What is shown means the same.
        let shown = stage.ask("admin", "ACL LIST");
        let shown = shown.split("user ann ").nth(1).expect("it is listed");
        prop_assert_eq!(stage.ask("admin", &format!("ACL SETUSER bob {shown}")), "OK");
        for case in CASES {
            let wanted = naive.iter().any(|selector| selector.allows(case));
            for user in ["ann", "bob"] {
                let told = stage.ask("admin", &format!("ACL DRYRUN {user} {}", case.0));
                prop_assert_eq!(told == "OK", wanted, "{} {}: {} {:?}", user, case.0, told, words);
            }
        }
    }
}
