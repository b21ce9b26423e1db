//! LOAD makes changes that no other command could: what it is given is looked at first.

use mneme_kernel::backup::Outline;
use mneme_kernel::codec;

use crate::stage::Stage;

#[test]
fn what_is_no_backup_changes_nothing() {
    let mut stage = Stage::new();
    assert_eq!(stage.ask("admin", "SET k v"), "OK");
    for (request, why) in [
        ("LOAD MARK k", "there is a key 'k'"),
        ("LOAD DATA zzz", "no changes that this version knows"),
        // The first is a change of a key that is there, the second none at all.
        ("LOAD DATA \u{1}\0\u{1}kzzz", "no changes that this version knows"),
        // A user: that is for outlines.
        ("LOAD DATA \u{4}\u{3}eve\u{1}h\0", "no changes that this version knows"),
        ("LOAD DATA \u{1}\u{14}\u{1}k", "there is no database 20"),
        ("LOAD OUTLINE zzz", "no outline that this version knows"),
        ("LOAD DATA", "wrong number of arguments"),
        ("LOAD", "wrong number of arguments"),
    ] {
        let told = stage.ask("admin", request);
        assert!(told.contains(why), "{request:?}: {told}");
    }
    assert_eq!(stage.ask("admin", "GET k"), "v");
    assert!(!stage.ask("admin", "USER LIST").contains("eve"));
}

#[test]
fn a_mark_leaves_nothing_and_data_is_changed() {
    let mut stage = Stage::new();
    assert_eq!(stage.ask("admin", "SET k v"), "OK");
    assert_eq!(stage.ask("admin", "LOAD MARK m"), "OK");
    assert_eq!(stage.ask("admin", "EXISTS m"), "0");
    assert_eq!(stage.ask("admin", "LOAD DATA \u{1}\0\u{1}k"), "1");
    assert_eq!(stage.ask("admin", "EXISTS k"), "0");
    let mut bytes = Vec::new();
    codec::encode(&Outline::default(), &mut bytes);
    let empty = String::from_utf8(bytes).expect("two zeros");
    assert_eq!(stage.ask("admin", &format!("LOAD OUTLINE {empty}")), "OK");
}
