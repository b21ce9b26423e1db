use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use super::*;
use crate::authority::{NODE_LIFETIME, RENEW_BEFORE, node_name};
use crate::certificate::Certificate;

/// A node of its own folder, which is removed at the end.
struct Node(Identity);

impl Node {
    fn new(name: &str) -> Self {
        let data = std::env::temp_dir().join(format!("mneme-identity-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&data);
        fs::create_dir_all(&data).expect("a temporary folder");
        Self(Identity { data, node: "n1".into(), names: vec!["localhost".into(), "10.0.0.1".into()] })
    }

    fn write(&self, name: &str) {
        let path = self.0.path(name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        fs::write(path, "x").expect("a file");
    }

    fn remove(&self, name: &str) {
        fs::remove_file(self.0.path(name)).expect("it is there");
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0.data);
    }
}

#[test]
fn a_certificate_that_is_about_to_end_is_made_anew_with_the_secret() {
    let node = Node::new("renewed");
    let identity = &node.0;
    let secret = ClusterSecret::new("secret".into());
    let now = SystemTime::now();
    identity.found(&secret, now).expect("a sound folder");
    let sealed = identity.sealed().expect("it founded");
    let chain = |now| {
        if identity.is_due(now).expect("sound files") {
            identity.renew(&sealed, &secret, now).expect("a sound folder");
        }
        Certificate::read(&identity.files()).expect("a pair").certified.cert.clone()
    };

    let first = chain(now);
    assert_eq!(node_name(&first[0]).as_deref(), Some("n1"));
    let last_moment = now + NODE_LIFETIME - RENEW_BEFORE - Duration::from_secs(10);
    assert_eq!(chain(last_moment), first);
    let second = chain(last_moment + Duration::from_secs(20));
    assert_ne!(second, first);
    assert_eq!(chain(last_moment + NODE_LIFETIME / 2), second);

    let other = ClusterSecret::new("another".into());
    let error = identity.renew(&sealed, &other, now).expect_err("it is sealed under another one");
    assert!(error.is_wrong_secret() && error.to_string().contains("secret"), "{error}");
}

#[test]
fn keys_can_be_read_by_their_owner_only_and_the_cas_is_not_there_in_plain() {
    let node = Node::new("modes");
    let (identity, secret) = (&node.0, ClusterSecret::new("secret".into()));
    identity.found(&secret, SystemTime::now()).expect("a sound folder");
    for file in ["ca.sealed", "node.key"] {
        let mode = fs::metadata(identity.path(file)).expect("it is there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{file}");
    }
    let private = |content: &[u8]| content.windows(11).any(|window| window == b"PRIVATE KEY");
    let holders: Vec<_> = fs::read_dir(&identity.data)
        .expect("a folder")
        .map(|file| file.expect("a file").path())
        .filter(|path| private(&fs::read(path).expect("a file")))
        .collect();
    assert_eq!(holders, [identity.path("node.key")]);
}

#[test]
fn a_new_name_makes_the_certificate_due() {
    let mut node = Node::new("names");
    let secret = ClusterSecret::new("secret".into());
    let now = SystemTime::now();
    node.0.found(&secret, now).expect("a sound folder");
    let sealed = node.0.sealed().expect("it founded");
    assert!(!node.0.is_due(now).expect("sound files"));
    node.0.names.push("store.example.org".into());
    assert!(node.0.is_due(now).expect("sound files"));
    for bad in ["two words", "", "a/b", "café"] {
        node.0.names = vec![bad.into()];
        assert!(node.0.renew(&sealed, &secret, now).is_err(), "{bad}");
    }
}

#[test]
fn what_a_folder_holds_tells_whether_its_node_belongs() {
    let node = Node::new("belonging");
    let belonging = || node.0.belonging();
    assert!(matches!(belonging(), Ok(Belonging::Nothing)));
    // A crash while joining, or while founding, leaves these.
    node.write("node.key");
    assert!(matches!(belonging(), Ok(Belonging::Nothing)));
    node.write("ca.sealed");
    assert!(matches!(belonging(), Ok(Belonging::Nothing)));
    node.write("ca.crt");
    assert!(matches!(belonging(), Ok(Belonging::Founder)));
    node.write("node.crt");
    assert!(matches!(belonging(), Ok(Belonging::Founder)));

    node.write("log/1.log");
    node.write("founded");
    assert!(matches!(belonging(), Ok(Belonging::Founder)));
    node.remove("log/1.log");
    assert!(belonging().is_err_and(|error| error.is_damage()), "its log is gone");
    node.write("log/1.log");

    node.remove("founded");
    node.remove("ca.sealed");
    assert!(matches!(belonging(), Ok(Belonging::Member)));
    node.remove("node.crt");
    assert!(belonging().is_err_and(|error| error.is_damage()), "data without a certificate");
    node.write("node.crt");
    node.remove("ca.crt");
    assert!(belonging().is_err_and(|error| error.is_damage()), "data without a CA");
}
