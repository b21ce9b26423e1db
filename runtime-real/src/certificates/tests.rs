use std::fs;

use super::*;
use crate::certificate::tests::{Pair, make};
use crate::join::{Admission, Membership};
use crate::secret::ClusterSecret;
use crate::trust::Identity;

/// What looking at the files does, and the second look that a change takes.
fn look(watch: &mut Watch) -> [Option<Result<Certificate, CertificateError>>; 2] {
    [watch.look(), watch.look()]
}

#[test]
fn a_pair_is_read_again_once_its_files_have_changed_and_are_left_alone() {
    let pair = Pair::new("changed");
    let (mut watch, first) = Watch::open(pair.files.clone()).expect("a pair");
    assert!(matches!(look(&mut watch), [None, None]));

    let (certificate, key) = make(0, 90);
    fs::write(&pair.files.key, key).expect("a folder that can be written");
    assert!(watch.look().is_none(), "only one of the two is there yet");
    fs::write(&pair.files.certificate, certificate).expect("a folder that can be written");
    let [None, Some(Ok(second))] = look(&mut watch) else { panic!("it is read after it was left alone") };
    assert_ne!(second.certified.cert, first.certified.cert);
    assert!(matches!(look(&mut watch), [None, None]), "once");
}

#[test]
fn a_pair_that_does_not_fit_is_reported_once_and_read_when_it_is_mended() {
    let pair = Pair::new("misfit");
    let (mut watch, _) = Watch::open(pair.files.clone()).expect("a pair");
    let (certificate, key) = make(0, 90);
    fs::write(&pair.files.certificate, certificate).expect("a folder that can be written");
    assert!(matches!(look(&mut watch), [None, Some(Err(CertificateError::Mismatch { .. }))]));
    assert!(matches!(look(&mut watch), [None, None]));
    fs::write(&pair.files.key, key).expect("a folder that can be written");
    assert!(matches!(look(&mut watch), [None, Some(Ok(_))]));

    fs::remove_file(&pair.files.key).expect("it is there");
    assert!(matches!(look(&mut watch), [None, Some(Err(CertificateError::Read { .. }))]));
    assert!(matches!(look(&mut watch), [None, None]));
}

#[test]
fn a_mounted_secret_whose_link_is_swapped_is_read_again() {
    use std::os::unix::fs::symlink;
    let pair = Pair::new("link");
    let folder = &pair.folder;
    // As Kubernetes mounts them: tls.crt -> ..data/tls.crt, ..data -> a folder whose name changes.
    for version in ["v1", "v2"] {
        fs::create_dir(folder.join(version)).expect("a new folder");
        let (certificate, key) = make(0, 90);
        fs::write(folder.join(version).join("tls.crt"), certificate).expect("a new file");
        fs::write(folder.join(version).join("tls.key"), key).expect("a new file");
    }
    symlink("v1", folder.join("..data")).expect("a new link");
    for name in ["tls.crt", "tls.key"] {
        fs::remove_file(folder.join(name)).expect("it is there");
        symlink(format!("..data/{name}"), folder.join(name)).expect("a new link");
    }
    let (mut watch, first) = Watch::open(pair.files.clone()).expect("a pair");
    assert!(matches!(look(&mut watch), [None, None]));

    symlink("v2", folder.join("..new")).expect("a new link");
    fs::rename(folder.join("..new"), folder.join("..data")).expect("a swap");
    let [None, Some(Ok(second))] = look(&mut watch) else { panic!("it is read after it was left alone") };
    assert_ne!(second.certified.cert, first.certified.cert);
}

#[test]
fn a_ticket_is_good_for_the_certificate_under_which_it_was_given() {
    let pair = Pair::new("ticket");
    let certificate = || Certificate::read(&pair.files).expect("a pair");
    let certificates = Certificates::new(certificate()).expect("randomness");
    let ticket = certificates.encrypt(b"session").expect("a ticket");
    assert!(!certificates.replace(certificate()).expect("randomness"), "the same one");
    assert_eq!(certificates.decrypt(&ticket).as_deref(), Some(&b"session"[..]));

    pair.write(&make(0, 90));
    assert!(certificates.replace(certificate()).expect("randomness"));
    assert_eq!(certificates.decrypt(&ticket), None);
}

#[test]
fn upkeep_takes_a_new_pair_keeps_the_old_one_for_a_bad_pair_and_tells_metrics() {
    let pair = Pair::new("upkeep");
    let (watch, certificate) = Watch::open(pair.files.clone()).expect("a pair");
    let certificates = Arc::new(Certificates::new(certificate).expect("randomness"));
    let metrics = Arc::new(TlsMetrics::default());
    let mut clients =
        ForClients { certificates: certificates.clone(), watch, metrics: metrics.clone(), looked_at_end: None };
    let now = SystemTime::now();
    let mut tick_twice = || (0..2).for_each(|_| clients.tick(now));
    let ends = || metrics.certificate_expiry.load(Ordering::Relaxed);
    let failures = || metrics.reload_failures.load(Ordering::Relaxed);

    tick_twice();
    let first = certificates.current().certificate;
    assert_eq!(ends(), first.ends().timestamp() as u64);

    fs::write(&pair.files.certificate, make(0, 200).0).expect("a folder that can be written");
    tick_twice();
    assert_eq!((certificates.current().certificate.ends(), failures()), (first.ends(), 1));

    pair.write(&make(0, 200));
    tick_twice();
    let second = certificates.current().certificate;
    assert_ne!(second.certified.cert, first.certified.cert);
    assert_eq!((ends(), failures()), (second.ends().timestamp() as u64, 1));
}

#[test]
fn the_nodes_own_certificate_is_renewed_while_it_runs() {
    let pair = Pair::new("renewed");
    let identity = Identity { data: pair.folder.clone(), node: "n1".into(), names: vec!["localhost".into()] };
    let now = SystemTime::now();
    let secret = Arc::new(ClusterSecret::new("secret".into()));
    identity.found(&secret, now).expect("a sound folder");
    let admission = Admission::new(Some(secret), 1);
    let sealed = identity.sealed();
    let membership = Membership {
        ca: identity.ca().expect("it founded"),
        sealed: Box::new(move || sealed.clone()),
        nodes: Box::new(Vec::new),
    };
    assert!(admission.membership.set(membership).is_ok());

    let (watch, certificate) = Watch::open(identity.files()).expect("a pair");
    let links = Arc::new(NodeTls::new(&identity.ca().expect("it founded"), &certificate).expect("sound certificates"));
    let certificates = Arc::new(Certificates::new(certificate.clone()).expect("randomness"));
    let metrics = Arc::new(TlsMetrics::default());
    let clients =
        ForClients { certificates: certificates.clone(), watch, metrics: metrics.clone(), looked_at_end: None };
    let own = Own { watch: Watch::open(identity.files()).expect("a pair").0, certificate: certificate.clone(), links };
    let renewal = Renewal { identity, admission: Arc::new(admission) };
    let (_, rotations) = mpsc::unbounded_channel();
    let mut upkeep = Upkeep { clients: Some(clients), renewal, own, metrics: metrics.clone(), due: None, rotations };
    crate::listen::runtime().block_on(async {
        for day in 0..=310 {
            upkeep.tick(now + day * DAY).await;
        }
    });
    let ends = certificates.current().certificate.ends().timestamp();
    assert!(ends > certificate.ends().timestamp());
    assert_eq!(metrics.node_certificate_expiry.load(Ordering::Relaxed), ends as u64);

    // Also before it is due, if somebody asks for that: links and clients see the new one at once.
    let before = certificates.current().certificate.certified.cert.clone();
    crate::listen::runtime().block_on(upkeep.rotate(now + 310 * DAY)).expect("it can sign");
    let after = certificates.current().certificate.certified.cert.clone();
    assert_ne!(after, before);
    assert_eq!(upkeep.own.certificate.certified.cert, after);
    assert!(matches!(look(&mut upkeep.own.watch), [None, None]), "it was read already");
}
