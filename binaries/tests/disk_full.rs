//! A full disk: writes are refused and say why, reads go on, and once there is space writes go on by themselves.
//!
//! It needs a small file system of its own, and so the right to mount one; without it the test is skipped.

mod support;

use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use mneme_kernel::resp::Value;

use support::{Client, Folder, Node, PATIENCE};

/// Room for the log's first segment of 32 MB and, only without the ballast, for a second one, and for that of a restart.
const DISK: &str = "size=112m";
const BALLAST_BYTES: usize = 62 << 20;

/// A mounted tmpfs. It is unmounted when this is dropped.
struct Disk(PathBuf);

impl Disk {
    fn mount(path: PathBuf) -> Result<Disk, String> {
        std::fs::create_dir_all(&path).expect("a mount point");
        let mount = Command::new("mount").args(["-t", "tmpfs", "-o", DISK, "mneme-test"]).arg(&path).output();
        match mount {
            Ok(output) if output.status.success() => Ok(Disk(path)),
            Ok(output) => Err(String::from_utf8_lossy(&output.stderr).trim().into()),
            Err(error) => Err(error.to_string()),
        }
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.0).status();
    }
}

#[test]
fn a_full_disk_is_told_and_heals_by_itself() {
    let folder = Folder::new("full");
    let disk = match Disk::mount(folder.0.join("disk")) {
        Ok(disk) => disk,
        Err(why) => {
            println!("skipped: a full disk cannot be tested where nothing can be mounted: {why}");
            return;
        }
    };
    let ballast = disk.0.join("ballast");
    std::fs::write(&ballast, vec![1; BALLAST_BYTES]).expect("there is room for the ballast");
    let start = || Node::start(&disk.0.join("data"), &folder.0.join("socket"), &["--level-timeout", "2s"]);

    let mut node = start();
    let mut writer = Writer { client: node.client().expect("it is ready"), acknowledged: 0, unknown: Vec::new() };
    writer.fill();
    let error = writer.refusal();
    assert!(error.starts_with("NOQUORUM ") && error.contains("disk") && error.contains("full"), "{error}");
    assert_eq!(writer.client.ask(&["GET", "0"]).expect("a reply"), value(0), "reads go on");
    assert_eq!(node.admin_status("/readyz"), "503");
    assert_eq!(node.admin_status("/livez"), "200");

    std::fs::remove_file(&ballast).expect("the ballast is there");
    until("writes go on", || writer.write());
    until("the node is ready again", || node.admin_status("/readyz") == "200");
    writer.verify();

    node.kill();
    drop(node);
    let node = start();
    writer.client = node.client().expect("it is ready");
    writer.verify();
}

fn until(what: &str, mut reached: impl FnMut() -> bool) {
    let start = Instant::now();
    while !reached() {
        assert!(start.elapsed() < PATIENCE, "{what}: not yet");
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn text(number: usize) -> String {
    format!("{number:08}").repeat(8 << 10)
}

fn value(number: usize) -> Value {
    Value::Bulk(text(number).into_bytes())
}

/// Writes keys 0, 1, 2 and so on, and remembers which were acknowledged.
struct Writer {
    client: Client,
    /// Keys below this were written, but for those of unknown fate.
    acknowledged: usize,
    unknown: Vec<usize>,
}

impl Writer {
    /// Writes the next key; whether it was acknowledged.
    fn write(&mut self) -> bool {
        self.next().is_ok()
    }

    fn next(&mut self) -> Result<(), String> {
        let number = self.acknowledged;
        let asked = Instant::now();
        let reply =
            self.client.ask(&["SET", &number.to_string(), &text(number)]).expect("a reply, not a lost connection");
        assert!(asked.elapsed() < PATIENCE / 2, "{number} waited for {:?}", asked.elapsed());
        match reply {
            Value::Simple(ok) if ok == "OK" => self.acknowledged += 1,
            Value::Error(error) if error.starts_with("UNCERTAIN ") => {
                self.unknown.push(number);
                self.acknowledged += 1;
                return Err(error);
            }
            Value::Error(error) => return Err(error),
            other => panic!("SET is answered {other:?}"),
        }
        Ok(())
    }

    fn fill(&mut self) {
        while self.write() {
            assert!(self.acknowledged * text(0).len() < 112 << 20, "more is acknowledged than the disk holds");
        }
    }

    /// What writes are answered once the server knows that the disk is full.
    fn refusal(&mut self) -> String {
        let start = Instant::now();
        loop {
            match self.next() {
                Err(error) if error.starts_with("UNCERTAIN ") && start.elapsed() < PATIENCE => {}
                Err(error) => return error,
                Ok(()) => panic!("a write is acknowledged, and the disk is full"),
            }
        }
    }

    /// Everything acknowledged is there.
    fn verify(&mut self) {
        for number in 0..self.acknowledged {
            let found = self.client.ask(&["GET", &number.to_string()]).expect("a reply");
            let may_be_absent = self.unknown.contains(&number) && found == Value::Null;
            assert!(may_be_absent || found == value(number), "key {number} holds something else");
        }
    }
}
