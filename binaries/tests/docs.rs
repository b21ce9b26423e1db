//! Every command of the documents is run, as somebody types it who reads them: whatever stands in a block of kind `sh`.
//!
//! Each section of the second rank is read by somebody with an empty folder and free ports (`tests/docs/reader.sh`). A
//! section that starts no server is read beside one that has been started. In place of `...` a reader puts what belongs there.
//! Behind `sh` may stand:
//!
//! - `no-test: WHY`: it is not run,
//! - `needs PROGRAM...`: it is run where these are installed.
//!
//! A comment `<!-- test: COMMAND -->` is what a reader has done before the next block, or looks at behind the last one. It is
//! left out with the block.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

mod support;

use support::{Folder, program};

const DOCUMENTS: [&str; 5] =
    ["README.md", "docs/OPERATIONS.md", "docs/SECURITY.md", "docs/MIGRATING.md", "docs/RUNBOOKS.md"];

/// What is between two headings of the second rank.
#[derive(Debug, Default)]
struct Section {
    heading: String,
    script: String,
    commands: usize,
    left_out: Vec<String>,
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn read(document: &str) -> String {
    fs::read_to_string(root().join(document)).expect(document)
}

/// The sections of a document that have commands.
fn sections(text: &str) -> Vec<Section> {
    let mut sections = vec![Section::default()];
    // Whether the commands of the block that the line is in are run; `None` outside of one.
    let mut block: Option<bool> = None;
    let mut was_run = false;
    let mut hidden: Vec<&str> = Vec::new();
    for line in text.lines().chain(["## "]) {
        let section = sections.last_mut().expect("there is one");
        let indent = line.trim_start();
        match block {
            Some(_) if indent.starts_with("```") => block = None,
            Some(is_run) => {
                if is_run {
                    section.add(indent);
                }
            }
            None if line.starts_with("## ") => {
                if was_run {
                    hidden.iter().for_each(|command| section.add(command));
                }
                hidden.clear();
                was_run = false;
                sections.push(Section { heading: line[3..].to_owned(), ..Section::default() });
            }
            None if indent.starts_with("```") => {
                let is_run = section.begin(&indent[3..]);
                block = Some(is_run);
                if indent.starts_with("```sh") {
                    was_run = is_run;
                    hidden.drain(..).filter(|_| is_run).for_each(|command| section.add(command));
                }
            }
            None => hidden.extend(indent.strip_prefix("<!-- test: ").and_then(|rest| rest.strip_suffix(" -->"))),
        }
    }
    sections.retain(|section| section.commands > 0 || !section.left_out.is_empty());
    sections
}

impl Section {
    /// A block of this kind begins; whether it is run.
    fn begin(&mut self, kind: &str) -> bool {
        let Some(how) = kind.strip_prefix("sh").map(str::trim) else { return false };
        let why_not = match (how.strip_prefix("no-test: "), how.strip_prefix("needs ")) {
            (Some(why), _) => Some(why.to_owned()),
            (None, Some(programs)) => {
                let missing = programs.split(' ').find(|program| !is_installed(program));
                missing.map(|program| format!("there is no {program} here"))
            }
            (None, None) => {
                assert!(how.is_empty(), "```sh {how}: no-test: WHY, or needs PROGRAM");
                None
            }
        };
        let is_run = why_not.is_none();
        self.left_out.extend(why_not.map(|why| format!("{}: {why}", self.heading)));
        is_run
    }

    fn add(&mut self, line: &str) {
        self.commands += usize::from(!line.is_empty() && !line.starts_with('#'));
        self.script += &filled_in(line);
        self.script.push('\n');
    }

    /// What the reader does, from the beginning.
    fn whole(&self) -> String {
        let starts_one =
            ["mneme-core", "mneme-keeper", "redis-server"].iter().any(|server| self.script.contains(server));
        let before = match starts_one {
            true => "",
            false => "export MNEME_ADMIN_PASSWORD=secret MNEME_PASSWORD=secret\nmneme-core\n",
        };
        before.to_owned() + &self.script
    }
}

fn is_installed(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

/// A line with what belongs in place of `NAME=...`.
fn filled_in(line: &str) -> String {
    line.replace("MNEME_PASSWORD=...", "MNEME_PASSWORD=$(printed)").replace("=...", "=what-nobody-guesses")
}

/// Has a section read in an empty folder.
fn read_by_somebody(section: &str) -> Output {
    let folder = Folder::new("reader");
    let script = folder.0.join("section.sh");
    fs::write(&script, section).expect("written");
    let programs = Path::new(env!("CARGO_BIN_EXE_mneme-core")).parent().expect("a folder");
    let mut reader = program("unshare");
    reader.args(["--map-root-user", "--net", "--mount", "--pid", "--fork", "--mount-proc", "--kill-child", "bash"]);
    reader.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/docs/reader.sh"));
    reader.arg(folder.0.join("world")).arg(programs).arg(script);
    reader.output().expect("unshare runs, which is looked at first")
}

/// Whether there can be a reader here, who needs namespaces.
fn has_readers() -> bool {
    let mut probe = Command::new("unshare");
    probe.args(["--map-root-user", "--net", "--mount", "--pid", "--fork", "--mount-proc", "sh", "-c"]);
    probe.arg(
        "mount -t tmpfs tmpfs /run && ip link add bridge0 type bridge && ip link add veth0 type veth peer name veth1",
    );
    let probe = probe.output();
    let is_possible = probe.as_ref().is_ok_and(|probe| probe.status.success());
    if !is_possible {
        assert!(std::env::var_os("MNEME_REQUIRE_NAMESPACES").is_none(), "{probe:?}");
        println!("skipped: here nobody may have namespaces, a bridge and virtual links of his own: {probe:?}");
    }
    is_possible
}

#[test]
fn every_command_of_the_documents_is_run() {
    if !has_readers() {
        return;
    }
    let mut failed = Vec::new();
    for document in DOCUMENTS {
        let (mut commands, mut left_out) = (0, Vec::new());
        for section in sections(&read(document)) {
            left_out.extend(section.left_out.iter().cloned());
            if section.commands == 0 {
                continue;
            }
            commands += section.commands;
            let reading = read_by_somebody(&section.whole());
            if !reading.status.success() {
                let (out, err) = (String::from_utf8_lossy(&reading.stdout), String::from_utf8_lossy(&reading.stderr));
                failed.push(format!("{document}, {}:\n{}\n{out}\n{err}", section.heading, section.whole()));
            }
        }
        println!("{document}: {commands} lines run, {} blocks left out", left_out.len());
        left_out.iter().for_each(|why| println!("  {why}"));
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

#[test]
fn a_command_that_fails_is_seen() {
    if !has_readers() {
        return;
    }
    for (section, wanted) in [
        ("mneme-core\nexport MNEME_PASSWORD=$(printed)\nmneme-cli ping\n", Ok("PONG")),
        ("mneme-core --node a --listen 0.0.0.0:6379\nmneme-cli -H a --insecure ping || true\n", Ok("")),
        ("true\nmneme-cli ping\n", Err("it fails at")),
        ("mneme-core --no-such-flag\n", Err("not ready: mneme-core --no-such-flag")),
        ("mneme-cli get a b\n", Err("it fails at: mneme-cli get a b")),
        ("false | true\n", Err("it fails at: false")),
        ("no-such-program\n", Err("no-such-program")),
    ] {
        let reading = read_by_somebody(section);
        let (out, err) = (String::from_utf8_lossy(&reading.stdout), String::from_utf8_lossy(&reading.stderr));
        match wanted {
            Ok(said) => assert!(reading.status.success() && out.contains(said), "{section}: {out} {err}"),
            Err(said) => assert!(!reading.status.success() && err.contains(said), "{section}: {out} {err}"),
        }
    }
}

#[test]
fn blocks_and_what_stands_behind_their_kind_are_understood() {
    let text = "\
        # Title\n\n## One\n<!-- test: before -->\n```sh\nfirst   # why\n\n# a comment\nexport A=... MNEME_PASSWORD=...\n```\n\
        ```sh no-test: an engine\nnever\n```\n```\noutput\n```\n\
        ## Two\n1. x\n   <!-- test: without it -->\n   ```sh needs no-such-program\n   never\n   ```\n   <!-- test: with it -->\n   ```sh needs sh\n   second\n   ```\n<!-- test: behind it -->\n\
        ## Three\ntext\n";
    let sections = sections(text);
    let [one, two] = sections.as_slice() else { panic!("{sections:?}") };
    let wanted = "before\nfirst   # why\n\n# a comment\nexport A=what-nobody-guesses MNEME_PASSWORD=$(printed)\n";
    assert_eq!((one.script.as_str(), one.commands), (wanted, 3));
    assert_eq!(one.left_out, ["One: an engine"]);
    assert_eq!((two.script.as_str(), two.commands), ("with it\nsecond\nbehind it\n", 3));
    assert_eq!(two.left_out, ["Two: there is no no-such-program here"]);
    assert!(two.whole().starts_with("export MNEME_ADMIN_PASSWORD"));
}

/// The right columns of SECURITY.md.
#[test]
fn tests_that_the_documents_name_exist() {
    let mut sources = BTreeMap::new();
    for folder in ["kernel", "runtime-real", "binaries"] {
        sources_of(&root().join(folder), &mut sources);
    }
    let text = read("docs/SECURITY.md");
    // Every second piece is between two marks.
    let marked = text.split('`').skip(1).step_by(2);
    let is_test =
        |word: &&str| word.matches('_').count() >= 2 && word.chars().all(|c| c.is_ascii_lowercase() || c == '_');
    let named: Vec<&str> = marked.filter(is_test).filter(|word| !word.starts_with("mneme_")).collect();
    assert!(named.len() > 20, "{named:?}");
    for name in named {
        let is_there = sources.values().any(|source| source.contains(&format!("fn {name}(")));
        assert!(is_there, "{name}");
    }
}

fn sources_of(folder: &Path, sources: &mut BTreeMap<PathBuf, String>) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            sources_of(&path, sources);
        } else if path.extension().is_some_and(|end| end == "rs") {
            let source = fs::read_to_string(&path).expect("text");
            sources.insert(path, source);
        }
    }
}
