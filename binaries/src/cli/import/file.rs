//! A file: it is read to its end first, to see that all of it is sound and known here. Then its keys are written, and in the
//! end read back.

use std::path::Path;

use super::How;
use super::cluster::Cluster;
use super::reader::{Reader, Record};
use super::report::Report;
use super::state::{self, State};
use super::verify::{Wrong, differing};
use crate::cli::backup::bar;
use crate::cli::dial::Target;
use crate::cli::keys::{Content, Entry, now};
use crate::cli::options::Options;
use crate::cli::stop::Stop;

/// Keys, and bytes of them, that are read back together.
const KEYS: usize = 256;
const BYTES: usize = 4 << 20;

pub(super) fn import(path: &Path, how: &How, options: &Options) -> Result<Report, Stop> {
    let (mut report, source) = survey(path, how)?;
    if how.dry_run {
        return Ok(report);
    }
    let place = how.state.clone().unwrap_or_else(|| state::beside(path));
    let mut state = State::open(place, source, target_name(&options.target, how))?;
    let mut cluster = Cluster::open(options, how)?;
    if !state.goes_on {
        cluster.prepare(report.databases().iter(), how)?;
    }
    if let Err(stop) = write(path, &mut cluster, &mut state, &mut report) {
        note(&mut state, &cluster)?;
        state.write()?;
        return Err(incomplete(stop));
    }
    state.remove();
    report.done = "imported";
    if !how.unverified {
        report.verified = Some(verify(path, &mut cluster)?);
        check_sizes(&mut cluster, how, &report)?;
    }
    Ok(report)
}

/// What the target is called where it is noted how far an import has come.
pub(super) fn target_name(target: &Target, how: &How) -> String {
    let place = match target {
        Target::Hosts { hosts, .. } | Target::Plain(hosts) => {
            hosts.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
        }
        Target::Socket(path) => path.display().to_string(),
    };
    let databases: String = how.databases.iter().map(|(from, to)| format!(" {from}={to}")).collect();
    place + &databases
}

/// Says how to go on.
pub(super) fn incomplete(stop: Stop) -> Stop {
    let why = |why: String| format!("{why}\nthe import is incomplete: the same command again goes on with it");
    match stop {
        Stop::Server(text) => Stop::Server(why(text)),
        Stop::Connection(text) => Stop::Connection(why(text)),
        stop => stop,
    }
}

/// Refuses what cannot be imported, unless it is to be left out.
pub(super) fn check_known(entry: &Entry, how: &How) -> Result<(), Stop> {
    match &entry.content {
        Content::Unknown(why) if !how.skip_unknown && !how.dry_run => Err(Stop::Damaged(format!(
            "key \"{}\" in database {} is {why}: --skip-unknown leaves such keys out",
            entry.key.escape_ascii(),
            entry.database
        ))),
        _ => Ok(()),
    }
}

/// Reads all of the file; what it holds, and what tells it from others.
fn survey(path: &Path, how: &How) -> Result<(Report, String), Stop> {
    let report = Report::new("in the file");
    let mut report = if how.dry_run { report.with_biggest() } else { report };
    let mut reader = Reader::open(path, None)?;
    let bar = bar("read", Some(reader.len()));
    while let Some(record) = reader.next()? {
        match record {
            Record::Library(_) => report.libraries += 1,
            Record::Key(entry) => {
                check_known(&entry, how)?;
                report.count(&entry);
            }
        }
        bar.set_position(reader.place().position);
    }
    bar.finish_and_clear();
    Ok((report, format!("{}, {}, {} bytes", path.display(), reader.name(), reader.len())))
}

fn write(path: &Path, cluster: &mut Cluster, state: &mut State, report: &mut Report) -> Result<(), Stop> {
    let begin = state.place();
    let mut reader = Reader::open(path, Some(&begin))?;
    state.note(&begin)?;
    let bar = bar("import", Some(reader.len()));
    while let Some(record) = reader.next()? {
        match record {
            Record::Library(code) => cluster.library(&code)?,
            Record::Key(entry) if is_left_out(&entry) => {}
            Record::Key(entry) => {
                cluster.write(entry, reader.place(), report)?;
                note(state, cluster)?;
            }
        }
        bar.set_position(reader.place().position);
    }
    cluster.settle(report)?;
    bar.finish_and_clear();
    Ok(())
}

fn note(state: &mut State, cluster: &Cluster) -> Result<(), Stop> {
    cluster.acknowledged().map_or(Ok(()), |place| state.note(place))
}

fn is_left_out(entry: &Entry) -> bool {
    matches!(entry.content, Content::Unknown(_)) || entry.deadline.is_some_and(|deadline| deadline <= now())
}

/// Compares every key of the file; how many there are.
fn verify(path: &Path, cluster: &mut Cluster) -> Result<u64, Stop> {
    let mut reader = Reader::open(path, None)?;
    let bar = bar("verify", Some(reader.len()));
    let (mut batch, mut bytes, mut keys) = (Vec::<Entry>::new(), 0, 0);
    let mut wrong = Wrong::default();
    loop {
        let record = reader.next()?;
        let is_other = |entry: &Entry| batch.first().is_some_and(|first| first.database != entry.database);
        let is_full = batch.len() >= KEYS || bytes >= BYTES;
        if is_full || matches!(&record, Some(Record::Key(entry)) if is_other(entry)) || record.is_none() {
            keys += batch.len() as u64;
            for entry in differing(cluster, std::mem::take(&mut batch), 0)? {
                wrong.add(&entry.database, &entry.key);
            }
            bytes = 0;
        }
        match record {
            None => break,
            Some(Record::Key(entry)) if !is_left_out(&entry) => {
                bytes += entry.content.len();
                batch.push(entry);
            }
            Some(_) => {}
        }
        bar.set_position(reader.place().position);
    }
    bar.finish_and_clear();
    wrong.check().map(|()| keys)
}

/// Compares how many keys there are: some may have expired meanwhile.
fn check_sizes(cluster: &mut Cluster, how: &How, report: &Report) -> Result<(), Stop> {
    if how.merge || how.skip_unknown || !how.databases.is_empty() {
        return Ok(());
    }
    for database in report.databases() {
        let held = cluster.reads.size(&database)?;
        let (keys, mortal) = report.keys_of(&database);
        if held > keys || held < keys - mortal {
            return Err(Stop::Damaged(format!(
                "database {database} holds {held} keys, and there are {keys} in the file: somebody else changes them"
            )));
        }
    }
    Ok(())
}
