use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::time::SystemTime;

use tokio::io::{AsyncWriteExt, DuplexStream, duplex};
use tokio_rustls::TlsAcceptor;

use super::*;
use crate::authority::node_name;
use crate::secret::ClusterSecret;
use crate::trust::{Belonging, Identity};

const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// A node of its own folder, which is removed at the end.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("mneme-join-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).expect("a temporary folder");
        Self(path)
    }

    fn identity(&self, node: &str) -> Identity {
        Identity { data: self.0.clone(), node: node.into(), names: vec!["localhost".into()] }
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn secret(text: &str) -> Arc<ClusterSecret> {
    Arc::new(ClusterSecret::new(text.into()))
}

fn joiner(text: &str) -> Joiner {
    Joiner::new(secret(text)).expect("TLS 1.3")
}

/// A founder's admission.
fn founder(folder: &Folder, text: &str) -> Arc<Admission> {
    let identity = folder.identity("n1");
    identity.found(&secret(text), SystemTime::now()).expect("a sound folder");
    let admission = Admission::new(Some(secret(text)), 7);
    let membership = Membership {
        ca: identity.ca().expect("it founded"),
        sealed: Box::new(move || identity.sealed()),
        nodes: Box::new(|| vec!["n1:7379".into()]),
    };
    assert!(admission.membership.set(membership).is_ok());
    Arc::new(admission)
}

/// A connection to a member, which is served on the other end.
fn connect(admission: &Arc<Admission>) -> DuplexStream {
    let (near, far) = duplex(1 << 16);
    let admission = admission.clone();
    tokio::spawn(async move {
        let stream = TlsAcceptor::from(join_config().expect("randomness")).accept(far).await?;
        admission.serve(stream, HERE).await
    });
    near
}

fn run(test: impl Future<Output = ()>) {
    crate::listen::runtime().block_on(test);
}

#[test]
fn a_node_with_the_secret_is_admitted_and_its_key_stays_at_home() {
    run(async {
        let (theirs, ours) = (Folder::new("member"), Folder::new("joiner"));
        let admission = founder(&theirs, "the secret");
        let mut conversation = joiner("the secret").begin("n1", connect(&admission)).await.expect("it is welcome");
        let state = conversation.ask(&Question::State).await.expect("an answer");
        assert_eq!(state, Answer::State(State { instance: 7, belongs: true }));

        let identity = ours.identity("n2");
        let request = |node: &str, names: &[&str]| Request {
            node: node.into(),
            names: names.iter().map(|name| (*name).into()).collect(),
            key: identity.request().expect("a sound folder"),
        };
        let answer = conversation.ask(&Question::Admit(request("n2", &["localhost"]))).await.expect("an answer");
        let Answer::Admitted(admitted) = answer else { panic!("{answer:?}") };
        assert_eq!(admitted.nodes, ["n1:7379"]);
        identity.accept(&admitted.ca, &admitted.certificate, &admitted.nodes).expect("it is for this key");
        assert_eq!(identity.belonging().expect("sound files"), Belonging::Member);
        let own = crate::certificate::Certificate::read(&identity.files()).expect("a pair");
        assert_eq!(node_name(&own.certified.cert[0]).as_deref(), Some("n2"));

        // Another node's key does not fit what was signed for this one.
        let third = Folder::new("third");
        let error = third.identity("n2").accept(&admitted.ca, &admitted.certificate, &[]);
        assert!(error.is_err(), "it is for another key");

        for (node, names) in [("", &[][..]), ("a b", &[]), ("n2", &["a b"]), ("n2\u{e9}", &[])] {
            let answer = conversation.ask(&Question::Admit(request(node, names))).await.expect("an answer");
            assert!(matches!(answer, Answer::Refused { .. }), "{node:?} {names:?}: {answer:?}");
            conversation = joiner("the secret").begin("n1", connect(&admission)).await.expect("it is welcome");
        }
    });
}

#[test]
fn a_wrong_secret_is_told_and_slows_down_the_next() {
    run(async {
        let folder = Folder::new("wrong");
        let admission = founder(&folder, "the secret");
        let begun = tokio::time::Instant::now();
        for _ in 0..4 {
            let error = joiner("a guess").begin("n1", connect(&admission)).await.expect_err("it is wrong");
            assert!(error.is_wrong_secret() && error.to_string().contains("secret"), "{error}");
        }
        assert!(begun.elapsed() >= Duration::from_millis(300), "two are free, then 0.1 and 0.2 seconds");
        joiner("the secret").begin("n1", connect(&admission)).await.expect("the right one is right");
    });
}

#[test]
fn a_node_without_the_secret_or_without_a_cluster_says_so() {
    run(async {
        let admission = Arc::new(Admission::new(None, 1));
        let error = joiner("the secret").begin("n1", connect(&admission)).await.expect_err("it cannot tell");
        assert!(matches!(error, JoinError::KnowsNoSecret { .. }), "{error}");

        let admission = Arc::new(Admission::new(Some(secret("the secret")), 1));
        let mut conversation = joiner("the secret").begin("n1", connect(&admission)).await.expect("it is welcome");
        let state = conversation.ask(&Question::State).await.expect("an answer");
        assert_eq!(state, Answer::State(State { instance: 1, belongs: false }));
        let request = Request { node: "n2".into(), names: Vec::new(), key: Vec::new() };
        let answer = conversation.ask(&Question::Admit(request)).await.expect("an answer");
        assert!(matches!(answer, Answer::Refused { .. }), "{answer:?}");
    });
}

#[test]
fn a_member_that_cannot_sign_names_others() {
    run(async {
        let admission = Admission::new(Some(secret("the secret")), 1);
        let membership = Membership {
            ca: String::new(),
            sealed: Box::new(|| None),
            nodes: Box::new(|| vec!["n2:1".into(), "n3:1".into()]),
        };
        assert!(admission.membership.set(membership).is_ok());
        let mut conversation =
            joiner("the secret").begin("n1", connect(&Arc::new(admission))).await.expect("it is welcome");
        let request = Request { node: "n4".into(), names: Vec::new(), key: Vec::new() };
        let answer = conversation.ask(&Question::Admit(request)).await.expect("an answer");
        assert_eq!(answer, Answer::Elsewhere { nodes: vec!["n2:1".into(), "n3:1".into()] });
    });
}

/// Reads a joiner's proof from the session in which this end is taken for the member.
async fn pose_as_member(far: DuplexStream) -> (tokio_rustls::server::TlsStream<DuplexStream>, Proof) {
    let acceptor = TlsAcceptor::from(join_config().expect("randomness"));
    let mut stream = acceptor.accept(far).await.expect("any certificate is taken");
    let proof = receive(&mut stream).await.expect("a proof");
    (stream, proof)
}

/// Shakes hands with a member and says nothing of its own.
async fn shake_hands(socket: DuplexStream) -> tokio_rustls::client::TlsStream<DuplexStream> {
    joiner("whatever").shake_hands(socket).await.expect("a handshake")
}

#[test]
fn who_stands_between_and_relays_with_another_certificate_gets_nowhere() {
    run(async {
        let folder = Folder::new("between");
        let admission = founder(&folder, "the secret");
        let (near, far) = duplex(1 << 16);
        let between = tokio::spawn(async move {
            let (mut to_joiner, proof) = pose_as_member(far).await;
            let mut to_member = shake_hands(connect(&admission)).await;
            send(&mut to_member, &proof).await.expect("it is taken");
            let greeting: Greeting = receive(&mut to_member).await.expect("an answer");
            assert_eq!(greeting, Greeting::WrongSecret, "the proof was for the other session");
            // The joiner is promised everything, with the only proof that can be had: its own.
            send(&mut to_joiner, &Greeting::Welcome(proof)).await.expect("it is taken");
            let next: io::Result<Question> = receive(&mut to_joiner).await;
            assert!(next.is_err(), "the joiner says nothing more: {next:?}");
        });
        let error = joiner("the secret").begin("n1", near).await.expect_err("it is no member");
        assert!(matches!(error, JoinError::Impostor { .. }), "{error}");
        between.await.expect("it saw what it should");
    });
}

#[test]
fn a_recorded_proof_is_worth_nothing_in_another_session() {
    run(async {
        let folder = Folder::new("replay");
        let admission = founder(&folder, "the secret");
        let (near, far) = duplex(1 << 16);
        let recorder = tokio::spawn(async move { pose_as_member(far).await.1 });
        assert!(joiner("the secret").begin("n1", near).await.is_err());
        let recorded = recorder.await.expect("a proof");
        let mut again = shake_hands(connect(&admission)).await;
        send(&mut again, &recorded).await.expect("it is taken");
        assert_eq!(receive::<Greeting>(&mut again).await.expect("an answer"), Greeting::WrongSecret);
    });
}

#[test]
fn a_message_that_is_too_large_or_none_ends_the_conversation() {
    run(async {
        let folder = Folder::new("oversized");
        let admission = founder(&folder, "the secret");
        for bytes in [&u32::MAX.to_le_bytes()[..], &[1, 0, 1, 0], &[3, 0, 0, 0, 1, 2, 3]] {
            let mut stream = shake_hands(connect(&admission)).await;
            stream.write_all(bytes).await.expect("it is taken");
            stream.flush().await.expect("it is taken");
            let answer: io::Result<Greeting> = receive(&mut stream).await;
            assert!(answer.is_err(), "{bytes:?}: {answer:?}");
        }
    });
}
