//! JSON documents: what the log holds of a change, and what is answered.

#[test]
fn the_log_holds_what_changes_in_a_document() {
    script!(
        r#"
    > agree
    > a: JSON.SET k $ '{"n":1,"t":"ab","l":[1,2,3],"o":{"x":{"y":true}},"f":1.5}'
      a waits for batch 1
    > a: JSON.NUMINCRBY k $.n 41
    > a: JSON.STRAPPEND k .t '"c"'
    > a: JSON.ARRAPPEND k .l 4 5
    > a: JSON.ARRPOP k .l 0
    > a: JSON.ARRTRIM k .l 1 -1
    > a: JSON.TOGGLE k $..y
    > a: JSON.SET k $.o.x.z null
    > a: JSON.CLEAR k $.f
    > a: JSON.MERGE k $ '{"o":{"x":{"y":null,"w":[]}},"t":null,"new":{"gone":null}}'
    > a: JSON.DEL k $.o.x.z
    > a: JSON.GET k
    > close
      propose batch 1: change k JsonSet { place: Words([]), value: [8, 5, 1, 110, 3, 2, 1, 116, 6, 2, 97, 98, 1, 108, 7, 3, 3, 2, 3, 4, 3, 6, 1, 111, 8, 1, 1, 120, 8, 1, 1, 121, 2, 1, 102, 5, 0, 0, 0, 0, 0, 0, 248, 63] }, change k JsonSet { place: Words([2, 0, 110]), value: [3, 84] }, change k JsonAppend { place: Words([2, 0, 116]), text: [99] }, change k JsonInsert { place: Words([2, 0, 108]), index: 3, values: [3, 8, 3, 10] }, change k JsonDrop { place: Words([2, 0, 108]), steps: Words([2, 1, 0]) }, change k JsonKeep { place: Words([2, 0, 108]), start: 1, count: 3 }, change k JsonSet { place: Words([2, 0, 111, 2, 0, 120, 2, 0, 121]), value: [1] }, change k JsonSet { place: Words([2, 0, 111, 2, 0, 120, 2, 0, 122]), value: [0] }, change k JsonSet { place: Words([2, 0, 102]), value: [3, 0] }, change k JsonDrop { place: Words([]), steps: Words([2, 0, 116]) }, change k JsonPut { place: Words([]), members: Words([3, 110, 101, 119, 2, 8, 0]) }, change k JsonDrop { place: Words([2, 0, 111, 2, 0, 120]), steps: Words([2, 0, 121]) }, change k JsonPut { place: Words([2, 0, 111, 2, 0, 120]), members: Words([1, 119, 2, 7, 0]) }, change k JsonDrop { place: Words([2, 0, 111, 2, 0, 120]), steps: Words([2, 0, 122]) }
    > commit
      accepted 1
      a gets +OK
      a gets $"[42]"
      a gets :3
      a gets :5
      a gets $"1"
      a gets :3
      a gets Array([Int(0)])
      a gets +OK
      a gets :1
      a gets +OK
      a gets :1
      a gets $"{\"n\":42,\"l\":[3,4,5],\"o\":{\"x\":{\"w\":[]}},\"f\":0,\"new\":{}}"
    "#
    );
}

#[test]
fn what_takes_nothing_away_and_changes_nothing_is_in_no_log() {
    script!(
        r#"
    > agree
    > a: JSON.SET k $ '{"n":0,"s":"x","l":[]}'
      a waits for batch 1
    > close
      propose batch 1: change k JsonSet { place: Words([]), value: [8, 3, 1, 110, 3, 0, 1, 115, 6, 1, 120, 1, 108, 7, 0] }
    > commit
      accepted 1
      a gets +OK
    > a: JSON.SET k $.n 1 NX
      a gets $-1
    > a: JSON.SET k $.m 1 XX
      a gets $-1
    > a: JSON.SET k $ 1 NX
      a gets $-1
    > a: JSON.SET other $ 1 XX
      a gets $-1
    > a: JSON.SET k $.s.t 1
      a gets $-1
    > a: JSON.DEL k $.m
      a gets :0
    > a: JSON.DEL other
      a gets :0
    > a: JSON.CLEAR k $.*
      a gets :0
    > a: JSON.ARRPOP k $.l
      a gets Array([Null])
    > a: JSON.TOGGLE k $.n
      a gets Array([Null])
    > a: JSON.NUMINCRBY k $.s 1
      a gets $"[null]"
    > a: JSON.ARRTRIM k $.l 0 5
      a gets Array([Int(0)])
    > close
    "#
    );
}

#[test]
fn values_within_others_and_behind_others_are_changed_before_them() {
    script!(
        r#"
    > agree
    > a: JSON.SET k $ '{"a":[[1],{"a":[2]},3]}'
      a waits for batch 1
    > a: JSON.ARRINSERT k $..a 0 9
    > a: JSON.GET k
    > a: JSON.ARRPOP k $..a 2
    > a: JSON.GET k
    > a: JSON.SET k $ '{"a":{"a":1},"b":[{"a":2},{"c":[0,1,{"a":3}]},{"a":{"a":4}}]}'
    > a: JSON.DEL k $..a
    > a: JSON.DEL k $.b[0,2,1].c
    > a: JSON.DEL k $.b[-1,0,0]
    > a: JSON.GET k
    > a: JSON.SET k $ '[{"a":{"a":1}},{"a":2}]'
    > a: JSON.SET k $..a '{"a":5}'
    > a: JSON.GET k
    > close
      propose batch 1: change k JsonSet { place: Words([]), value: [8, 1, 1, 97, 7, 3, 7, 1, 3, 2, 8, 1, 1, 97, 7, 1, 3, 4, 3, 6] }, change k JsonInsert { place: Words([2, 0, 97, 2, 1, 1, 2, 0, 97]), index: 0, values: [3, 18] }, change k JsonInsert { place: Words([2, 0, 97]), index: 0, values: [3, 18] }, change k JsonDrop { place: Words([2, 0, 97, 2, 1, 2, 2, 0, 97]), steps: Words([2, 1, 1]) }, change k JsonDrop { place: Words([2, 0, 97]), steps: Words([2, 1, 2]) }, change k JsonSet { place: Words([]), value: [8, 2, 1, 97, 8, 1, 1, 97, 3, 2, 1, 98, 7, 3, 8, 1, 1, 97, 3, 4, 8, 1, 1, 99, 7, 3, 3, 0, 3, 2, 8, 1, 1, 97, 3, 6, 8, 1, 1, 97, 8, 1, 1, 97, 3, 8] }, change k JsonDrop { place: Words([2, 0, 98, 2, 1, 2]), steps: Words([2, 0, 97]) }, change k JsonDrop { place: Words([2, 0, 98, 2, 1, 1, 2, 0, 99, 2, 1, 2]), steps: Words([2, 0, 97]) }, change k JsonDrop { place: Words([2, 0, 98, 2, 1, 0]), steps: Words([2, 0, 97]) }, change k JsonDrop { place: Words([]), steps: Words([2, 0, 97]) }, change k JsonDrop { place: Words([2, 0, 98, 2, 1, 1]), steps: Words([2, 0, 99]) }, change k JsonDrop { place: Words([2, 0, 98]), steps: Words([2, 1, 0, 2, 1, 2]) }, change k JsonSet { place: Words([]), value: [7, 2, 8, 1, 1, 97, 8, 1, 1, 97, 3, 2, 8, 1, 1, 97, 3, 4] }, change k JsonSet { place: Words([2, 1, 0, 2, 0, 97]), value: [8, 1, 1, 97, 3, 10] }, change k JsonSet { place: Words([2, 1, 1, 2, 0, 97]), value: [8, 1, 1, 97, 3, 10] }
    > commit
      accepted 1
      a gets +OK
      a gets Array([Int(4), Int(2)])
      a gets $"{\"a\":[9,[1],{\"a\":[9,2]},3]}"
      a gets Array([Bulk([123, 34, 97, 34, 58, 91, 57, 93, 125]), Bulk([50])])
      a gets $"{\"a\":[9,[1],3]}"
      a gets +OK
      a gets :4
      a gets :1
      a gets :2
      a gets $"{\"b\":[{}]}"
      a gets +OK
      a gets +OK
      a gets $"[{\"a\":{\"a\":5}},{\"a\":{\"a\":5}}]"
    "#
    );
}

#[test]
fn a_single_value_is_answered_by_the_first_that_is_read_and_the_last_that_is_changed() {
    script!(
        r#"
    > agree
    > a: JSON.SET k $ '{"x":{"a":1,"s":"ab","o":{"p":1,"q":2}},"y":{"a":2,"s":3,"l":[7]}}'
      a waits for batch 1
    > close
      propose batch 1: change k JsonSet { place: Words([]), value: [8, 2, 1, 120, 8, 3, 1, 97, 3, 2, 1, 115, 6, 2, 97, 98, 1, 111, 8, 2, 1, 112, 3, 2, 1, 113, 3, 4, 1, 121, 8, 3, 1, 97, 3, 4, 1, 115, 3, 6, 1, 108, 7, 1, 3, 14] }
    > commit
      accepted 1
      a gets +OK
    > a: JSON.GET k ..a
      a gets $"1"
    > a: JSON.GET k $..a
      a gets $"[1,2]"
    > a: JSON.GET k ..a .x.s
      a gets $"{\"..a\":1,\".x.s\":\"ab\"}"
    > a: JSON.GET k ..a $.nope
      a gets $"{\"..a\":[1,2],\"$.nope\":[]}"
    > a: JSON.GET k INDENT - NEWLINE / SPACE _ $.x.o
      a gets $"[/-{/--\"p\":_1,/--\"q\":_2/-}/]"
    > a: JSON.TYPE k ..a
      a gets $"integer"
    > a: JSON.TYPE k $..*
      a gets Array([Bulk([111, 98, 106, 101, 99, 116]), Bulk([111, 98, 106, 101, 99, 116]), Bulk([105, 110, 116, 101, 103, 101, 114]), Bulk([115, 116, 114, 105, 110, 103]), Bulk([111, 98, 106, 101, 99, 116]), Bulk([105, 110, 116, 101, 103, 101, 114]), Bulk([105, 110, 116, 101, 103, 101, 114]), Bulk([105, 110, 116, 101, 103, 101, 114]), Bulk([105, 110, 116, 101, 103, 101, 114]), Bulk([97, 114, 114, 97, 121]), Bulk([105, 110, 116, 101, 103, 101, 114])])
    > a: JSON.TYPE k .nope
      a gets $-1
    > a: JSON.STRLEN k $..s
      a gets Array([Int(2), Null])
    > a: JSON.OBJLEN k $.*
      a gets Array([Int(3), Int(3)])
    > a: JSON.OBJKEYS k x.o
      a gets Array([Bulk([112]), Bulk([113])])
    > a: JSON.ARRLEN k $..l
      a gets Array([Int(1)])
    > a: JSON.ARRINDEX k .y.l 7
      a gets :0
    > a: JSON.RESP k $.x
      a gets Array([Array([Simple("{"), Bulk([97]), Int(1), Bulk([115]), Bulk([97, 98]), Bulk([111]), Array([Simple("{"), Bulk([112]), Int(1), Bulk([113]), Int(2)])])])
    > a: JSON.MGET k other $..o
      a gets Array([Bulk([91, 123, 34, 112, 34, 58, 49, 44, 34, 113, 34, 58, 50, 125, 93]), Null])
    > a: JSON.DEBUG MEMORY k .x.a
      a gets :24
    > a: TYPE k
      a gets +ReJSON-RL
    > a: OBJECT ENCODING k
      a gets $"raw"
    > a: DUMP k
      a gets -ERR documents cannot be dumped: read them by JSON.GET
    "#
    );
}

#[test]
fn what_cannot_be_done_is_refused_as_by_redisjson() {
    script!(
        r#"
    > agree
    > a: JSON.SET k $.a 1
      a gets -ERR new objects must be created at the root
    > a: JSON.SET k $ nope
      a gets -ERR expected ident at line 1 column 2
    > a: JSON.SET k $ '{"n":1,"s":"x","l":[1],"big":1e308,"max":9223372036854775807}'
      a waits for batch 1
    > a: SET text x
    > close
      propose batch 1: change k JsonSet { place: Words([]), value: [8, 5, 1, 110, 3, 2, 1, 115, 6, 1, 120, 1, 108, 7, 1, 3, 2, 3, 98, 105, 103, 5, 160, 200, 235, 133, 243, 204, 225, 127, 3, 109, 97, 120, 3, 254, 255, 255, 255, 255, 255, 255, 255, 255, 1] }, put text "x"
    > commit
      accepted 1
      a gets +OK
      a gets +OK
    > a: JSON.GET text
      a gets -WRONGTYPE Operation against a key holding the wrong kind of value
    > a: JSON.SET text $ 1
      a gets -WRONGTYPE Operation against a key holding the wrong kind of value
    > a: GET k
      a gets -WRONGTYPE Operation against a key holding the wrong kind of value
    > a: JSON.SET k $..q 1
      a gets -ERR wrong static path
    > a: JSON.SET k $.l[5] 1
      a gets -ERR array index out of range
    > a: JSON.SET k $.n 1 NX XX
      a gets -ERR syntax error
    > a: JSON.GET k .q
      a gets -ERR Path '$.q' does not exist
    > a: JSON.GET k $.[
      a gets -ERR path error at position 3
    > a: JSON.TOGGLE k .n
      a gets -ERR Path '$.n' does not exist or not a bool
    > a: JSON.NUMINCRBY k .s 1
      a gets -ERR Path '$.s' does not exist or does not contains a number
    > a: JSON.NUMINCRBY k $.* '"x"'
      a gets -ERR value is not a number
    > a: JSON.NUMMULTBY k $.* 10
      a gets -ERR result is not a number
    > a: JSON.NUMINCRBY k $.max 1
      a gets -ERR numeric overflow
    > a: JSON.STRAPPEND k .n '"x"'
      a gets -ERR Path '$.n' does not exist or not a string
    > a: JSON.STRAPPEND k .s 1
      a gets -WRONGTYPE wrong type of path value - expected string but found integer
    > a: JSON.STRLEN k .n
      a gets -WRONGTYPE wrong type of path value - expected string but found integer
    > a: JSON.STRLEN k .q
      a gets -ERR Path '$.q' does not exist
    > a: JSON.OBJLEN k .n
      a gets -WRONGTYPE wrong type of path value - expected object but found integer
    > a: JSON.ARRLEN k .n
      a gets -ERR Path '$.n' does not exist or not an array
    > a: JSON.ARRINDEX k .n 1
      a gets -WRONGTYPE wrong type of path value - expected array but found integer
    > a: JSON.ARRINSERT k $.* 2 0
      a gets -ERR index out of bounds
    > a: JSON.ARRPOP k .n
      a gets -ERR Path '$.n' does not exist or not an array
    > a: JSON.TOGGLE other $
      a gets -ERR could not perform this operation on a key that doesn't exist
    > a: JSON.STRLEN other $
      a gets -ERR could not perform this operation on a key that doesn't exist
    > a: JSON.STRLEN other
      a gets $-1
    > a: JSON.CLEAR other
      a gets -ERR could not perform this operation on a key that doesn't exist
    > a: JSON.MSET k $.n 2 other $.n 1
      a gets -ERR new objects must be created at the root
    > a: JSON.DEBUG NOPE
      a gets -ERR unknown subcommand 'NOPE' - try `JSON.DEBUG HELP`
    > close
    "#
    );
}

#[test]
fn documents_are_set_together_or_not_at_all() {
    script!(
        r#"
    > agree
    > a: JSON.MSET a $ '{"n":1}' b $ [1]
      a waits for batch 1
    > a: JSON.MSET a $.n 2 b $[0] {}
    > a: JSON.MSET a $.n 3 b $..none 1
    > a: JSON.MSET a $.n 3 b
    > a: JSON.MGET a b .
    > close
      propose batch 1: change a JsonSet { place: Words([]), value: [8, 1, 1, 110, 3, 2] }, change b JsonSet { place: Words([]), value: [7, 1, 3, 2] }, change a JsonSet { place: Words([2, 0, 110]), value: [3, 4] }, change b JsonSet { place: Words([2, 1, 0]), value: [8, 0] }
    > commit
      accepted 1
      a gets +OK
      a gets +OK
      a gets -ERR wrong static path
      a gets -ERR wrong number of arguments for 'json.mset' command
      a gets Array([Bulk([123, 34, 110, 34, 58, 50, 125]), Bulk([91, 123, 125, 93])])
    "#
    );
}

#[test]
fn what_a_path_finds_in_filters() {
    script!(
        r#"
    > agree
    > a: JSON.SET k $ '{"b":[{"t":"Alpha","p":5,"x":null},{"t":"beta","p":12.5,"q":"(?i)^B"},{"t":"gamma","p":"5"}],"m":12.5}'
      a waits for batch 1
    > close
      propose batch 1: change k JsonSet { place: Words([]), value: [8, 2, 1, 98, 7, 3, 8, 3, 1, 116, 6, 5, 65, 108, 112, 104, 97, 1, 112, 3, 10, 1, 120, 0, 8, 3, 1, 116, 6, 4, 98, 101, 116, 97, 1, 112, 5, 0, 0, 0, 0, 0, 0, 41, 64, 1, 113, 6, 6, 40, 63, 105, 41, 94, 66, 8, 2, 1, 116, 6, 5, 103, 97, 109, 109, 97, 1, 112, 6, 1, 53, 1, 109, 5, 0, 0, 0, 0, 0, 0, 41, 64] }
    > commit
      accepted 1
      a gets +OK
    > a: JSON.GET k $.b[?(@.p>=5)].t
      a gets $"[\"Alpha\",\"beta\"]"
    > a: JSON.GET k $.b[?(@.p==$.m)].t
      a gets $"[\"beta\"]"
    > a: JSON.GET k $.b[?@.x].t
      a gets $"[\"Alpha\"]"
    > a: JSON.GET k "$.b[?(@.t=~'a$'&&@.p!=12.5||@.q)].t"
      a gets $"[\"Alpha\",\"beta\",\"gamma\"]"
    > a: JSON.GET k $.b[?(@.t=~@.q)].t
      a gets $"[\"beta\"]"
    > a: JSON.GET k "$.b[?(@.t == 'Alpha' || (@.p == '5'))].p"
      a gets $"[5,\"5\"]"
    "#
    );
}

#[test]
fn documents_wait_until_all_nodes_know_them() {
    script!(
        r#"
    > agree on 3
    > a: RPUSH l 1
      a waits for batch 1
    > close
      propose batch 1: change l Push { side: Right, elements: Words([1, 49]) }
    > commit
      accepted 1
      a gets :1
    > a: JSON.SET k $ 1
    > b: JSON.GET k
      b gets $-1
    > after 9999 ms
    > agree
      a waits for batch 2
    > close
      propose batch 2: change k JsonSet { place: Words([]), value: [3, 2] }
    > commit
      accepted 2
      a gets +OK
    "#
    );
}

#[test]
fn documents_that_not_all_nodes_know_are_refused_in_the_end() {
    script!(
        r#"
    > agree on 3
    > a: JSON.SET k $ 1
    > after 10000 ms
      a gets -ERR not every node has said that it knows this type: bring all nodes to a newer version first
    "#
    );
}
