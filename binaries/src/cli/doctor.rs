//! `doctor`: looks at each node of `-H` and at what they say of the cluster, and tells what is wrong and what to do.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use mneme_kernel::resp::Value;

use super::Words;
use super::connection::{Connection, Target};
use super::options::Options;
use super::output::Form;
use super::stop::Stop;

/// Clocks may differ by so much: deadlines of keys count by that of the primary, whoever that is.
const SKEW: Duration = Duration::from_secs(1);
/// What is left of a certificate when nodes should have renewed theirs.
const CERTIFICATE: Duration = Duration::from_secs(30 * 24 * 3600);
/// Entries that a Core may be behind.
const LAG: i64 = 1000;

/// Whether these words are its command.
pub fn is_asked(words: &Words) -> bool {
    matches!(words.as_slice(), [word] if word.eq_ignore_ascii_case(b"doctor"))
}

/// What it prints; `true` if all is well.
///
/// # Errors
/// If nothing can be looked at.
pub fn run(options: &Options) -> Result<(Vec<u8>, bool), Stop> {
    let mut seen = Vec::new();
    let mut findings = Vec::new();
    for (name, target) in each(&options.target) {
        let looked = Connection::open(&target, &options.opening).and_then(|connection| Seen::look(&name, connection));
        match looked {
            Ok(node) => seen.push(node),
            Err(Stop::Connection(why)) => {
                let why = why.strip_prefix(&format!("{name}: ")).unwrap_or(&why);
                findings.push(bad(&name, why, "start it, or mend the way to it"));
            }
            Err(Stop::Server(why)) => {
                findings.push(bad(&name, &why, "give a user with the right to look (-u, MNEME_PASSWORD)"))
            }
            Err(stop) => return Err(stop),
        }
    }
    seen.iter().for_each(|node| node.judge(&mut findings));
    judge_together(&seen, &mut findings);
    let well = findings.iter().all(|finding| finding.mend.is_none());
    Ok((shown(&findings, options.form), well))
}

/// Each server by itself.
fn each(target: &Target) -> Vec<(String, Target)> {
    match target {
        Target::Hosts { hosts, trust } => {
            let alone = |host| Target::Hosts { hosts: vec![host], trust: trust.clone() };
            hosts.iter().map(|host| (host.to_string(), alone(host.clone()))).collect()
        }
        Target::Socket(path) => vec![(path.display().to_string(), target.clone())],
        Target::Clear(host) => vec![(host.to_string(), target.clone())],
    }
}

/// Something that was looked at.
#[derive(Debug, PartialEq, Eq)]
struct Finding {
    place: String,
    what: String,
    /// What to do, if it is not well.
    mend: Option<String>,
}

fn well(place: &str, what: impl Into<String>) -> Finding {
    Finding { place: place.to_owned(), what: what.into(), mend: None }
}

fn bad(place: &str, what: &str, mend: &str) -> Finding {
    Finding { place: place.to_owned(), what: what.to_owned(), mend: Some(mend.to_owned()) }
}

fn shown(findings: &[Finding], form: Option<Form>) -> Vec<u8> {
    let mut out = Vec::new();
    let bulk = |text: &str| Value::Bulk(text.as_bytes().to_vec());
    match form {
        Some(form) => {
            let row = |finding: &Finding| {
                let mend = finding.mend.as_deref().map_or(Value::Null, bulk);
                let fields = [("place", bulk(&finding.place)), ("found", bulk(&finding.what)), ("mend", mend)];
                Value::Map(fields.into_iter().map(|(name, value)| (bulk(name), value)).collect())
            };
            form.write(&Value::Array(findings.iter().map(row).collect()), &mut out);
        }
        None => {
            for Finding { place, what, mend } in findings {
                let mark = if mend.is_some() { "BAD" } else { "ok " };
                out.extend(format!("{mark}  {place}: {what}\n").bytes());
                if let Some(mend) = mend {
                    out.extend(format!("     -> {mend}\n").bytes());
                }
            }
        }
    }
    out
}

/// What a node says.
#[derive(Debug, Default)]
struct Seen {
    host: String,
    info: BTreeMap<String, String>,
    /// Of `CLUSTER STATUS`.
    primary: String,
    epoch: i64,
    voters: i64,
    lag: i64,
    learners: Vec<String>,
    /// How far its clock is ahead of the one here, milliseconds.
    ahead: i64,
    /// What is left of its certificate, seconds; `None` without TLS.
    certificate: Option<i64>,
}

impl Seen {
    fn look(host: &str, mut connection: Connection) -> Result<Seen, Stop> {
        let mut seen = Seen { host: host.to_owned(), ..Seen::default() };
        let before = unix_millis();
        if let Value::Array(time) = connection.ask(&[b"TIME"])? {
            let number = |at: usize| time.get(at).map_or(0, integer);
            seen.ahead = number(0) * 1000 + number(1) / 1000 - before.midpoint(unix_millis());
        }
        let info = connection.ask(&[b"INFO"])?;
        let info = String::from_utf8_lossy(info.as_bytes().unwrap_or_default()).into_owned();
        let pairs = info.lines().filter_map(|line| line.split_once(':'));
        seen.info = pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        let status = fields(connection.ask(&[b"CLUSTER", b"STATUS"])?);
        let number = |name: &str| status.get(name).map_or(0, integer);
        (seen.epoch, seen.voters, seen.lag) = (number("epoch"), number("voters"), number("lag"));
        seen.primary = status.get("primary").map(text).unwrap_or_default();
        if let Some(Value::Array(keepers)) = status.get("keepers") {
            let keepers = keepers.iter().cloned().map(fields);
            let learners = keepers.filter(|keeper| keeper.get("role").map(text).as_deref() == Some("learner"));
            seen.learners = learners.map(|keeper| keeper.get("name").map(text).unwrap_or_default()).collect();
        }
        seen.certificate = connection.certificate_ends().map(|ends| ends - unix_millis() / 1000);
        Ok(seen)
    }

    fn number(&self, name: &str) -> i64 {
        self.info.get(name).and_then(|value| value.parse().ok()).unwrap_or(0)
    }

    fn text(&self, name: &str) -> &str {
        self.info.get(name).map_or("", String::as_str)
    }

    fn judge(&self, findings: &mut Vec<Finding>) {
        let host = &*self.host;
        let mut say = |what: String, mend: Option<&str>| {
            findings.push(match mend {
                Some(mend) => bad(host, &what, mend),
                None => well(host, what),
            });
        };
        say(
            format!("node {}, {}, version {}", self.text("node"), self.text("node_role"), self.text("mneme_version")),
            None,
        );
        let skewed = self.ahead.unsigned_abs() > SKEW.as_millis() as u64;
        say(
            format!("its clock is {} ms ahead of this machine's", self.ahead),
            skewed.then_some("have NTP set the clocks of both: deadlines count by that of the primary"),
        );
        if let Some(left) = self.certificate {
            let ends = left < CERTIFICATE.as_secs() as i64;
            say(
                format!("its certificate ends in {} days", left.div_euclid(24 * 3600)),
                ends.then_some("set MNEME_CLUSTER_SECRET there and restart it, or replace the files of --tls-cert; its log says why"),
            );
        }
        if self.number("disk_full") > 0 {
            say("its disk is full".to_owned(), Some("make room: writes go on by themselves"));
        }
        if self.text("rdb_last_bgsave_status") == "err" {
            say(
                "its last snapshot failed".to_owned(),
                Some("its log says why; the log on disk grows until one succeeds"),
            );
        }
        if self.lag > LAG {
            say(format!("it is {} entries behind", self.lag), Some("see docs/RUNBOOKS.md#mnemecorelags"));
        }
        let (used, most) = (self.number("used_memory"), self.number("maxmemory"));
        // With a policy that evicts it is meant to be full.
        if most > 0 && used > most / 10 * 9 && self.text("maxmemory_policy") == "noeviction" {
            say(format!("{used} of {most} bytes of --maxmemory are used"), Some("raise --maxmemory, or remove keys"));
        }
        let (clients, most) = (self.number("connected_clients"), self.number("maxclients"));
        if clients > most / 10 * 9 {
            say(
                format!("{clients} of {most} connections are open"),
                Some("raise --max-clients, or look at CLIENT LIST"),
            );
        }
    }
}

fn judge_together(seen: &[Seen], findings: &mut Vec<Finding>) {
    let Some(first) = seen.first() else { return };
    let place = "cluster";
    let differ = |what: &dyn Fn(&Seen) -> String| seen.iter().map(what).collect::<std::collections::BTreeSet<_>>();
    let primaries = differ(&|node| node.primary.clone());
    match primaries.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        [""] => findings.push(bad(place, "there is no primary", "see docs/RUNBOOKS.md#mnemenoprimary")),
        [primary] => findings.push(well(place, format!("{primary} is primary, in epoch {}", first.epoch))),
        several => findings.push(bad(
            place,
            &format!("the nodes do not agree who is primary: {}", several.join(", ")),
            "ask again; if that lasts, some are cut off: see docs/RUNBOOKS.md#mnemeseveralprimaries",
        )),
    }
    let versions = differ(&|node| node.text("mneme_version").to_owned());
    if versions.len() > 1 {
        let versions: Vec<_> = versions.into_iter().collect();
        findings.push(bad(place, &format!("the nodes have versions {}", versions.join(", ")), "finish the upgrade"));
    }
    let what = format!("{} Keepers vote", first.voters);
    findings.push(match first.voters {
        1 => well(place, format!("{what}: what is lost with its disk is lost; have backups, or three")),
        2 => bad(place, &what, "both must answer for anything to be written: add a third"),
        _ => well(place, what),
    });
    if !first.learners.is_empty() {
        let what = format!("these Keepers do not vote: {}", first.learners.join(", "));
        findings.push(well(place, format!("{what}; they catch up, or their number is even")));
    }
}

fn unix_millis() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_millis() as i64)
}

fn integer(value: &Value) -> i64 {
    match value {
        Value::Int(number) => *number,
        other => text(other).parse().unwrap_or(0),
    }
}

fn text(value: &Value) -> String {
    String::from_utf8_lossy(value.as_bytes().unwrap_or_default()).into_owned()
}

/// A map, whichever protocol it came by.
fn fields(map: Value) -> BTreeMap<String, Value> {
    match map {
        Value::Map(pairs) => pairs.into_iter().map(|(key, value)| (text(&key), value)).collect(),
        Value::Array(flat) => flat.chunks_exact(2).map(|pair| (text(&pair[0]), pair[1].clone())).collect(),
        _ => BTreeMap::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(host: &str) -> Seen {
        let info = [("node", host), ("mneme_version", "1"), ("maxclients", "100"), ("connected_clients", "1")];
        Seen {
            host: host.to_owned(),
            info: info.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
            primary: "n1".to_owned(),
            voters: 3,
            certificate: Some(300 * 24 * 3600),
            ..Seen::default()
        }
    }

    /// What is wrong, in one line each.
    fn wrong(seen: &[Seen]) -> Vec<String> {
        let mut findings = Vec::new();
        seen.iter().for_each(|node| node.judge(&mut findings));
        judge_together(seen, &mut findings);
        findings.into_iter().filter(|finding| finding.mend.is_some()).map(|finding| finding.what).collect()
    }

    #[test]
    fn a_well_cluster_is_well() {
        assert_eq!(wrong(&[node("n1"), node("n2"), node("n3")]), Vec::<String>::new());
    }

    #[test]
    fn each_illness_is_found() {
        let ill = |change: &dyn Fn(&mut Seen)| {
            let mut changed = node("n2");
            change(&mut changed);
            wrong(&[node("n1"), changed]).join(";")
        };
        let set = |name: &'static str, value: &'static str| {
            move |seen: &mut Seen| drop(seen.info.insert(name.to_owned(), value.to_owned()))
        };
        assert!(ill(&|seen| seen.ahead = -2000).contains("clock is -2000 ms"));
        assert!(ill(&|seen| seen.certificate = Some(86400)).contains("ends in 1 days"));
        assert!(ill(&|seen| seen.lag = 5000).contains("5000 entries behind"));
        assert!(ill(&|seen| seen.primary = "n2".to_owned()).contains("do not agree"));
        assert!(ill(&set("disk_full", "1")).contains("disk is full"));
        assert!(ill(&set("rdb_last_bgsave_status", "err")).contains("snapshot failed"));
        assert!(ill(&set("connected_clients", "95")).contains("95 of 100"));
        assert!(ill(&set("mneme_version", "2")).contains("versions 1, 2"));
        let nobody = Seen { primary: String::new(), voters: 2, ..node("n1") };
        assert_eq!(wrong(&[nobody]), ["there is no primary", "2 Keepers vote"]);
    }

    #[test]
    fn findings_are_shown_to_people_and_programs() {
        let findings = [well("n1", "fine"), bad("n2", "ill", "mend it")];
        assert_eq!(shown(&findings, None), b"ok   n1: fine\nBAD  n2: ill\n     -> mend it\n");
        let json = String::from_utf8(shown(&findings, Some(Form::Json))).expect("text");
        assert!(json.contains(r#"{"place":"n2","found":"ill","mend":"mend it"}"#), "{json}");
    }
}
