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

/// Paths and documents, nearly or not at all.
fn like_json() -> impl Strategy<Value = Vec<u8>> {
    let path = prop_oneof![
        2 => "[.$@*a-c\\[\\]]",
        2 => "\\.\\.?[a-c*]",
        2 => "\\[(-?[0-9]{1,2}(,|:)?){1,3}\\]",
        1 => "\\[(['\"][a-c]['\"],?){1,2}\\]",
        3 => "\\[\\?\\(?[@$](\\.?\\.[a-c])?( ?(==|!=|<|>=|=~) ?(-?[0-9.e]{1,4}|'[a-c.(*]{1,3}'|true|null|@\\.[a-c]))?( ?(&&|\\|\\|))?\\)?\\]",
    ];
    let json = prop_oneof!["[\\[\\]{},:]", "\"[a-c\\\\u0]{0,3}\"[,:]?", "-?[0-9]{1,3}(\\.[0-9])?,?", "null,|true"];
    let whole = Just("{\"a\":[{\"b\":[1,\"c\",{\"a\":null}]},2],\"c\":\"abc\"}".to_string());
    let document = prop_oneof![1 => whole, 1 => prop::collection::vec(json, 0..12).prop_map(|parts| parts.concat())];
    (prop::bool::weighted(0.9), prop::collection::vec(path, 0..8), document).prop_map(|(dollar, path, document)| {
        let dollar = if dollar { "$" } else { "" };
        format!("{dollar}{}\0{document}", path.concat()).into_bytes()
    })
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
    fn a_path_finds_what_stands_in_its_places(bytes in prop_oneof![1 => any_bytes(60), 9 => like_json()]) {
        bodies::json_path(&bytes);
    }

    #[test]
    fn a_damaged_snapshot_is_refused(bytes in any_bytes(100)) {
        bodies::snapshot_block(&bytes);
    }
}
