//! Every form of a value, the old ones made by hand from the description of the format.

use alloc::boxed::Box;
use alloc::vec;

use proptest::prelude::*;
use proptest::sample::{Index, select};

use super::*;
use crate::effect::Change;
use crate::store::{SortedSet, Stream, StreamId, Words, delivered_word, words};

#[test]
fn the_checksum_is_the_known_one() {
    assert_eq!(crc64(0, b"123456789"), 0xe9c6_d914_c4b8_d9ca);
}

#[test]
fn texts_are_read_in_every_form() {
    let dumped = b"\x00\xc0\x0a\x0a\x00n\x9fWE\x0e\xaec\xbb";
    assert_eq!(open(dumped), Some(&b"\x00\xc0\x0a"[..]));
    let value = |bytes: &[u8]| load(bytes);
    assert_eq!(value(b"\x00\xc0\x0a"), Ok(Loaded::Text(b"10".into())));
    assert_eq!(value(b"\x00\x03abc"), Ok(Loaded::Text(b"abc".into())));
    assert_eq!(value(b"\x00\xc1\xff\xff"), Ok(Loaded::Text(b"-1".into())));
    assert_eq!(value(b"\x00\xc2\x00\x00\x00\x80"), Ok(Loaded::Text(b"-2147483648".into())));
    // A byte, and a copy of it that overlaps itself.
    assert_eq!(value(b"\x00\xc3\x05\x0a\x00a\xe0\x00\x00"), Ok(Loaded::Text(b"aaaaaaaaaa".into())));
    assert_eq!(value(b"\x00\xc3\x05\x0b\x00a\xe0\x00\x00"), Err(Bad));
    assert_eq!(value(b"\x00\x04abc"), Err(Bad));
}

#[test]
fn packed_forms_are_read() {
    let integers = b"\x0b\x0c\x02\0\0\0\x02\0\0\0\xff\xff\x05\x00";
    assert_eq!(load(integers), Ok(Loaded::Set(words::collect([&b"-1"[..], b"5"]))));
    // Of seven and thirteen bits, a text, and of sixteen bits.
    let listpack = b"\x14\x14\x14\0\0\0\x04\0\x07\x01\xdf\xff\x02\x82hi\x03\xf1\xe8\x03\x03\xff";
    assert_eq!(load(listpack), Ok(Loaded::Set(words::collect([&b"7"[..], b"-1", b"hi", b"1000"]))));
    let mut scored = listpack.to_vec();
    scored[0] = types::SORTED_LISTPACK;
    assert_eq!(
        load(&scored),
        Ok(Loaded::Sorted(words::collect([&SortedSet::word(-1.0, b"7")[..], &SortedSet::word(1000.0, b"hi")])))
    );
}

/// A string as the format has it.
fn string(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    write::string(bytes, &mut out);
    out
}

fn of_type(kind: u8, rest: &[u8]) -> Vec<u8> {
    [&[kind], rest].concat()
}

/// A ziplist of these entries, each with what stands before it but without the size of the one before.
fn ziplist(entries: &[&[u8]]) -> Vec<u8> {
    let (mut body, mut before) = (Vec::new(), 0);
    for entry in entries {
        let size = match u8::try_from(before) {
            Ok(size @ 0..254) => vec![size],
            _ => [&[254][..], &(before as u32).to_le_bytes()].concat(),
        };
        before = size.len() + entry.len();
        body.extend([&size, *entry].concat());
    }
    let size = 10 + body.len() + 1;
    let last = size - 1 - before;
    let head = [(size as u32).to_le_bytes(), (last as u32).to_le_bytes()].concat();
    [&head[..], &(entries.len() as u16).to_le_bytes(), &body, &[0xff]].concat()
}

/// The seven forms of integers, and the three of texts.
fn every_entry() -> (Vec<u8>, Vec<Vec<u8>>) {
    let (middle, long) = (vec![b'm'; 300], vec![b'l'; 20_000]);
    let entries = [
        b"\xf1".to_vec(),
        b"\xfd".to_vec(),
        b"\xfe\x80".to_vec(),
        b"\xc0\x00\x80".to_vec(),
        b"\xf0\x00\x00\x80".to_vec(),
        b"\xd0\xff\xff\xff\x7f".to_vec(),
        b"\xe0\x00\x00\x00\x00\x00\x00\x00\x80".to_vec(),
        b"\x02hi".to_vec(),
        [&b"\x41\x2c"[..], &middle].concat(),
        [&b"\x80\x00\x00\x4e\x20"[..], &long].concat(),
    ];
    let texts = ["0", "12", "-128", "-32768", "-8388608", "2147483647", "-9223372036854775808", "hi"];
    let mut texts: Vec<_> = texts.iter().map(|text| text.as_bytes().to_vec()).collect();
    texts.extend([middle, long]);
    (ziplist(&entries.iter().map(|entry| &entry[..]).collect::<Vec<_>>()), texts)
}

fn collected(texts: &[Vec<u8>]) -> Vec<u8> {
    words::collect(texts.iter().map(|text| &text[..]))
}

#[test]
fn ziplists_are_read_in_every_form() {
    let (list, texts) = every_entry();
    let all = collected(&texts);
    assert_eq!(load(&of_type(types::LIST_ZIPLIST, &string(&list))), Ok(Loaded::List(all.clone())));
    assert_eq!(load(&of_type(types::HASH_ZIPLIST, &string(&list))), Ok(Loaded::Hash(all.clone())));
    let twice = [&[2][..], &string(&list), &string(&list)].concat();
    assert_eq!(load(&of_type(types::QUICKLIST, &twice)), Ok(Loaded::List(all.repeat(2))));
    let scored = ziplist(&[b"\x01a", b"\x031.5", b"\x01b", b"\xf3", b"\x01c", b"\x04-inf"]);
    let sorted =
        [(1.5, b"a"), (2.0, b"b"), (f64::NEG_INFINITY, b"c")].map(|(score, member)| SortedSet::word(score, member));
    let sorted = words::collect(sorted.iter().map(|word| &word[..]));
    assert_eq!(load(&of_type(types::SORTED_ZIPLIST, &string(&scored))), Ok(Loaded::Sorted(sorted)));
    // Half a pair, no number, an end too early, and a size or a number of elements that is wrong.
    let odd = ziplist(&[b"\x01a"]);
    assert_eq!(load(&of_type(types::HASH_ZIPLIST, &string(&odd))), Err(Bad));
    assert_eq!(load(&of_type(types::SORTED_ZIPLIST, &string(&ziplist(&[b"\x01a", b"\x01b"])))), Err(Bad));
    assert_eq!(load(&of_type(types::LIST_ZIPLIST, &string(&[&odd[..], &[0xff]].concat()))), Err(Bad));
    for at in [0, 8] {
        let mut wrong = odd.clone();
        wrong[at] += 1;
        assert_eq!(load(&of_type(types::LIST_ZIPLIST, &string(&wrong))), Err(Bad));
    }
    assert_eq!(load(&of_type(types::LIST_ZIPLIST, &string(&ziplist(&[])))), Err(Bad), "there are no empty lists");
}

#[test]
fn zipmaps_are_read() {
    let long = [b'v'; 300];
    let map = [&b"\x02\x01a\x03\x02bcd??\x01e\xfe\x2c\x01\x00\x00\x00"[..], &long, b"\xff"].concat();
    let hash = words::collect([&b"a"[..], b"bcd", b"e", &long]);
    assert_eq!(load(&of_type(types::HASH_ZIPMAP, &string(&map))), Ok(Loaded::Hash(hash.clone())));
    let mut many = map.clone();
    many[0] = 254;
    assert_eq!(load(&of_type(types::HASH_ZIPMAP, &string(&many))), Ok(Loaded::Hash(hash)));
    many[0] = 3;
    assert_eq!(load(&of_type(types::HASH_ZIPMAP, &string(&many))), Err(Bad));
    assert_eq!(load(&of_type(types::HASH_ZIPMAP, &string(b"\x01\x01a\xff"))), Err(Bad));
}

#[test]
fn old_sorted_sets_have_scores_as_text() {
    let value = [&[types::SORTED, 4][..], b"\x01a\x030.5\x01b\xfe\x01c\xff\x01d\x02-7"].concat();
    let sorted = [(0.5, b"a"), (f64::INFINITY, b"b"), (f64::NEG_INFINITY, b"c"), (-7.0, b"d")];
    let sorted = sorted.map(|(score, member)| SortedSet::word(score, member));
    assert_eq!(load(&value), Ok(Loaded::Sorted(words::collect(sorted.iter().map(|word| &word[..])))));
    assert_eq!(load(&[&[types::SORTED, 1][..], b"\x01a\xfd"].concat()), Err(Bad), "not a number");
}

const fn id(ms: u64, seq: u64) -> StreamId {
    StreamId { ms, seq }
}

/// Two entries with the same names, one that was deleted, and one with others; a group with two consumers.
fn stream_of_version(kind: u8) -> Vec<u8> {
    let listpack = b"\x03\x01\x01\x01\x02\x01\x81a\x02\x81b\x02\x00\x01\
        \x02\x01\x00\x01\x00\x01\x811\x02\x812\x02\x05\x01\
        \x03\x01\x01\x01\x00\x01\x813\x02\x814\x02\x05\x01\
        \x02\x01\x01\x01\x01\x01\x815\x02\x06\x01\x05\x01\
        \x00\x01\x02\x01\xdf\xfe\x02\x01\x01\x81c\x02\x07\x01\x06\x01\xff";
    let count = 1 + 1 + 1 + 2 + 1 + 3 * 6 + 7;
    let size = (6 + listpack.len()) as u32;
    let listpack = [&size.to_le_bytes()[..], &u16::to_le_bytes(count), listpack].concat();
    let mut out = vec![kind, 1];
    out.extend(string(&id(5, 2).bytes()));
    out.extend(string(&listpack));
    // How many, the last ID; the first, the greatest that was deleted, how many ever.
    out.extend([3, 9, 4]);
    if kind != types::STREAM {
        out.extend([5, 2, 6, 2, 7]);
    }
    out.extend(b"\x01\x01g\x06\x03");
    if kind != types::STREAM {
        out.push(5);
    }
    out.push(2);
    for (entry, time, count) in [(id(5, 2), 1000u64, 1), (id(6, 3), 2000, 64)] {
        out.extend(entry.bytes());
        out.extend(time.to_le_bytes());
        write::length(count, &mut out);
    }
    out.push(2);
    for (name, seen, active, pending) in [(b'c', 3000u64, 2500i64, Some(id(6, 3))), (b'd', 4000, -1, Some(id(5, 2)))] {
        out.extend([1, name]);
        out.extend(seen.to_le_bytes());
        if kind == types::STREAM_3 {
            out.extend(active.to_le_bytes());
        }
        out.push(pending.into_iter().len() as u8);
        out.extend(pending.iter().flat_map(|id| id.bytes()));
    }
    out
}

fn loaded_stream(value: &[u8]) -> Box<Stream> {
    match load(value) {
        Ok(Loaded::Stream(stream)) => stream,
        other => panic!("{other:?}"),
    }
}

#[test]
fn streams_are_read_in_every_version() {
    for kind in [types::STREAM, types::STREAM_2, types::STREAM_3] {
        let stream = loaded_stream(&stream_of_version(kind));
        stream.check();
        let entries: Vec<_> = stream
            .range(StreamId::MIN..=StreamId::MAX)
            .map(|entry| (entry.id, entry.fields().map(|(name, value)| [name, value].concat()).collect::<Vec<_>>()))
            .collect();
        let expected = [
            (id(5, 2), vec![b"a1".to_vec(), b"b2".to_vec()]),
            (id(6, 3), vec![b"a5".to_vec(), b"b6".to_vec()]),
            (id(7, 0), vec![b"c7".to_vec()]),
        ];
        assert_eq!(entries, expected);
        assert_eq!(stream.last_id(), id(9, 4));
        let (deleted, added, read) = match kind {
            // What was not noted is taken from what is there, as Redis does.
            types::STREAM => (id(0, 0), 3, None),
            _ => (id(6, 2), 7, Some(5)),
        };
        assert_eq!((stream.max_deleted(), stream.added()), (deleted, added));
        let group = stream.group(b"g").expect("it is there");
        assert_eq!((group.last, group.read), (id(6, 3), read));
        let pending = |ms, seq| group.pending(id(ms, seq)).map(|p| (&*p.consumer, p.time, p.count));
        assert_eq!(pending(5, 2), Some((&b"d"[..], 1000, 1)));
        assert_eq!(pending(6, 3), Some((&b"c"[..], 2000, 64)));
        let times = group.consumers().map(|(_, consumer)| (consumer.seen, consumer.active));
        let expected = match kind {
            types::STREAM_3 => [(3000, Some(2500)), (4000, None)],
            _ => [(3000, Some(3000)), (4000, Some(4000))],
        };
        assert!(times.eq(expected));
    }
}

#[test]
fn a_stream_whose_parts_do_not_belong_together_is_refused() {
    let sound = stream_of_version(types::STREAM_2);
    let at = |part: &[u8]| sound.windows(part.len()).position(|window| window == part).expect("it is there");
    let change = |part: &[u8], by: &[u8]| {
        let mut changed = sound.clone();
        changed.splice(at(part)..at(part) + part.len(), by.iter().copied());
        load(&changed)
    };
    assert!(matches!(change(b"\x01g", b"\x01h"), Ok(Loaded::Stream(_))));
    // A consumer has what is not pending, and what is pending has no consumer.
    let tail = [b"\x01d".as_slice(), &4000u64.to_le_bytes(), &[1]].concat();
    assert_eq!(change(&[&tail[..], &id(5, 2).bytes()].concat(), &[&tail[..], &id(5, 3).bytes()].concat()), Err(Bad));
    let nothing = [b"\x01d".as_slice(), &4000u64.to_le_bytes(), &[0]].concat();
    assert_eq!(change(&[&tail[..], &id(5, 2).bytes()].concat(), &nothing), Err(Bad));
    // Two consumers with one name.
    assert_eq!(change(&tail, &[b"\x01c".as_slice(), &4000u64.to_le_bytes(), &[1]].concat()), Err(Bad));
    // One entry more than there are, one that was not deleted, and a wrong number of elements behind it.
    assert_eq!(change(b"\x03\x01\x01\x01\x02\x01\x81a", b"\x04\x01\x01\x01\x02\x01\x81a"), Err(Bad));
    assert_eq!(change(b"\x03\x01\x01\x01\x00\x01\x813", b"\x02\x01\x01\x01\x00\x01\x813"), Err(Bad));
    assert_eq!(change(b"\x07\x01\x06\x01\xff", b"\x07\x01\x05\x01\xff"), Err(Bad));
    // IDs that do not ascend.
    assert_eq!(change(b"\x00\x01\x02\x01\xdf\xfe\x02", b"\x00\x01\x01\x01\xdf\xfe\x02"), Err(Bad));
    assert_eq!(load(&[&sound[..], &[0]].concat()), Err(Bad), "something behind it");
}

#[test]
fn few_bytes_that_would_be_much_are_refused() {
    // A compressed string that says that it is far longer than it may be, and lengths of what is not there.
    let huge = u64::MAX.to_be_bytes();
    let compressed = [&[types::TEXT, 0xc3, 2, 0x81][..], &huge, b"\x00a"].concat();
    assert_eq!(load(&compressed), Err(Bad));
    for kind in [types::LIST, types::HASH, types::SORTED_2, types::QUICKLIST_2, types::STREAM_2] {
        assert_eq!(load(&[&[kind, 0x81][..], &huge].concat()), Err(Bad));
    }
    // Half a megabyte of names, once, and entries that repeat them by a few bytes each: they would be far more in the log.
    let mut node = vec![];
    let name = [0xf0, 0, 0, 8, 0].into_iter().chain(vec![b'n'; 1 << 19]).chain([0x20, 0x80, 0x85]).collect::<Vec<u8>>();
    let entries = 1100u16;
    node.extend([&[0xf1][..], &entries.to_le_bytes(), &[3, 0, 1, 1, 1], &name, &[0, 1]].concat());
    for entry in 0..entries {
        node.extend([&[2, 1, 0xf1][..], &entry.to_le_bytes(), &[3, 0, 1, 0x80, 1, 4, 1]].concat());
    }
    let size = (6 + node.len() + 1) as u32;
    let node = [&size.to_le_bytes()[..], &u16::MAX.to_le_bytes(), &node, &[0xff]].concat();
    let value = [&[types::STREAM_2, 1][..], &string(&id(1, 0).bytes()), &string(&node), &[0; 9]].concat();
    assert_eq!(load(&value), Err(Bad));
}

/// A stream with entries of many sizes and a group, which has several listpacks.
fn large_stream() -> Stream {
    let mut stream = Stream::default();
    for number in 0..250u64 {
        let value = vec![b'v'; (number * number % 5000) as usize];
        let fields = match number % 7 {
            0 => vec![&b"other"[..], &value, b"", b""],
            _ => vec![&b"a"[..], &value],
        };
        let entry = Stream::word(id(number << 40 | 7, number), fields);
        stream.change(&Change::AddEntries { apart: false, entries: Words::new(&words::collect([&entry[..]])) });
    }
    stream.change(&Change::SetStream { last: id(u64::MAX, 1), max_deleted: id(3, u64::MAX), added: 1 << 40 });
    stream.change(&Change::PutGroup { group: b"g", last: id(1, 1), read: None });
    stream.change(&Change::PutConsumer { group: b"g", consumer: b"c", seen: 7, active: None });
    let pending = words::collect([&delivered_word(id(1, 1), 5, 1 << 20)[..], &delivered_word(id(9, 9), 6, 1)]);
    stream.change(&Change::Pend { group: b"g", consumer: b"c", entries: Words::new(&pending) });
    stream
}

#[test]
fn a_stream_is_read_as_it_was_written() {
    let stream = large_stream();
    let dumped = dump(Value::Stream(&stream)).expect("a form");
    let read = loaded_stream(open(&dumped).expect("a checksum"));
    read.check();
    let entries = |stream: &Stream| -> Vec<(StreamId, Vec<Vec<u8>>)> {
        let fields =
            |entry: crate::store::Entry<'_>| entry.fields().map(|(name, value)| [name, b"=", value].concat()).collect();
        stream.range(StreamId::MIN..=StreamId::MAX).map(|entry| (entry.id, fields(entry))).collect()
    };
    assert_eq!(entries(&read), entries(&stream));
    assert_eq!((read.last_id(), read.max_deleted(), read.added()), (id(u64::MAX, 1), id(3, u64::MAX), 1 << 40));
    let group = read.group(b"g").expect("it is there");
    assert_eq!((group.last, group.read, group.pending_len()), (id(1, 1), None, 2));
    assert_eq!(group.pending(id(1, 1)).map(|p| (p.time, p.count)), Some((5, 1 << 20)));
}

/// A sound value of every form.
fn sound_values() -> Vec<Vec<u8>> {
    let (list, _) = every_entry();
    let scored = ziplist(&[b"\x01a", b"\x031.5"]);
    let map = b"\x01\x01a\x03\x02bcd??\xff";
    let listpack = b"\x14\0\0\0\x04\0\x07\x01\xdf\xff\x02\x82hi\x03\xf1\xe8\x03\x03\xff";
    let packed = string(listpack);
    let mut values = vec![
        b"\x00\xc3\x05\x0a\x00a\xe0\x00\x00".to_vec(),
        b"\x01\x02\x01a\xc0\x07".to_vec(),
        b"\x04\x01\x01a\x01b".to_vec(),
        b"\x03\x01\x01a\x030.5".to_vec(),
        b"\x05\x01\x01a\0\0\0\0\0\0\xf0?".to_vec(),
        b"\x0b\x0c\x02\0\0\0\x02\0\0\0\xff\xff\x05\x00".to_vec(),
        of_type(types::HASH_ZIPMAP, &string(map)),
        of_type(types::LIST_ZIPLIST, &string(&list)),
        of_type(types::SORTED_ZIPLIST, &string(&scored)),
        of_type(types::HASH_ZIPLIST, &string(&list)),
        of_type(types::QUICKLIST, &[&[1][..], &string(&list)].concat()),
        of_type(types::QUICKLIST_2, &[&[2, 2][..], &packed, b"\x01\x01x"].concat()),
        write::stream(&large_stream()),
    ];
    values
        .extend([types::HASH_LISTPACK, types::SORTED_LISTPACK, types::SET_LISTPACK].map(|kind| of_type(kind, &packed)));
    values.extend([types::STREAM, types::STREAM_2, types::STREAM_3].map(stream_of_version));
    values
}

#[test]
fn what_is_cut_off_is_refused() {
    for value in sound_values() {
        assert!(load(&value).is_ok(), "{}", value.escape_ascii());
        let step = value.len() / 500 + 1;
        for len in (0..value.len()).step_by(step) {
            assert_eq!(load(&value[..len]), Err(Bad), "{len} bytes of {}", value.escape_ascii());
        }
    }
}

fn any_change() -> impl Strategy<Value = (Index, u8)> {
    (any::<Index>(), prop_oneof![0u8..5, 0xc0u8..0xc4, 0xf0u8..=0xff, any::<u8>()])
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4096, ..ProptestConfig::default() })]

    #[test]
    fn whatever_bytes_are_read_or_refused(kind in 0u8..26, bytes in prop::collection::vec(prop_oneof![0u8..5, 0xc0u8..0xc4, any::<u8>()], 0..40)) {
        let value = [&[kind][..], &bytes].concat();
        let _ = load(&value);
        let _ = open(&value);
    }

    /// What is damaged is refused or is another value, as sound as any: what is made of it is read back the same.
    #[test]
    fn a_damaged_value_is_refused_or_sound(mut value in select(sound_values()), changes in prop::collection::vec(any_change(), 1..4), cut in any::<Index>()) {
        for (at, byte) in changes {
            // Near the front are the sizes of all that follows.
            let near = value.len().min(100);
            let end = if cut.index(3) == 0 { value.len() } else { near };
            value[at.index(end)] = byte;
        }
        if cut.index(4) == 0 {
            value.truncate(cut.index(value.len()));
        }
        if let Ok(Loaded::Stream(stream)) = load(&value) {
            stream.check();
            prop_assert_eq!(load(&write::stream(&stream)), Ok(Loaded::Stream(stream)));
        }
    }
}
