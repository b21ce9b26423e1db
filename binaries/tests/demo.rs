//! `mneme-cli demo`, as somebody sees it who has no terminal.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

mod support;

use support::{Folder, PATIENCE, program};

/// Starts it, with its folder in this one.
fn demo(folder: &Folder, flags: &[&str]) -> Child {
    let mut demo = program(env!("CARGO_BIN_EXE_mneme-cli"));
    demo.env("TMPDIR", &folder.0).arg("demo").args(flags);
    demo.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts")
}

/// What is left in the folder, and of the processes that were started there.
fn left(folder: &Folder) -> Vec<String> {
    let files = fs::read_dir(&folder.0).expect("a folder").flatten().map(|file| file.path().display().to_string());
    let processes = fs::read_dir("/proc").expect("Linux").flatten().filter_map(|process| {
        let line = fs::read(process.path().join("cmdline")).ok()?;
        let line = String::from_utf8_lossy(&line).replace('\0', " ");
        line.contains(folder.0.to_str().expect("text")).then_some(line)
    });
    files.chain(processes).collect()
}

#[test]
fn a_killed_primary_is_replaced_and_nothing_is_lost() {
    let folder = Folder::new("demo");
    let script = "2s kill primary; 3s heal; 2s verify";
    let output = demo(&folder, &["--seconds", "9", "--script", script]).wait_with_output().expect("it ends");
    let (said, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{said}{errors}");
    let events: Vec<&str> = said.lines().filter_map(|line| Some(line.trim_start().split_once(" s  ")?.1)).collect();
    let at = |what: &dyn Fn(&str) -> bool| events.iter().position(|event| what(event));
    let killed = at(&|event| event.ends_with(" killed")).unwrap_or_else(|| panic!("nobody was killed: {said}"));
    let next = at(&|event| event.contains(" is primary after ")).unwrap_or_else(|| panic!("no new primary: {said}"));
    let healed = at(&|event| event.contains("is started again")).unwrap_or_else(|| panic!("nobody was healed: {said}"));
    assert!(killed < next && next < healed, "{said}");
    assert_ne!(events[killed][..2], events[next][..2], "{said}");
    assert!(["n1", "n2", "n3"].iter().all(|name| said.contains(&format!("{name} http://127.0.0.1:"))), "{said}");
    let verified = events.iter().find(|event| event.starts_with("verified: ")).unwrap_or_else(|| panic!("{said}"));
    let last = said.lines().last().expect("the end");
    for result in [verified, &last] {
        assert!(result.contains(" acknowledged, 0 lost, "), "{said}");
    }
    assert_eq!(left(&folder), [] as [&str; 0]);
}

#[test]
fn who_is_cut_off_is_primary_no_more_and_comes_back() {
    let folder = Folder::new("demo-cut");
    let script = "2s cut primary; 4s heal";
    let output = demo(&folder, &["--seconds", "9", "--script", script]).wait_with_output().expect("it ends");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains(" acknowledged, 0 lost, "), "{said}");
    let cut = said.lines().find_map(|line| line.strip_suffix(" cut off")).unwrap_or_else(|| panic!("{said}"));
    let cut = &cut[cut.len() - 2..];
    assert!(said.lines().any(|line| line.contains(" is primary after ") && !line.contains(cut)), "{said}");
    assert!(said.contains(&format!("{cut} deposed")), "{said}");
    let last = said.lines().rfind(|line| line.contains(" op/s ")).expect("a second");
    assert!(last.contains(&format!("{cut} standby")) && last.contains(" primary "), "{said}");
}

/// The line that says how to use the CLI, once it is there; and everything that follows, read so that it does not block.
fn how_to_connect(demo: &mut Child) -> Vec<String> {
    let mut lines = BufReader::new(demo.stdout.take().expect("piped")).lines().map_while(Result::ok);
    let commands: Vec<String> = lines.by_ref().take_while(|line| !line.contains("consoles")).collect();
    thread::spawn(move || lines.for_each(drop));
    commands.iter().map(|line| line.trim().to_owned()).collect()
}

#[test]
fn what_it_prints_to_connect_connects_and_a_signal_ends_everything() {
    for signal in ["INT", "TERM", "KILL"] {
        let folder = Folder::new("demo-signal");
        let mut demo = demo(&folder, &[]);
        let lines = how_to_connect(&mut demo);
        let is_command = |line: &&String| line.starts_with("export ") || line.contains("cluster status");
        let commands: Vec<&String> = lines.iter().filter(is_command).collect();
        let typed = format!("{}\n{}\n", commands[0], commands[1]);
        let status = program("sh").args(["-c", &typed]).output().expect("a shell");
        let status = String::from_utf8_lossy(&status.stdout).into_owned();
        let sent = Command::new("kill").args([&format!("-{signal}"), &demo.id().to_string()]).status();
        assert!(sent.expect("kill runs").success());
        let ended = demo.wait().expect("it ends");
        assert!(status.contains("primary    n") && status.contains("voters     3"), "{lines:?}: {status}");
        match signal {
            // Nobody is left to remove the folder; the nodes end with their parent all the same.
            "KILL" => until_no_process_is_left(&folder),
            _ => {
                assert!(ended.success(), "{signal}: {ended}");
                assert_eq!(left(&folder), [] as [&str; 0], "{signal}");
            }
        }
    }
}

fn until_no_process_is_left(folder: &Folder) {
    let begun = Instant::now();
    while left(folder).iter().any(|what| what.contains("--data")) {
        assert!(begun.elapsed() < PATIENCE, "{:?}", left(folder));
        thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn without_a_server_it_says_what_is_missing() {
    let folder = Folder::new("demo-alone");
    let alone = folder.0.join("mneme-cli");
    fs::copy(env!("CARGO_BIN_EXE_mneme-cli"), &alone).expect("copied");
    let output = program(alone.to_str().expect("text")).env("PATH", "").arg("demo").output().expect("it runs");
    let why = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{why}");
    assert!(why.contains("there is no mneme-core in") && why.contains("cargo build"), "{why}");
    assert!(Path::new(&alone).exists());
}

#[test]
fn a_node_that_does_not_start_is_shown_with_its_log() {
    let folder = Folder::new("demo-broken");
    // A server of that name that only complains.
    let (alone, server) = (folder.0.join("mneme-cli"), folder.0.join("mneme-core"));
    fs::copy(env!("CARGO_BIN_EXE_mneme-cli"), &alone).expect("copied");
    fs::write(&server, "#!/bin/sh\necho it has no mind to >&2\nexit 7\n").expect("written");
    let made = Command::new("chmod").arg("+x").arg(&server).status();
    assert!(made.expect("chmod runs").success());
    let output = program(alone.to_str().expect("text")).env("TMPDIR", &folder.0).arg("demo").output().expect("it runs");
    let why = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{why}");
    assert!(why.contains("did not start: exit status: 7") && why.contains("it has no mind to"), "{why}");
}
