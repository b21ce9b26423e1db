//! What arrives from a network or a disk may be anything. The bodies are those of the fuzz targets.

#[path = "../fuzz/src/lib.rs"]
mod bodies;

use mneme_kernel::resp::encode_command;
use proptest::prelude::*;

fn any_bytes(len: usize) -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(any::<u8>(), 0..len)
}

/// Commands as clients send them, and pieces of the protocol with anything between them. The first byte is how much
/// arrives at once.
fn like_the_protocol() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        4 => "[*$+:,#_(!=%~>|-]-?[0-9]{0,3}\r\n",
        2 => "[a-z]{0,9}\r\n",
        1 => r#"["']?[a-z]{0,3}(\\x[0-9]{1,2})?["']? ?"#,
        1 => "(SET|GET) k( v)?\r?\n",
        1 => any::<char>().prop_map(String::from),
    ]
    .prop_map(String::into_bytes);
    let command = prop::collection::vec(any_bytes(9), 0..5).prop_map(|words| {
        let mut command = Vec::new();
        encode_command(&words, &mut command);
        command
    });
    let command = command.boxed();
    (
        any::<u8>(),
        prop::collection::vec(prop_oneof![4 => piece, 1 => command.clone()], 0..30),
        prop::collection::vec(command, 0..6),
    )
        .prop_map(|(step, pieces, commands)| [vec![step % 12], commands.concat(), pieces.concat()].concat())
}

proptest! {
    #[test]
    fn requests_do_not_depend_on_how_they_arrive(bytes in prop_oneof![any_bytes(300), like_the_protocol()]) {
        bodies::resp_request(&bytes);
    }

    #[test]
    fn values_do_not_depend_on_how_they_arrive(bytes in prop_oneof![any_bytes(300), like_the_protocol()]) {
        bodies::resp_value(&bytes);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4096, ..ProptestConfig::default() })]

    #[test]
    fn a_damaged_log_is_cut_or_refused(bytes in any_bytes(200)) {
        bodies::wal_record(&bytes);
    }

    #[test]
    fn a_damaged_snapshot_is_refused(bytes in any_bytes(100)) {
        bodies::snapshot_block(&bytes);
    }
}
