//! The bytes that the first version writes. A difference here is a new format version: bytes that are on somebody's
//! disk must be read for ever. Encoded enums only grow at their end, and what is new gets golden bytes of its own.
//!
//! Bytes stand in `golden/*.txt`: a name, then hex; `#` begins a comment.

use std::collections::BTreeMap;

use mneme_kernel::channels::Message;
use mneme_kernel::codec;
use mneme_kernel::effect::{self, Change, Effect, Effects};
use mneme_kernel::entry::Entry;
use mneme_kernel::events::Events;
use mneme_kernel::exchange::Frame;
use mneme_kernel::forward::{FromPrimary, Lost, Request, ToPrimary};
use mneme_kernel::ids::{DbId, DbNumber, Epoch, Incarnation, Index, Seq};
use mneme_kernel::json::{self, Place, Step as JsonStep};
use mneme_kernel::level::Level;
use mneme_kernel::members::{Member, Members};
use mneme_kernel::resp::{Decoder, OwnedArgs, Trust, encode_command};
use mneme_kernel::rules::{KeyPattern, Rules, Selector};
use mneme_kernel::script::{Flags, Function};
use mneme_kernel::snapshot::{BlockReader, BlockWriter, FileId, Manifest, PartitionFile, SystemPartition};
use mneme_kernel::store::{Stream, StreamId, Words, delivered_word, words};
use mneme_kernel::system::System;
use mneme_kernel::time::Wall;
use mneme_kernel::users::Role;
use mneme_kernel::verdict::Verdicts;
use mneme_kernel::wal::{Attested, Body, LogId, Record, SegmentHeader, Vote};

fn crc(before: u32, bytes: &[u8]) -> u32 {
    crc32c::crc32c_append(before, bytes)
}

/// A golden file's bytes by name. Each must be asked for.
struct Golden {
    file: &'static str,
    bytes: BTreeMap<String, Vec<u8>>,
}

impl Golden {
    fn read(file: &'static str, text: &str) -> Self {
        let mut bytes: BTreeMap<String, Vec<u8>> = BTreeMap::new();
        let mut name = String::new();
        for line in text.lines().map(|line| line.split('#').next().unwrap_or_default()) {
            match line.trim().strip_suffix(':') {
                Some(new) => name = new.into(),
                None => bytes.entry(name.clone()).or_default().extend(
                    line.split_whitespace().map(|byte| u8::from_str_radix(byte, 16).expect("two hexadecimal digits")),
                ),
            }
        }
        bytes.remove("");
        Self { file, bytes }
    }

    /// The bytes with this name, which must be what is written now.
    fn expect(&mut self, name: &str, written: &[u8]) -> Vec<u8> {
        let golden = self.bytes.remove(name).unwrap_or_default();
        let hex: Vec<String> = written.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(golden, written, "golden/{}: {name} is written now as\n{}", self.file, hex.join(" "));
        golden
    }

    fn finish(self) {
        assert!(self.bytes.is_empty(), "golden/{}: not looked at: {:?}", self.file, self.bytes.keys());
    }
}

macro_rules! golden {
    ($file:literal) => {
        Golden::read($file, include_str!(concat!("golden/", $file)))
    };
}

/// Who forwarded.
const ORIGIN: Incarnation = Incarnation(5);

/// Effects that show every variant and every form of its fields.
fn effects() -> Vec<(&'static str, Effect<'static>)> {
    let all = vec![
        ("put", Effect::Put { db: DbId(0), key: b"key", value: b"value", deadline: None }),
        (
            "put with a deadline",
            Effect::Put { db: DbId(15), key: b"", value: &[0, 0xff], deadline: Some(1_700_000_000_123) },
        ),
        ("delete", Effect::Delete { db: DbId(1), key: b"key" }),
        ("deadline", Effect::Deadline { db: DbId(2), key: b"key", deadline: Some(250) }),
        ("no deadline", Effect::Deadline { db: DbId(2), key: b"key", deadline: None }),
        ("flush", Effect::Flush { db: DbId(3) }),
        ("admin", Effect::User { name: "ann", password_hash: "$argon2id$x", role: Role::Admin }),
        ("reader and writer", Effect::User { name: "bob", password_hash: "", role: Role::ReadWrite }),
        ("reader", Effect::User { name: "eve", password_hash: "", role: Role::ReadOnly }),
        ("patch", Effect::Patch { db: DbId(4), key: b"key", offset: 70_000, bytes: &[0, 0xff] }),
        ("swap databases", Effect::SwapDatabases { a: DbId(5), b: DbId(6) }),
        ("sealed CA", Effect::SealCa { sealed: &[0, 0xff, 1] }),
        ("answered", Effect::Answered { origin: ORIGIN, session: 5, number: 300, db: 3, reply: b"+OK\r\n" }),
        ("answered, not kept", Effect::Answered { origin: ORIGIN, session: 6, number: 301, db: 0, reply: b"" }),
        ("acknowledged", Effect::Acknowledged { origin: ORIGIN, session: 7, number: 299 }),
        ("nowhere", Effect::Reach { user: "bob", everywhere: false }),
        ("grant", Effect::Grant { user: "bob", db: DbNumber(300) }),
        ("everywhere", Effect::Reach { user: "eve", everywhere: true }),
        ("a user's level", Effect::UserLevel { user: "bob", level: Some(Level::All) }),
        ("no level of a user", Effect::UserLevel { user: "eve", level: None }),
        ("drop user", Effect::DropUser { name: "eve" }),
        ("create database", Effect::CreateDatabase { name: "shop", db: DbNumber(16), id: DbId(17) }),
        ("a database's level", Effect::DatabaseLevel { db: DbNumber(16), level: Some(Level::Eventual) }),
        ("no level of a database", Effect::DatabaseLevel { db: DbNumber(3), level: None }),
        ("drop database", Effect::DropDatabase { db: DbNumber(18) }),
    ];
    // Whoever adds a variant is sent here by the compiler: it needs golden bytes.
    for (_, effect) in &all {
        match effect {
            Effect::Put { .. }
            | Effect::Delete { .. }
            | Effect::Deadline { .. }
            | Effect::Flush { .. }
            | Effect::User { .. }
            | Effect::Patch { .. }
            | Effect::SwapDatabases { .. }
            | Effect::SealCa { .. }
            | Effect::Answered { .. }
            | Effect::Acknowledged { .. }
            | Effect::Reach { .. }
            | Effect::Grant { .. }
            | Effect::UserLevel { .. }
            | Effect::DropUser { .. }
            | Effect::CreateDatabase { .. }
            | Effect::DropDatabase { .. }
            | Effect::DatabaseLevel { .. }
            | Effect::Change { .. }
            | Effect::Rules { .. }
            | Effect::LoadScript { .. }
            | Effect::FlushScripts
            | Effect::LoadLibrary { .. }
            | Effect::DropLibrary { .. } => {}
        }
    }
    all
}

#[test]
fn effects_are_written_as_ever() {
    let mut golden = golden!("effects.txt");
    for (name, effect) in effects() {
        let mut written = Vec::new();
        effect::record(&effect, &mut written);
        let bytes = golden.expect(name, &written);
        let decoded: Vec<_> = Effects::new(&bytes).collect();
        assert_eq!(decoded, [Ok(effect)]);
    }
    golden.finish();
}

/// Rules that show every field.
fn rules() -> Rules {
    let every = Selector { every_command: true, every_key: true, every_channel: true, ..Selector::default() };
    let key = |pattern: &[u8], read, write| KeyPattern { pattern: pattern.into(), read, write };
    let some = Selector {
        commands: vec!["+get".into(), "-config|set".into()],
        keys: vec![key(b"a*", true, false), key(b"", false, true)],
        channels: vec![b"c".into()],
        ..Selector::default()
    };
    Rules {
        is_on: true,
        needs_no_password: false,
        skips_sanitizing: true,
        makes_role: false,
        selectors: vec![every, some],
    }
}

#[test]
fn rules_are_written_as_ever() {
    let mut golden = golden!("rules.txt");
    let mut encoded = Vec::new();
    codec::encode(&rules(), &mut encoded);
    for (name, effect) in [
        ("rules", Effect::Rules { user: "ann", rules: &encoded }),
        ("no rules", Effect::Rules { user: "ann", rules: &[] }),
    ] {
        let mut written = Vec::new();
        effect::record(&effect, &mut written);
        let bytes = golden.expect(name, &written);
        assert_eq!(Effects::new(&bytes).collect::<Vec<_>>(), [Ok(effect)]);
    }
    golden.finish();
}

/// What scripts and libraries bring.
#[test]
fn programs_are_written_as_ever() {
    let mut golden = golden!("programs.txt");
    let mut functions = Vec::new();
    let flags = Flags::NO_WRITES.with(Flags::ALLOW_CROSS_SLOT_KEYS);
    let function = |name: &str, description: Option<&str>, flags| Function {
        name: name.into(),
        description: description.map(Into::into),
        flags,
    };
    codec::encode(&vec![function("f", Some("it"), flags), function("g", None, Flags::NONE)], &mut functions);
    let code = b"#!lua name=lib\nx";
    let effects = [
        ("load script", Effect::LoadScript { body: b"return 1" }),
        ("flush scripts", Effect::FlushScripts),
        ("load library", Effect::LoadLibrary { name: "lib", code, functions: &functions }),
        ("drop library", Effect::DropLibrary { name: "gone" }),
        ("another script", Effect::LoadScript { body: b"return 0" }),
    ];
    let mut system = System::default();
    for (name, effect) in effects {
        let mut written = Vec::new();
        effect::record(&effect, &mut written);
        let bytes = golden.expect(name, &written);
        let decoded: Vec<_> = Effects::new(&bytes).collect();
        assert_eq!(decoded, [Ok(effect)]);
        system.apply(&effect);
    }
    // Scripts stand in the order in which they came: that which was loaded first makes room first.
    system.apply(&Effect::LoadScript { body: b"return 1" });
    let mut written = Vec::new();
    system.append_newer(&mut written);
    let mut read = System::default();
    read.take_newer(&golden.expect("behind a snapshot's state", &written)).expect("what was written");
    assert_eq!(read, system);
    let kept: Vec<&[u8]> = read.programs.scripts().map(|(_, body)| body).collect();
    assert_eq!(kept, [b"return 0", b"return 1"]);
    golden.finish();
}

#[test]
fn changes_of_streams_are_written_as_ever() {
    let mut golden = golden!("streams.txt");
    let id = StreamId { ms: 1_700_000_000_123, seq: 7 };
    let entry = words::collect([&*Stream::word(id, [&b"field"[..], b"value"])]);
    let ids = words::collect([&id.bytes()[..]]);
    let delivered = words::collect([&*delivered_word(id, 1_700_000_000_456, 2)]);
    let (group, consumer) = (&b"group"[..], &b"consumer"[..]);
    let all = [
        ("add", Change::AddEntries { apart: false, entries: Words::new(&entry) }),
        ("add apart", Change::AddEntries { apart: true, entries: Words::new(&entry) }),
        ("drop", Change::DropEntries(Words::new(&ids))),
        ("trim", Change::Trim { count: 300 }),
        ("set", Change::SetStream { last: id, max_deleted: StreamId::MIN, added: 300 }),
        ("put a group", Change::PutGroup { group, last: id, read: Some(300) }),
        ("drop a group", Change::DropGroup { group }),
        ("put a consumer", Change::PutConsumer { group, consumer, seen: 1_700_000_000_123, active: None }),
        ("drop a consumer", Change::DropConsumer { group, consumer }),
        ("deliver", Change::Deliver { group, consumer, last: id, read: None, time: 1_700_000_000_123 }),
        ("pend", Change::Pend { group, consumer, entries: Words::new(&delivered) }),
        ("unpend", Change::Unpend { group, ids: Words::new(&ids) }),
    ];
    for (name, change) in all {
        let effect = Effect::Change { db: DbId(1), key: b"key", change };
        let mut written = Vec::new();
        effect::record(&effect, &mut written);
        let bytes = golden.expect(name, &written);
        assert_eq!(Effects::new(&bytes).collect::<Vec<_>>(), [Ok(effect)]);
    }
    golden.finish();
}

#[test]
fn changes_of_documents_are_written_as_ever() {
    let mut golden = golden!("documents.txt");
    let text = r#"{"null":null,"bools":[false,true],"numbers":[-1,300,18446744073709551615,1.5],"text":"é","none":{}}"#;
    let mut value = Vec::new();
    json::encode(&json::parse(text.as_bytes()).expect("JSON"), &mut value);
    let place = Place::of([JsonStep::Name("list"), JsonStep::Index(300)]);
    let (place, number) = (place.words(), [3, 2]);
    let members = words::collect([&b"name"[..], &number]);
    let steps = Place::of([JsonStep::Name("name"), JsonStep::Index(0)]);
    let all = [
        ("set", Change::JsonSet { place: Words::default(), value: &value }),
        ("set in a place", Change::JsonSet { place, value: &number }),
        ("put", Change::JsonPut { place, members: Words::new(&members) }),
        ("drop", Change::JsonDrop { place, steps: steps.words() }),
        ("insert", Change::JsonInsert { place, index: 300, values: &[3, 2, 0] }),
        ("keep", Change::JsonKeep { place, start: 1, count: 300 }),
        ("append", Change::JsonAppend { place, text: b"text" }),
    ];
    for (name, change) in all {
        let effect = Effect::Change { db: DbId(1), key: b"key", change };
        let mut written = Vec::new();
        effect::record(&effect, &mut written);
        let bytes = golden.expect(name, &written);
        assert_eq!(Effects::new(&bytes).collect::<Vec<_>>(), [Ok(effect)]);
    }
    // What stands in them is read as ever, too.
    let decoded = json::decode(&value, 0).expect("a value");
    assert_eq!(String::from_utf8(decoded.to_text()).expect("text"), text);
    golden.finish();
}

#[test]
fn entries_are_written_as_ever() {
    let mut golden = golden!("entries.txt");
    let all = [
        ("hello", Entry::Hello { node: "node-1", nonce: u64::MAX, address: "host:7379", origin: None }),
        ("another hello", Entry::Hello { node: "node-1", nonce: 1, address: "host:7379", origin: Some(ORIGIN) }),
        (
            "claim",
            Entry::Claim { incarnation: Incarnation(300), previous_epoch: Epoch(7), last_renewal: Index(70_000) },
        ),
        ("batch", Entry::Batch { epoch: Epoch(7), seq: Seq(1), wall: 1_700_000_000_123, effects: &[3, 0] }),
        ("renew", Entry::Renew { epoch: Epoch(7), number: 70_000 }),
        ("release", Entry::Release { epoch: Epoch(7), seq: Seq(300) }),
        ("format", Entry::Format { format: 2 }),
        ("remove", Entry::Remove { node: "node-1", incarnation: Incarnation(300) }),
    ];
    for (name, entry) in all {
        match entry {
            Entry::Hello { .. }
            | Entry::Claim { .. }
            | Entry::Batch { .. }
            | Entry::Renew { .. }
            | Entry::Release { .. }
            | Entry::Format { .. }
            | Entry::Remove { .. } => {}
        }
        let bytes = golden.expect(name, &entry.encode());
        assert_eq!(Entry::decode(&bytes), Ok(entry));
    }
    golden.finish();
}

#[test]
fn forwarded_commands_are_written_as_ever() {
    let mut golden = golden!("forward.txt");
    let args = |words: &[&str]| {
        let (mut bytes, mut decoder) = (Vec::new(), Decoder::default());
        encode_command(words, &mut bytes);
        decoder.decode(&bytes, Trust::Known).expect("a request").expect("a whole one");
        OwnedArgs::from(decoder.args(&bytes))
    };
    let set = Request {
        number: 300,
        epoch: Epoch(7),
        session: 5,
        user: "ann".into(),
        stamp: 70_000,
        db: 3,
        protocol: 2,
        level: 1,
        args: args(&["SET", "k", "v"]),
        queue: Vec::new(),
        acknowledged: 298,
        lost: Lost::Nothing,
        watches: false,
    };
    let queue = vec![args(&["GET", "k"])];
    let exec =
        Request { number: 301, protocol: 3, level: 2, args: args(&["EXEC"]), queue, lost: Lost::Watch, ..set.clone() };
    for (name, message) in [
        ("run", ToPrimary::Run(set)),
        ("run a transaction", ToPrimary::Run(exec)),
        ("end", ToPrimary::End { session: 5 }),
        ("resume", ToPrimary::Resume { open: vec![(5, 300), (6, 2)] }),
        ("acknowledge", ToPrimary::Acknowledge { session: 5, number: 300 }),
    ] {
        match message {
            ToPrimary::Run(_) | ToPrimary::End { .. } | ToPrimary::Resume { .. } | ToPrimary::Acknowledge { .. } => {}
        }
        let mut written = Vec::new();
        codec::encode(&message, &mut written);
        let bytes = golden.expect(name, &written);
        assert_eq!(codec::decode_owned(&bytes), Ok(message));
    }
    for (name, message) in [
        ("reply", FromPrimary::Reply { number: 300, reply: b"+OK\r\n".to_vec(), db: 3 }),
        ("refused", FromPrimary::Refused { number: 300, epoch: Epoch(7) }),
        ("beat", FromPrimary::Beat),
    ] {
        match message {
            FromPrimary::Reply { .. } | FromPrimary::Refused { .. } | FromPrimary::Beat => {}
        }
        let mut written = Vec::new();
        codec::encode(&message, &mut written);
        let bytes = golden.expect(name, &written);
        assert_eq!(codec::decode_owned(&bytes), Ok(message));
    }
    golden.finish();
}

#[test]
fn published_messages_are_written_as_ever() {
    let mut golden = golden!("exchange.txt");
    let message = |is_sharded| Message { channel: b"c".to_vec(), text: vec![0, 0xff], is_sharded };
    for (name, frame) in [
        ("message", Frame::Message(message(false))),
        ("shard message", Frame::Message(message(true))),
        ("wants", Frame::Wants(Events::parse(b"KEAm").expect("classes of events"))),
        ("beat", Frame::Beat),
    ] {
        match frame {
            Frame::Message(_) | Frame::Wants(_) | Frame::Beat => {}
        }
        let mut written = Vec::new();
        codec::encode(&frame, &mut written);
        let bytes = golden.expect(name, &written);
        assert_eq!(codec::decode_owned(&bytes), Ok(frame));
    }
    golden.finish();
}

#[test]
fn segments_are_written_as_ever() {
    let mut golden = golden!("segment.txt");
    let header =
        SegmentHeader { number: 2, log: 0x1122_3344_5566_7788, salt: 0x99aa_bbcc_ddee_ff00, previous_end: 320 };
    let mut segment = golden.expect("header", &header.encode(crc));
    assert_eq!(SegmentHeader::decode(crc, &segment), Ok(header));
    let all = [
        ("attest", Record::Attest { synced_to: 64 }),
        ("vote", Record::Vote(Vote { term: 3, candidate: 1, committed: false })),
        ("committed vote", Record::Vote(Vote { term: 3, candidate: 1, committed: true })),
        ("blank entry", Record::Entry { id: LogId { term: 3, index: 8 }, body: Body::Blank }),
        ("membership entry", Record::Entry { id: LogId { term: 3, index: 9 }, body: Body::Membership(b"members") }),
        ("entry", Record::Entry { id: LogId { term: 3, index: 10 }, body: Body::Entry(b"an entry") }),
        ("truncate after", Record::TruncateAfter(Some(9))),
        ("truncate all", Record::TruncateAfter(None)),
        ("purge", Record::Purge(LogId { term: 3, index: 8 })),
        ("install", Record::Install(LogId { term: 3, index: 300 })),
    ];
    for (name, record) in all {
        match record {
            Record::Attest { .. }
            | Record::Vote(_)
            | Record::Entry { body: Body::Blank | Body::Membership(_) | Body::Entry(_), .. }
            | Record::TruncateAfter(_)
            | Record::Purge(_)
            | Record::Install(_) => {}
        }
        let mut written = Vec::new();
        let offset = segment.len() as u64;
        record.encode(&header, crc, offset, &mut written);
        segment.extend(golden.expect(name, &written));
        assert_eq!(Record::decode(&header, crc, &segment, offset), Some((record, written.len() as u64)));
    }
    golden.finish();
}

#[test]
fn attestations_are_written_as_ever() {
    let mut golden = golden!("attested.txt");
    let attested = Attested { log: 0x1122_3344_5566_7788, segment: 2, synced_to: 320 };
    let bytes = golden.expect("attested", &attested.encode(crc));
    assert_eq!(bytes.len() as u64, Attested::LEN);
    assert_eq!(Attested::decode(crc, &bytes), Some(attested));
    for i in 0..bytes.len() {
        let mut damaged = bytes.clone();
        damaged[i] ^= 1;
        assert_eq!(Attested::decode(crc, &damaged), None, "byte {i}");
        assert_eq!(Attested::decode(crc, &bytes[..i]), None);
    }
    golden.finish();
}

#[test]
fn manifests_are_written_as_ever() {
    let mut golden = golden!("manifest.txt");
    let partition = |made_at, number, len, items: &[u64]| PartitionFile { made_at, number, len, items: items.into() };
    let manifest = Manifest {
        log: 0x1122_3344_5566_7788,
        last: LogId { term: 3, index: 70_000 },
        bits: 1,
        partitions: vec![partition(70_000, 0, 4_096, &[5, 0, 300]), partition(500, 1, 0, &[])],
        system: partition(70_000, Manifest::SYSTEM, 99, &[]),
    };
    let bytes = golden.expect("manifest", &manifest.encode(crc));
    assert_eq!(Manifest::decode(crc, &bytes), Ok(manifest));
    golden.finish();
}

const FILE: FileId = FileId { log: 0x1122_3344_5566_7788, made_at: 70_000, number: 1 };

/// The verified content of a file of blocks.
fn content(bytes: &[u8]) -> Vec<u8> {
    BlockReader::new(FILE, crc, bytes).flat_map(|block| block.expect("undamaged").to_vec()).collect()
}

#[test]
fn partitions_are_written_as_ever() {
    let mut golden = golden!("partition.txt");
    let (mut blocks, mut written) = (BlockWriter::new(FILE, crc), Vec::new());
    // A partition holds what makes its items; a patch is merged before.
    let effects: Vec<Effect<'_>> = effects()
        .into_iter()
        .map(|(_, effect)| effect)
        .filter(|effect| !matches!(effect, Effect::Patch { .. }))
        .collect();
    for effect in &effects {
        effect::record(effect, blocks.content());
        blocks.close_full(&mut written);
    }
    assert_eq!(blocks.finish(&mut written), written.len() as u64);
    let bytes = golden.expect("partition", &written);
    assert_eq!(Effects::new(&content(&bytes)).collect::<Result<Vec<_>, _>>(), Ok(effects));
    golden.finish();
}

#[test]
fn system_partitions_are_written_as_ever() {
    let mut golden = golden!("system.txt");
    let mut system = System {
        verdicts: Verdicts {
            epoch: Epoch(7),
            holder: Incarnation(5),
            next_seq: Seq(300),
            last_renewal: Index(70_000),
            renewal: 250,
            released: true,
        },
        newest_wall: Wall(1_700_000_000_123),
        ..System::default()
    };
    system.judge(Index(5), &Entry::Hello { node: "node-1", nonce: 1, address: "host:7379", origin: None });
    effects().iter().for_each(|(_, effect)| system.apply(effect));
    let member = Member { name: "node-1".into(), address: "host:7379".into() };
    let partition = SystemPartition {
        system,
        members: Members { voters: vec![vec![1], vec![1, 2]], members: vec![(1, member)] },
        members_at: Some(LogId { term: 3, index: 9 }),
    };
    // Of format 2: what the first one does not know stands at the end.
    let mut agreed = System::default();
    agreed.judge(Index(3), &Entry::Hello { node: "node-2", nonce: 7 << 32, address: "host:7379", origin: None });
    agreed.judge(Index(4), &Entry::Format { format: 2 });
    agreed.judge(Index(5), &Entry::Hello { node: "node-1", nonce: 9 << 32, address: "host:7379", origin: None });
    agreed.judge(Index(6), &Entry::Remove { node: "node-2", incarnation: Incarnation(3) });
    let agreed = SystemPartition { system: agreed, ..SystemPartition::default() };
    // Of format 4: users' rules stand behind that.
    let mut ruled = System::default();
    ruled.judge(Index(3), &Entry::Format { format: 4 });
    ruled.apply(&Effect::User { name: "ann", password_hash: "one\nother", role: Role::ReadOnly });
    let mut encoded = Vec::new();
    codec::encode(&rules(), &mut encoded);
    ruled.apply(&Effect::Rules { user: "ann", rules: &encoded });
    assert_eq!(ruled.users.get("ann").and_then(|user| user.rules.as_deref()), Some(&rules()));
    let ruled = SystemPartition { system: ruled, ..SystemPartition::default() };
    let empty = SystemPartition::default();
    for (name, partition) in [("founded", partition), ("empty", empty), ("removed", agreed), ("rules", ruled)] {
        let (mut blocks, mut written) = (BlockWriter::new(FILE, crc), Vec::new());
        partition.encode(blocks.content());
        blocks.finish(&mut written);
        let bytes = golden.expect(name, &written);
        assert_eq!(SystemPartition::decode(&content(&bytes)), Ok(partition));
    }
    golden.finish();
}
