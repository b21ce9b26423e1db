//! `mneme-cli top` where standard output is no terminal.

use std::process::Output;

mod support;

use support::{Folder, Node, PASSWORD, program};

fn top(args: &[&str]) -> Output {
    let mut cli = program(env!("CARGO_BIN_EXE_mneme-cli"));
    cli.env("MNEME_PASSWORD", PASSWORD).args(args).output().expect("it runs")
}

fn text(output: &Output) -> String {
    assert!(output.status.success(), "{output:?}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn a_page_tells_what_a_node_does() {
    let folder = Folder::new("top");
    let socket = folder.0.join("socket");
    let node = Node::start(&folder.0.join("data"), &socket, &[]);
    let mut client = node.client().expect("it serves");
    client.ask(&["CONFIG", "SET", "slowlog-log-slower-than", "0"]).expect("an answer");
    client.ask(&["SET", "some-key", "\u{1b}[2J"]).expect("an answer");
    client.ask(&["CONFIG", "SET", "slowlog-log-slower-than", "-1"]).expect("an answer");
    let here = ["--unix-socket", socket.to_str().expect("text"), "-i", "0.2"];
    let pages = text(&top(&[&here[..], &["top", "--count", "2"]].concat()));
    assert_eq!(pages.matches("ok   1 node answers, test is primary in epoch").count(), 2, "{pages}");
    assert_eq!(pages.matches("COMMAND").count(), 2, "{pages}");
    assert!(pages.contains("Keepers: test (voter, leads)"), "{pages}");
    assert!(pages.contains("SET some-key \\x1b[2J") && !pages.contains('\u{1b}'), "{pages}");
}

#[test]
fn a_host_that_does_not_answer_is_named_beside_those_that_do() {
    let folder = Folder::new("top");
    let (socket, data) = (folder.0.join("socket"), folder.0.join("data"));
    let node = Node::start(&data, &socket, &[]);
    let ca = data.join("ca.crt");
    let hosts = format!("127.0.0.1:1,127.0.0.1:{}", node.port);
    let page = text(&top(&["-H", &hosts, "--ca-cert", ca.to_str().expect("text"), "-i", "0.2", "top"]));
    let said = format!("COMMAND at 127.0.0.1:{}", node.port);
    assert!(page.contains("BAD  127.0.0.1:1 does not answer: ") && page.contains(&said), "{page}");
    assert!(page.contains("primary"), "{page}");
    let nobody = top(&["-H", "127.0.0.1:1", "top"]);
    assert_eq!(nobody.status.code(), Some(3), "{nobody:?}");
    let wrong = top(&["top", "--count", "none"]);
    assert_eq!(wrong.status.code(), Some(2), "{wrong:?}");
}
