//! Every form of every type.

use mneme_kernel::resp::Value;

use super::Form;

/// A reply as it comes over the wire, and its text in each form.
struct Case {
    wire: &'static [u8],
    terminal: &'static str,
    raw: &'static [u8],
    json: &'static str,
    csv: &'static [u8],
}

#[rustfmt::skip] // One form, one line.
const CASES: &[Case] = &[
    Case {
        wire: b"+OK\r\n",
        terminal: "OK\n",
        raw: b"OK\n",
        json: "\"OK\"\n",
        csv: b"\"OK\"\n",
    },
    Case {
        wire: b":-7\r\n",
        terminal: "(integer) -7\n",
        raw: b"-7\n",
        json: "-7\n",
        csv: b"-7\n",
    },
    Case {
        wire: b"$12\r\na \"b\\\n\x00\xff\xc3\xa4,\x1b\r\n",
        terminal: "\"a \\\"b\\\\\\n\\x00\\xff\\xc3\\xa4,\\x1b\"\n",
        raw: b"a \"b\\\n\x00\xff\xc3\xa4,\x1b\n",
        json: "\"a \\\"b\\\\\\n\\u0000\u{FFFD}ä,\\u001b\"\n",
        csv: b"\"a \"\"b\\\n\x00\xff\xc3\xa4,\x1b\"\n",
    },
    Case {
        wire: b"$0\r\n\r\n",
        terminal: "\"\"\n",
        raw: b"\n",
        json: "\"\"\n",
        csv: b"\"\"\n",
    },
    Case {
        wire: b"_\r\n",
        terminal: "(nil)\n",
        raw: b"\n",
        json: "null\n",
        csv: b"\n",
    },
    Case {
        wire: b"#t\r\n",
        terminal: "(true)\n",
        raw: b"true\n",
        json: "true\n",
        csv: b"true\n",
    },
    Case {
        wire: b",1\r\n",
        terminal: "(double) 1\n",
        raw: b"1\n",
        json: "1\n",
        csv: b"1\n",
    },
    Case {
        wire: b",1.5e+100\r\n",
        terminal: "(double) 1.5e100\n",
        raw: b"1.5e100\n",
        json: "1.5e100\n",
        csv: b"1.5e100\n",
    },
    Case {
        wire: b",-inf\r\n",
        terminal: "(double) -inf\n",
        raw: b"-inf\n",
        json: "\"-inf\"\n",
        csv: b"-inf\n",
    },
    Case {
        wire: b",nan\r\n",
        terminal: "(double) nan\n",
        raw: b"nan\n",
        json: "\"nan\"\n",
        csv: b"nan\n",
    },
    Case {
        wire: b"(12345678901234567890\r\n",
        terminal: "(big number) 12345678901234567890\n",
        raw: b"12345678901234567890\n",
        json: "\"12345678901234567890\"\n",
        csv: b"\"12345678901234567890\"\n",
    },
    Case {
        wire: b"=17\r\ntxt:role:master\r\n\r\n",
        terminal: "role:master\r\n",
        raw: b"role:master\r\n\n",
        json: "\"role:master\\r\\n\"\n",
        csv: b"\"role:master\r\n\"\n",
    },
    Case {
        wire: b"*0\r\n",
        terminal: "(empty array)\n",
        raw: b"",
        json: "[]\n",
        csv: b"",
    },
    Case {
        wire: b"%0\r\n",
        terminal: "(empty hash)\n",
        raw: b"",
        json: "{}\n",
        csv: b"",
    },
    Case {
        wire: b"~0\r\n",
        terminal: "(empty set)\n",
        raw: b"",
        json: "[]\n",
        csv: b"",
    },
    Case {
        wire: b"*3\r\n$1\r\na\r\n_\r\n:3\r\n",
        terminal: "1) \"a\"\n2) (nil)\n3) (integer) 3\n",
        raw: b"a\n\n3\n",
        json: "[\"a\",null,3]\n",
        csv: b"\"a\",,3\n",
    },
    Case {
        wire: b"*2\r\n+OK\r\n-ERR no\r\n",
        terminal: "1) OK\n2) (error) ERR no\n",
        raw: b"OK\nERR no\n",
        json: "[\"OK\",{\"error\":\"ERR no\"}]\n",
        csv: b"\"OK\",\"ERR no\"\n",
    },
    Case {
        wire: b"*2\r\n*2\r\n$1\r\na\r\n*1\r\n:1\r\n*1\r\n:2\r\n",
        terminal: "1) 1) \"a\"\n   2) 1) (integer) 1\n2) 1) (integer) 2\n",
        raw: b"a\n1\n2\n",
        json: "[[\"a\",[1]],[2]]\n",
        csv: b"\"a\",1\n2\n",
    },
    Case {
        wire: b"*10\r\n:0\r\n:1\r\n:2\r\n:3\r\n:4\r\n:5\r\n:6\r\n:7\r\n:8\r\n*2\r\n:1\r\n:2\r\n",
        terminal: " 1) (integer) 0\n 2) (integer) 1\n 3) (integer) 2\n 4) (integer) 3\n 5) (integer) 4\n 6) (integer) 5\n \
                   7) (integer) 6\n 8) (integer) 7\n 9) (integer) 8\n10) 1) (integer) 1\n    2) (integer) 2\n",
        raw: b"0\n1\n2\n3\n4\n5\n6\n7\n8\n1\n2\n",
        json: "[0,1,2,3,4,5,6,7,8,[1,2]]\n",
        csv: b"0\n1\n2\n3\n4\n5\n6\n7\n8\n1,2\n",
    },
    Case {
        wire: b"%2\r\n$1\r\na\r\n:1\r\n:2\r\n*2\r\n$1\r\nb\r\n$1\r\nc\r\n",
        terminal: "1# \"a\" => (integer) 1\n2# (integer) 2 =>\n   1) \"b\"\n   2) \"c\"\n",
        raw: b"a\n1\n2\nb\nc\n",
        json: "{\"a\":1,\"2\":[\"b\",\"c\"]}\n",
        csv: b"\"a\",1\n2,\"b\",\"c\"\n",
    },
    Case {
        wire: b"~2\r\n$1\r\na\r\n$1\r\nb\r\n",
        terminal: "1~ \"a\"\n2~ \"b\"\n",
        raw: b"a\nb\n",
        json: "[\"a\",\"b\"]\n",
        csv: b"\"a\",\"b\"\n",
    },
    Case {
        wire: b">3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$2\r\nhi\r\n",
        terminal: "1) \"message\"\n2) \"c\"\n3) \"hi\"\n",
        raw: b"message\nc\nhi\n",
        json: "[\"message\",\"c\",\"hi\"]\n",
        csv: b"\"message\",\"c\",\"hi\"\n",
    },
];

#[test]
fn every_reply_has_every_form() {
    for case in CASES {
        let wire = String::from_utf8_lossy(case.wire);
        let Ok(Some((value, len))) = Value::decode(case.wire) else {
            panic!("{wire:?} is not a value");
        };
        assert_eq!(len, case.wire.len());
        for (form, expected) in [
            (Form::Terminal, case.terminal.as_bytes()),
            (Form::Raw, case.raw),
            (Form::Json, case.json.as_bytes()),
            (Form::Csv, case.csv),
        ] {
            let mut out = Vec::new();
            form.write(&value, &mut out);
            let (got, expected) = (String::from_utf8_lossy(&out), String::from_utf8_lossy(expected));
            assert_eq!(got, expected, "{wire:?} as {form:?}");
        }
    }
}
