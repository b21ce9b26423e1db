use std::fs;

use super::*;

/// What a file with these bytes between head and end holds.
fn read(name: &str, version: &str, body: &[u8]) -> Result<Vec<Record>, Stop> {
    let mut bytes = [b"REDIS", version.as_bytes(), body, &[opcodes::END]].concat();
    let checksum = rdb::crc64(0, &bytes);
    bytes.extend(checksum.to_le_bytes());
    read_bytes(name, &bytes)
}

fn read_bytes(name: &str, bytes: &[u8]) -> Result<Vec<Record>, Stop> {
    let path = std::env::temp_dir().join(format!("mneme-rdb-{name}-{}", std::process::id()));
    fs::write(&path, bytes).expect("written");
    let records = Rdb::open(&path, None).and_then(|mut rdb| std::iter::from_fn(|| rdb.next().transpose()).collect());
    fs::remove_file(&path).expect("it is there");
    records
}

#[test]
fn keys_are_found_among_everything_else() {
    // Notes, sizes, a library, and keys with deadlines and hints.
    let body = [
        &b"\xfa\x09redis-ver\x066.2.14\xfa\x05ctime\xc2\x00\x00\x00\x60"[..],
        b"\xf5\x04code\xfe\x03\xfb\x04\x01",
        b"\xfc\x01\x02\x00\x00\x00\x00\x00\x00\xf9\x07\x00\x01a\x01b",
        b"\xfd\x02\x00\x00\x00\xf8\x05\x01\xc0\x07\x02\x01x\xc0\x01",
        b"\xf4\x01\x02\x03\x05\x01z\x01\x01m\x00\x00\x00\x00\x00\x00\xf0?",
    ]
    .concat();
    let records = read("all", "0011", &body).expect("a sound file");
    let shown: Vec<_> = records
        .iter()
        .map(|record| match record {
            Record::Library(code) => format!("library {}", code.escape_ascii()),
            Record::Key(Entry { database, key, deadline, content }) => {
                format!("{database} {} {deadline:?} {}", key.escape_ascii(), content.kind())
            }
        })
        .collect();
    assert_eq!(shown, ["library code", "3 a Some(513) string", "3 7 Some(2000) list", "3 z None zset"]);
}

#[test]
fn a_module_s_value_is_named_and_passed_over() {
    let id = "graphdata".bytes().fold(0u64, |id, byte| {
        let letters = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        id << 6 | letters.iter().position(|letter| *letter == byte).expect("a letter") as u64
    }) << 10;
    let body = [
        &b"\xf7\x81"[..],
        &id.to_be_bytes(),
        b"\x02\x01\x00\x07\x01m\x81",
        &id.to_be_bytes(),
        b"\x05\x02hi\x03abcd\x04abcdefgh\x00\x00\x01a\x01b",
    ];
    let records = read("module", "0009", &body.concat()).expect("a sound file");
    let [Record::Key(module), Record::Key(text)] = records.as_slice() else { panic!("{records:?}") };
    assert!(matches!(&module.content, Content::Unknown(why) if why.contains("graphdata")), "{module:?}");
    assert_eq!(text.key, b"a");
}

#[test]
fn what_is_damaged_or_not_known_is_refused() {
    let refused = |version: &str, body: &[u8]| match read("bad", version, body) {
        Err(Stop::Damaged(why)) => why,
        other => panic!("{other:?}"),
    };
    assert!(refused("0013", b"").contains("RDB version is 13"));
    assert!(refused("x", b"").contains("neither"));
    assert!(refused("0012", b"\x18\x01h\x01").contains("key \"h\" in database 0 is a hash whose fields expire"));
    assert!(refused("0011", b"\x00\x01a\x81\xff\xff\xff\xff\xff\xff\xff\xff").contains("not whole"));
    let mut bytes = b"REDIS0009\x00\x01a\x01b\xff".to_vec();
    bytes.extend(rdb::crc64(0, &bytes).to_le_bytes());
    assert_eq!(read_bytes("sum", &bytes).expect("sound").len(), 1);
    for at in 9..bytes.len() {
        let mut damaged = bytes.clone();
        damaged[at] ^= 0x21;
        assert!(matches!(read_bytes("sum", &damaged), Err(Stop::Damaged(_))), "byte {at}");
        assert!(matches!(read_bytes("sum", &bytes[..at]), Err(Stop::Damaged(_))), "up to byte {at}");
    }
    // Without a checksum.
    let zeros = [&bytes[..bytes.len() - 8], &[0; 8]].concat();
    assert_eq!(read_bytes("sum", &zeros).expect("sound").len(), 1);
}
