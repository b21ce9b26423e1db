//! A running Redis: all its keys are copied, and then again those that change, until somebody says that it is done. At the end
//! all keys of both sides are compared, and what differs is copied once more: notifications tell neither of `FLUSHALL` nor of
//! `SWAPDB`, and get lost with a connection.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use indicatif::ProgressBar;
use mneme_kernel::resp::Value;
use signal_hook::consts::SIGINT;
use signal_hook::flag;

use super::changes::Changes;
use super::cluster::Cluster;
use super::file::{check_known, incomplete, target_name};
use super::notifications::Notifications;
use super::reader::Place;
use super::report::Report;
use super::state::{self, State};
use super::url::{Url, of_source};
use super::verify::{Wrong, differing};
use super::{From, How, Until};
use crate::cli::backup::bar;
use crate::cli::keys::{Content, Entry, Source};
use crate::cli::options::Options;
use crate::cli::stop::Stop;
use crate::cli::survey::Walk;
use crate::cli::trust::Trust;

/// How often all is compared before it is said that somebody goes on changing it.
const PASSES: usize = 4;
/// How long is waited for a change at a time.
const PAUSE: Duration = Duration::from_millis(200);
/// Between the names of databases that are noted.
const BETWEEN: &str = "\n";
/// What deadlines may be off where the source does not tell them exactly, in milliseconds.
const SLACK_MS: u64 = 1000;

pub(super) fn import(from: &From, how: &How, options: &Options) -> Result<Report, Stop> {
    let From::Redis { url, trust, until, sets_notifications } = from else {
        return Err(Stop::Usage("import: this is no address of a Redis".to_owned()));
    };
    let mut source = Source::new(url.open(trust)?)?;
    if how.dry_run {
        return look(&mut source, how).map_err(|stop| of_source(url, stop));
    }
    let place = how.state.clone().unwrap_or_else(|| state::beside(url.host.to_string().replace(':', "-").as_ref()));
    let state = State::open(place, url.to_string(), target_name(&options.target, how))?;
    let cluster = Cluster::open(options, how)?;
    let found = source.databases()?;
    let mut notifications = Notifications::default();
    if *until != Until::Copied {
        notifications = Notifications::see(&mut source, *sets_notifications).map_err(|stop| of_source(url, stop))?;
    }
    let bar = bar("import", None);
    let (databases, report) = (BTreeSet::new(), Report::new("imported"));
    let mut live = Live { url, trust, how, source, cluster, changes: None, databases, state, report, bar };
    let done = live.go_on_with().and_then(|()| live.take_in(found));
    let done = done.and_then(|()| live.run(*until).map_err(incomplete));
    notifications.put_back(&mut live.source);
    live.bar.finish_and_clear();
    done?;
    live.state.remove();
    Ok(live.report)
}

/// What the source holds.
fn look(source: &mut Source, how: &How) -> Result<Report, Stop> {
    let mut report = Report::new("in the source").with_biggest();
    for database in source.databases()? {
        source.all(&database, &Walk::default(), |entries| {
            for entry in entries {
                check_known(&entry, how)?;
                report.count(&entry);
            }
            Ok(())
        })?;
    }
    Ok(report)
}

/// An import under way.
struct Live<'a> {
    url: &'a Url,
    trust: &'a Trust,
    how: &'a How,
    source: Source,
    cluster: Cluster,
    changes: Option<Changes>,
    /// The source's databases that held keys at any time, also before this was interrupted: the cluster's have been seen to
    /// be free for them.
    databases: BTreeSet<String>,
    state: State,
    report: Report,
    bar: ProgressBar,
}

impl Live<'_> {
    /// Takes up the databases of an import that was interrupted. They are compared, also if the source holds nothing there
    /// any more.
    fn go_on_with(&mut self) -> Result<(), Stop> {
        if self.state.goes_on {
            let noted = self.state.place().database;
            for database in noted.split(BETWEEN).filter(|name| !name.is_empty()) {
                self.cluster.claim(database)?;
                self.databases.insert(database.to_owned());
            }
        }
        Ok(())
    }

    /// Sees for those of these databases that are new that there is room for them, and notes them: whatever else is found in
    /// theirs from now on came by this import.
    fn take_in(&mut self, found: impl IntoIterator<Item = String>) -> Result<(), Stop> {
        let new: Vec<String> = found.into_iter().filter(|name| !self.databases.contains(name)).collect();
        if new.is_empty() {
            return Ok(());
        }
        self.cluster.prepare(new.iter(), self.how)?;
        self.databases.extend(new);
        let all: Vec<&str> = self.databases.iter().map(String::as_str).collect();
        self.state.note(&Place { position: 0, database: all.join(BETWEEN) })?;
        self.state.write()
    }

    fn run(&mut self, until: Until) -> Result<(), Stop> {
        let told = Arc::new(AtomicBool::new(false));
        if until != Until::Copied {
            // Interrupted once, it cuts over; twice, it ends.
            flag::register_conditional_shutdown(SIGINT, 130, Arc::clone(&told))?;
            flag::register(SIGINT, Arc::clone(&told))?;
            self.listen()?;
        }
        if self.state.goes_on {
            self.compare()?;
        } else {
            self.copy(&told)?;
        }
        if until != Until::Copied {
            self.say("copied; following what changes, until Ctrl-C");
            self.follow(until, &told)?;
            self.say("cutting over: what is written to the source from now on is not waited for");
            self.cut_over()?;
        }
        self.copy_libraries()?;
        if self.how.unverified { Ok(()) } else { self.verify() }
    }

    /// Copies the libraries of functions, if the source knows such: Redis does from 7.0 on.
    fn copy_libraries(&mut self) -> Result<(), Stop> {
        let Ok(Value::Array(libraries)) = self.source.connection.ask(&[b"FUNCTION", b"LIST"]) else { return Ok(()) };
        if let Value::Bulk(dumped) = self.source.connection.ask(&[b"FUNCTION", b"DUMP"])? {
            self.cluster.libraries(&dumped)?;
        }
        self.report.libraries = libraries.len() as u64;
        Ok(())
    }

    fn listen(&mut self) -> Result<(), Stop> {
        let connection = self.url.open(self.trust)?;
        self.changes = Some(Changes::listen(connection).map_err(|stop| of_source(self.url, stop))?);
        Ok(())
    }

    /// Copies every key, and between them those that change.
    fn copy(&mut self, told: &AtomicBool) -> Result<(), Stop> {
        for database in self.databases.clone() {
            let mut cursor = Some(b"0".to_vec());
            while let Some(from) = cursor {
                // Who interrupts a copy that is not whole does not mean that it is to be cut over.
                if told.load(Ordering::Relaxed) {
                    return Err(Stop::Server("interrupted before everything was copied".to_owned()));
                }
                let (next, keys) = self.source.scan(&database, &Walk::default(), &from)?;
                self.copy_keys(&database, &keys, true)?;
                self.copy_changed()?;
                cursor = next;
            }
        }
        self.cluster.settle(&mut self.report)
    }

    fn copy_keys(&mut self, database: &str, keys: &[Vec<u8>], counts: bool) -> Result<(), Stop> {
        let Live { source, cluster, report, how, bar, .. } = self;
        source.each(database, keys, |entries| {
            for entry in entries {
                check_known(&entry, how)?;
                if counts {
                    report.count(&entry);
                }
                bar.inc(entry.content.len() as u64);
                if !matches!(entry.content, Content::Unknown(_)) {
                    cluster.write(entry, Place::default(), report)?;
                }
            }
            Ok(())
        })
    }

    /// Copies the keys that have changed; how many there were.
    fn copy_changed(&mut self) -> Result<usize, Stop> {
        let Some(changes) = &self.changes else { return Ok(0) };
        let (waiting, since) = changes.lag();
        self.bar.set_message(format!("import: {waiting} changed keys waiting, {:.1} s behind;", since.as_secs_f64()));
        let mut by_database: BTreeMap<String, Vec<Vec<u8>>> = BTreeMap::new();
        for (database, key) in changes.take() {
            by_database.entry(database).or_default().push(key);
        }
        let mut copied = 0;
        self.take_in(by_database.keys().cloned().collect::<Vec<_>>())?;
        for (database, keys) in by_database {
            self.copy_keys(&database, &keys, false)?;
            copied += keys.len();
        }
        self.cluster.settle(&mut self.report)?;
        Ok(copied)
    }

    /// Copies what changes until it is time to end.
    fn follow(&mut self, until: Until, told: &AtomicBool) -> Result<(), Stop> {
        loop {
            self.copy_changed()?;
            self.make_up_for_missed()?;
            if told.load(Ordering::Relaxed) {
                return Ok(());
            }
            if until == Until::CaughtUp && self.catch_up()? == 0 && !self.make_up_for_missed()? {
                return Ok(());
            }
            if let Some(changes) = &self.changes {
                changes.wait(PAUSE);
            }
        }
    }

    /// Copies everything that has changed up to now; how many keys these were.
    fn catch_up(&mut self) -> Result<usize, Stop> {
        if let Some(changes) = &mut self.changes {
            changes.catch_up(&mut self.source.connection)?;
        }
        self.copy_changed()
    }

    /// Listens anew and compares everything, if changes were missed; whether they were.
    fn make_up_for_missed(&mut self) -> Result<bool, Stop> {
        let Some(why) = self.changes.as_ref().and_then(Changes::missed) else { return Ok(false) };
        self.say(&format!("changes were missed ({why}): comparing everything"));
        self.listen()?;
        self.compare()?;
        self.say("compared; following what changes again");
        Ok(true)
    }

    fn cut_over(&mut self) -> Result<(), Stop> {
        self.catch_up()?;
        if self.make_up_for_missed()? {
            self.catch_up()?;
        }
        Ok(())
    }

    /// Compares all keys of both sides until they are the same.
    fn verify(&mut self) -> Result<(), Stop> {
        for _ in 0..PASSES {
            let wrong = self.compare()?;
            if wrong.keys == 0 {
                let databases = self.report.databases();
                self.report.verified = Some(databases.iter().map(|database| self.report.keys_of(database).0).sum());
                return Ok(());
            }
            self.report.mended += wrong.keys;
            self.catch_up()?;
        }
        // Whoever still writes to the source is not waited for longer.
        self.compare()?.check()
    }

    /// Compares all keys of both sides, and mends what differs; names it.
    fn compare(&mut self) -> Result<Wrong, Stop> {
        let found = self.source.databases()?;
        self.take_in(found)?;
        let Live { source, cluster, report, how, databases, .. } = self;
        let slack = if source.is_exact { 0 } else { SLACK_MS };
        let mut wrong = Wrong::default();
        report.forget();
        for database in &*databases {
            source.all(database, &Walk::default(), |entries| {
                for entry in &entries {
                    check_known(entry, how)?;
                    report.count(entry);
                }
                let known = entries.into_iter().filter(|entry| !matches!(entry.content, Content::Unknown(_))).collect();
                for entry in differing(cluster, known, slack)? {
                    wrong.add(&entry.database, &entry.key);
                    cluster.write(entry, Place::default(), report)?;
                }
                Ok(())
            })?;
            cluster.settle(report)?;
            if !how.merge {
                remove_others(source, cluster, database, report, &mut wrong)?;
            }
        }
        cluster.settle(report)?;
        Ok(wrong)
    }

    /// Says something to people, where they look.
    fn say(&self, what: &str) {
        // A closed standard error is no reason to end.
        self.bar.suspend(|| drop(writeln!(io::stderr(), "{what}")));
    }
}

/// Removes the cluster's keys that the source does not hold.
fn remove_others(
    source: &mut Source,
    cluster: &mut Cluster,
    database: &str,
    report: &mut Report,
    wrong: &mut Wrong,
) -> Result<(), Stop> {
    let mut cursor = Some(b"0".to_vec());
    let held = cluster.database(database);
    while let Some(from) = cursor {
        let (next, keys) = cluster.reads.scan(&held, &Walk::default(), &from)?;
        for key in source.missing(database, keys)? {
            let entry = Entry { database: database.to_owned(), key, deadline: None, content: Content::Gone };
            wrong.add(database, &entry.key);
            cluster.write(entry, Place::default(), report)?;
        }
        cursor = next;
    }
    cluster.settle(report)
}
