//! What scripts do, as clients and standbys see it.

mod world;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use mneme_kernel::connection::Connection;
use mneme_kernel::core::{Core, Input, Now};
use mneme_kernel::gate::Marks;
use mneme_kernel::ids::Seq;
use mneme_kernel::resp::encode_command;
use mneme_kernel::script::{Guests, Sha};
use proptest::prelude::*;

use world::World;

#[test]
fn values_become_replies_as_in_redis() {
    let mut world = World::new();
    for (script, resp2, resp3) in [
        ("return 1", ":1", ":1"),
        ("return 3.99", ":3", ":3"),
        ("return -3.99", ":-3", ":-3"),
        ("return 'a'", "$1 a", "$1 a"),
        ("return true", ":1", ":1"),
        ("return false", "$-1", "_"),
        ("return nil", "$-1", "_"),
        ("return", "$-1", "_"),
        ("return {1,2,nil,4}", "*2 :1 :2", "*2 :1 :2"),
        ("return {ok='fine'}", "+fine", "+fine"),
        ("return {err='MY bad\\r\\nthing'}", "-MY bad  thing", "-MY bad  thing"),
        ("return {1,{err='MY bad'}}", "*2 :1 -MY bad", "*2 :1 -MY bad"),
        ("return {double=3.5}", "$3 3.5", ",3.5"),
        ("return {map={a=1}}", "*2 $1 a :1", "%1 $1 a :1"),
        ("return {set={a=true}}", "*1 $1 a", "~1 $1 a"),
        ("return {big_number='12'}", "$2 12", "(12"),
        ("return {verbatim_string={format='txt',string='hi'}}", "$2 hi", "=6 txt:hi"),
        ("redis.setresp(3); return true", ":1", "#t"),
        ("redis.setresp(3); return false", ":0", "#f"),
        ("return redis.status_reply('FINE')", "+FINE", "+FINE"),
        ("return redis.error_reply('My Err')", "-My Err", "-My Err"),
        ("return redis.error_reply('Err')", "-ERR Err", "-ERR Err"),
        ("return function() end", "$-1", "_"),
    ] {
        let mut client = world.client();
        assert_eq!(world.ask(&mut client, &["EVAL", script, "0"]), resp2, "{script}");
        world.ask(&mut client, &["HELLO", "3"]);
        assert_eq!(world.ask(&mut client, &["EVAL", script, "0"]), resp3, "{script} in RESP3");
    }
}

#[test]
fn replies_become_values_as_in_redis() {
    let mut world = World::new();
    for (script, reply) in [
        ("return type(redis.call('get','no'))", "$7 boolean"),
        ("redis.call('set','s','v'); return redis.call('get','s') .. type(redis.call('incr','n'))", "$7 vnumber"),
        ("local r = redis.call('set','s','v'); return type(r) .. r.ok", "$7 tableOK"),
        ("local r = redis.pcall('incr','s'); return r.err", "$47 ERR value is not an integer or out of range"),
        ("local ok, e = pcall(redis.call,'incr','s'); return e", "$47 ERR value is not an integer or out of range"),
        ("local ok, e = pcall(error,{err=12}); return {type(e), e}", "*2 $6 number :12"),
        ("local ok, e = pcall(error,{err={}}); return type(e)", "$5 table"),
        ("local ok, e = xpcall(redis.call,function(e) return e.err end); return type(e)", "$6 string"),
        ("return {pcall(function(...) return ... end,1,nil,3)}", "*2 :1 :1"),
        ("redis.call('rpush','l','a','b'); return redis.call('lrange','l',0,-1)", "*2 $1 a $1 b"),
        ("redis.setresp(3); return type(redis.call('get','no'))", "$3 nil"),
        ("redis.setresp(3); redis.call('hset','h','f','v'); return redis.call('hgetall','h').map.f", "$1 v"),
        ("redis.setresp(3); redis.call('sadd','set','m'); return redis.call('smembers','set').set.m", ":1"),
        (
            "redis.setresp(3); redis.call('zadd','z',1.5,'m'); return tostring(redis.call('zscore','z','m').double)",
            "$3 1.5",
        ),
    ] {
        let reply = reply.replace("$47 ", "$43 ");
        assert_eq!(world.eval(script), reply, "{script}");
    }
}

#[test]
fn numbers_become_arguments_without_loss() {
    let mut world = World::new();
    for (number, text) in [
        ("9007199254740991", "9007199254740991"),
        ("0.1", "0.10000000000000001"),
        ("-7", "-7"),
        ("1e20", "1e+20"),
        ("-0.0", "-0"),
    ] {
        let script = format!("return redis.call('echo', {number})");
        assert_eq!(world.eval(&script), format!("${} {text}", text.len()), "{number}");
    }
}

#[test]
fn errors_tell_what_and_where() {
    let mut world = World::new();
    let failed =
        |script: &str, text: &str| format!("-{text} script: {}, on @user_script:1.", Sha::of(script.as_bytes()));
    for (script, text) in [
        ("return redis.call('nosuch')", "ERR Unknown Redis command called from script"),
        ("return redis.call()", "ERR Please specify at least one argument for this redis lib call"),
        ("return redis.call('get')", "ERR Wrong number of args calling Redis command from script"),
        ("return redis.call('get', {})", "ERR Lua redis lib command arguments must be strings or integers"),
        ("return redis.call('eval', 'return 1', 0)", "ERR This Redis command is not allowed from script"),
        ("return redis.call('user', 'list')", "ERR This Redis command is not allowed from script"),
        (
            "return redis.call('consistency', 'eventual', 'set', 'a', '1')",
            "ERR This Redis command is not allowed from script",
        ),
        (
            "redis.call('rpush', 'l', 'a'); return redis.call('get', 'l')",
            "WRONGTYPE Operation against a key holding the wrong kind of value",
        ),
        ("return nosuch", "ERR user_script:1: Script attempted to access nonexistent global variable 'nosuch'"),
        ("return 1 + {}", "ERR user_script:1: attempt to perform arithmetic on a table value"),
        ("error('mine')", "ERR user_script:1: mine"),
        ("error({err='MINE is this'})", "MINE is this"),
    ] {
        assert_eq!(world.eval(script), failed(script, text), "{script}");
    }
    assert_eq!(
        world.eval("return x y"),
        "-ERR Error compiling script (new function): user_script:1: '<eof>' expected near 'y'"
    );
    let mut client = world.client();
    for (request, reply) in [
        (&["EVAL", "return 1", "1"][..], "-ERR Number of keys can't be greater than number of args"),
        (&["EVAL", "return 1", "-1"], "-ERR Number of keys can't be negative"),
        (&["EVAL", "return 1", "x"], "-ERR value is not an integer or out of range"),
        (&["EVALSHA", "x", "0"], "-NOSCRIPT No matching script. Please use EVAL."),
        (
            &["EVALSHA", "e0e1f9fabfc9d4800c877a703b823ac0578ff8dc", "0"],
            "-NOSCRIPT No matching script. Please use EVAL.",
        ),
        (&["SCRIPT", "KILL"], "-NOTBUSY No scripts in execution right now."),
        (&["FUNCTION", "KILL"], "-NOTBUSY No scripts in execution right now."),
        (&["SCRIPT", "FLUSH", "NOW"], "-ERR SCRIPT FLUSH only support SYNC|ASYNC option"),
        (&["EVAL", "#!lua flags=odd\nreturn 1", "0"], "-ERR Unexpected flag in script shebang: odd"),
        (&["EVAL", "#!js\nreturn 1", "0"], "-ERR Unexpected engine in script shebang: js"),
        (&["EVAL", "#!lua colour=red\nreturn 1", "0"], "-ERR Unknown lua shebang option: colour=red"),
        (&["EVAL_RO", "#!lua\nreturn 1", "0"], "-ERR Can not execute a script with write flag using *_ro command."),
    ] {
        assert_eq!(world.ask(&mut client, request), reply, "{request:?}");
    }
}

#[test]
fn nobody_changes_what_others_see() {
    let mut world = World::new();
    for script in [
        "x = 1",
        "_G.x = 1",
        "_G = {}",
        "redis = nil",
        "redis.call = nil",
        "string.len = nil",
        "cjson.encode = nil",
        "KEYS = {}",
        "setmetatable(_G, {})",
        "setmetatable(redis, {})",
        "rawset(_G, 'x', 1)",
        "rawset(redis, 'call', 1)",
        "table.insert(redis, 1)",
        "getmetatable(_G).__index = {}",
        "getmetatable('').__index = {}",
        "getmetatable(redis).x = 1",
        "getmetatable(getmetatable(_G)).x = 1",
    ] {
        let reply = world.eval(script);
        assert!(reply.contains("Attempt to modify a readonly table"), "{script}: {reply}");
    }
    for name in
        ["print", "dofile", "loadfile", "require", "module", "io", "debug", "package", "getfenv", "setfenv", "newproxy"]
    {
        let reply = world.eval(&format!("return {name}"));
        assert!(reply.contains(&format!("nonexistent global variable '{name}'")), "{name}: {reply}");
    }
    for script in [
        "return os.execute == nil and os.exit == nil and os.getenv == nil",
        // Compiled code is not checked by Lua when it is loaded.
        "return loadstring('\\27Lua') == nil",
        "return loadstring(string.dump(function() end)) == nil",
        // What waits for a key does not, as in Redis 7.2.
        "return redis.call('blpop', 'none', 0) == false",
        "return redis.call('xread', 'block', 0, 'streams', 'none', '$') == false",
        "return load(function() return nil end) ~= nil",
        "return pcall(loadstring('x = 1')) == false",
        "return redis.pcall == redis.pcall and getmetatable(redis) ~= nil",
        "return collectgarbage('stop') == 0",
    ] {
        assert_eq!(world.eval(script), ":1", "{script}");
    }
    assert_eq!(
        world.eval("return {type(redis), type(redis.call), type(string.len), type(('x').len)}"),
        "*4 $5 table $8 function $8 function $8 function"
    );
}

#[test]
fn one_script_is_one_batch_and_leaves_the_same_on_every_node() {
    let mut world = World::new();
    let mut client = world.client();
    let before = world.batches.len();
    let script = "redis.call('set', KEYS[1], ARGV[1]); redis.call('incr', KEYS[1]); redis.call('rpush', 'l', redis.call('get', KEYS[1])); return redis.call('lrange', 'l', 0, -1)";
    assert_eq!(world.ask(&mut client, &["EVAL", script, "1", "n", "4"]), "*1 $1 5");
    assert_eq!(world.batches.len(), before + 1);
    assert_eq!(world.batches[before].len(), 3);
    // What failed in the middle keeps what it did before, as in Redis.
    let reply = world.ask(&mut client, &["EVAL", "redis.call('set', 'm', '1'); error('no')", "0"]);
    assert!(reply.starts_with("-ERR user_script:1: no"), "{reply}");
    assert_eq!(world.ask(&mut client, &["GET", "m"]), "$1 1");
    world.check_standby();
}

#[test]
fn scripts_and_functions_are_known_on_every_node() {
    let mut world = World::new();
    let mut client = world.client();
    let sha = "e0e1f9fabfc9d4800c877a703b823ac0578ff8db";
    assert_eq!(world.ask(&mut client, &["SCRIPT", "LOAD", "return 1"]), format!("$40 {sha}"));
    let code = "#!lua name=lib\nredis.register_function{function_name='f', callback=function(keys, args) return {keys[1], args[1]} end, flags={'no-writes'}, description='it'}";
    assert_eq!(world.ask(&mut client, &["FUNCTION", "LOAD", code]), "$3 lib");
    world.check_standby();
    let standby = &mut world.standby;
    let mut reader =
        standby.connect(mneme_kernel::session::Port::Main, Default::default(), world.now.monotonic).expect("room");
    let mut at_standby = |request: &[&str]| {
        encode_command(request, reader.input());
        while let mneme_kernel::connection::Step::CheckPassword(_) = reader.run(standby, world.now) {
            reader.password_checked(standby, world.now, mneme_kernel::password::PasswordCheck::Right(0));
        }
        reader.advance(Marks::alone(Seq::ZERO), &[], world.now.monotonic);
        let reply = String::from_utf8_lossy(reader.ready()).trim_end().replace("\r\n", " ");
        reader.sent(reader.ready().len());
        reply
    };
    assert_eq!(at_standby(&["AUTH", "p"]), "+OK");
    assert_eq!(at_standby(&["EVALSHA_RO", sha, "0"]), ":1");
    assert_eq!(at_standby(&["FCALL_RO", "F", "1", "k", "a"]), "*2 $1 k $1 a");
    assert_eq!(
        at_standby(&["EVAL_RO", "return redis.pcall('set', 'a', '1').err", "0"]),
        "$58 ERR Write commands are not allowed from read-only scripts."
    );
    assert_eq!(world.ask(&mut client, &["SCRIPT", "EXISTS", sha, "x"]), "*2 :1 :0");
    assert_eq!(world.ask(&mut client, &["SCRIPT", "FLUSH"]), "+OK");
    assert_eq!(world.ask(&mut client, &["SCRIPT", "EXISTS", sha]), "*1 :0");
    assert_eq!(world.ask(&mut client, &["EVALSHA", sha, "0"]), "-NOSCRIPT No matching script. Please use EVAL.");
    let dump = {
        encode_command(&["FUNCTION", "DUMP"], client.input());
        client.run(&mut world.core, world.now);
        client.advance(Marks::alone(Seq(1 << 40)), &[], world.now.monotonic);
        let reply = client.ready().to_vec();
        client.sent(reply.len());
        let start = reply.windows(2).position(|pair| pair == b"\r\n").expect("a bulk") + 2;
        reply[start..reply.len() - 2].to_vec()
    };
    assert_eq!(world.ask(&mut client, &["FUNCTION", "DELETE", "lib"]), "+OK");
    assert_eq!(world.ask(&mut client, &["FCALL", "f", "0"]), "-ERR Function not found");
    encode_command(&[&b"FUNCTION"[..], b"RESTORE", &dump], client.input());
    client.run(&mut world.core, world.now);
    assert_eq!(world.ask(&mut client, &["FCALL", "f", "1", "k"]), "+OK *1 $1 k");
    world.check_standby();
}

#[test]
fn what_a_script_says_of_itself_is_kept_to() {
    let mut world = World::new();
    let mut client = world.client();
    let refused = world.ask(&mut client, &["EVAL", "#!lua flags=no-writes\nreturn redis.call('set', 'a', '1')", "0"]);
    assert!(refused.starts_with("-ERR Write commands are not allowed from read-only scripts. script: "), "{refused}");
    assert!(refused.ends_with("on @user_script:2."), "{refused}");
    world.ask(&mut client, &["SET", "big", "value"]);
    world.ask(&mut client, &["CONFIG", "SET", "maxmemory", "1"]);
    let out = world.ask(&mut client, &["EVAL", "return redis.call('set', 'a', '1')", "0"]);
    assert!(out.starts_with("-OOM command not allowed when used memory > 'maxmemory'. script: "), "{out}");
    assert_eq!(world.ask(&mut client, &["EVAL", "return redis.call('del', 'a')", "0"]), ":0");
    let out = world.ask(&mut client, &["EVAL", "#!lua\nreturn 1", "0"]);
    assert_eq!(out, "-OOM allow-oom flag is not set on the script, can not run it when used memory > 'maxmemory'");
    assert_eq!(
        world.ask(&mut client, &["EVAL", "#!lua flags=allow-oom\nreturn redis.call('set', 'a', '1')", "0"]),
        "+OK"
    );
}

#[test]
fn a_script_may_do_what_its_user_may() {
    let mut world = World::new();
    let mut client = world.client();
    world.ask(&mut client, &["USER", "CREATE", "ro", "PASSWORD", "p", "ROLE", "readonly"]);
    let step = |world: &mut World, client: &mut Connection| {
        if let mneme_kernel::connection::Step::HashPassword(password) = client.run(&mut world.core, world.now) {
            client.password_hashed(&mut world.core, password, "hash".into());
            client.run(&mut world.core, world.now);
        }
        world.tell(Input::CloseBatch);
    };
    step(&mut world, &mut client);
    let mut reader = world.client();
    assert_eq!(world.ask(&mut reader, &["AUTH", "ro", "p"]), "+OK");
    let refused = world.ask(&mut reader, &["EVAL", "return redis.call('set', 'a', '1')", "0"]);
    assert!(
        refused.starts_with("-ERR ACL failure in script: User ro has no permissions to run the 'set' command script: "),
        "{refused}"
    );
    let log = world.ask(&mut client, &["ACL", "LOG"]);
    assert!(log.contains("context $3 lua $6 object $3 set "), "{log}");
    // Also in a transaction; what is refused beside it is not the script's.
    for request in [&["MULTI"][..], &["EVAL", "return redis.pcall('incr', 'a')", "0"], &["EXEC"], &["MULTI"]] {
        world.ask(&mut reader, request);
    }
    world.ask(&mut reader, &["DECR", "a"]);
    world.ask(&mut reader, &["DISCARD"]);
    let log = world.ask(&mut client, &["ACL", "LOG"]);
    assert!(log.contains("context $3 lua $6 object $4 incr "), "{log}");
    assert!(log.contains("context $5 multi $6 object $4 decr "), "{log}");
    assert_eq!(world.ask(&mut reader, &["EVAL", "return redis.call('get', 'a')", "0"]), "$-1");
    assert_eq!(
        world.ask(
            &mut reader,
            &["EVAL", "return {redis.acl_check_cmd('get','a'), redis.acl_check_cmd('set','a','1')}", "0"]
        ),
        "*2 :1 $-1"
    );
}

#[test]
fn a_script_in_a_transaction_is_part_of_it() {
    let mut world = World::new();
    let mut client = world.client();
    for (request, reply) in [
        (&["MULTI"][..], "+OK"),
        (&["SET", "a", "1"], "+QUEUED"),
        (&["EVAL", "redis.call('select', 3); return redis.call('incr', KEYS[1])", "1", "a"], "+QUEUED"),
        (&["GET", "a"], "+QUEUED"),
        (&["EXEC"], "*3 +OK :1 $1 1"),
    ] {
        assert_eq!(world.ask(&mut client, request), reply);
    }
    world.check_standby();
}

#[test]
fn the_usual_libraries_are_there() {
    let mut world = World::new();
    for (script, reply) in [
        (
            "return cjson.encode({1, 'a/\"', true, cjson.null, {x=1.5}, {}})",
            r#"$36 [1,"a\/\"",true,null,{"x":1.5},{}]"#,
        ),
        (
            "local t = cjson.decode('[1, {\"a\": [true, null, \"\\\\u00e9\\\\ud83d\\\\ude00\"]}]'); return {t[1], t[2].a[3], t[2].a[2] == cjson.null}",
            "*3 :1 $6 é😀 :1",
        ),
        ("return pcall(cjson.decode, '[1,')  == false", ":1"),
        (
            "local ok, e = pcall(cjson.decode, '[1,x]'); return e",
            "$59 Expected value but found invalid token at character 4",
        ),
        (
            "local ok, e = pcall(cjson.encode, {[100]=1}); return e",
            "$49 Cannot serialise table: excessively sparse array",
        ),
        ("return cjson.encode(2^53) .. cjson.encode(0.1) .. cjson.encode(-1e-9)", "$0"),
        (
            "return {bit.band(0xff, 0x0f), bit.bnot(0), bit.lshift(1, 31), bit.rshift(-1, 28), bit.arshift(-16, 2), bit.rol(0x12345678, 8)}",
            "*6 :15 :-1 :-2147483648 :15 :-4 :878082066",
        ),
        ("return bit.tohex(-1) .. bit.tohex(255, 4) .. bit.tohex(255, -2)", "$14 ffffffff00ffFF"),
        ("return cmsgpack.unpack(cmsgpack.pack({1, 'a', {b=false}}))[2]", "$1 a"),
        ("local s = cmsgpack.pack(1, -5, 'x'); return {cmsgpack.unpack(s)}", "*3 :1 :-5 $1 x"),
        ("return {struct.unpack('>I2bc0', struct.pack('>I2bc0', 258, 3, 'abc'))}", "*3 :258 $3 abc :7"),
        ("return struct.size('!8bi8')", ":16"),
        ("return redis.sha1hex('')", "$40 da39a3ee5e6b4b0d3255bfef95601890afd80709"),
        ("math.randomseed(7); local a = math.random(100); math.randomseed(7); return a == math.random(100)", ":1"),
        ("return redis.REDIS_VERSION", "$5 7.2.0"),
        ("return redis.REDIS_VERSION_NUM", ":459264"),
        (
            "return {redis.replicate_commands(), redis.set_repl(redis.REPL_ALL), redis.log(redis.LOG_WARNING, 'x')}",
            "*1 :1",
        ),
        ("return table.concat({1, 2}, ',') .. #'abc' .. ('x'):rep(3) .. string.format('%d', 7)", "$8 1,23xxx7"),
        ("local c = coroutine.wrap(function() coroutine.yield(1) coroutine.yield(2) end); return c() + c()", ":3"),
    ] {
        let got = world.eval(script);
        // The length is not the point.
        let text = |reply: &str| {
            reply
                .split_once(' ')
                .filter(|_| reply.starts_with('$'))
                .map_or(reply.to_owned(), |(_, text)| text.to_owned())
        };
        if reply == "$0" {
            assert_eq!(text(&got), "9.007199254741e+150.1-1e-09", "{script}");
        } else {
            assert_eq!(text(&got), text(reply), "{script}");
        }
    }
    assert_eq!(world.core.take_script_lines(), [(3, "x".to_owned())]);
}

#[test]
fn memory_is_bounded_and_given_back() {
    let mut world = World::new();
    let reply = world.eval("local t = {} for i = 1, 1e9 do t[i] = ('x'):rep(100000) .. i end");
    assert!(reply.contains("not enough memory"), "{reply}");
    assert_eq!(world.eval("return 1"), ":1");
}

#[test]
fn memory_of_replies_is_bounded() {
    let mut world = World::new();
    let reply = world.eval("local t = {('x'):rep(1e6)} for i = 1, 40 do t = {t, t, t, t} end return t");
    assert!(reply.contains("reply is too large"), "{}", &reply[..reply.len().min(100)]);
}

#[test]
fn a_table_that_contains_itself_ends_somewhere() {
    let mut world = World::new();
    let reply = world.eval("local t = {} t[1] = t return t");
    assert!(reply.contains("reached lua stack limit"), "{}", reply.len());
}

#[test]
fn a_recursion_without_end_ends() {
    let mut world = World::new();
    let reply = world.eval("local function f() return f() + 1 end return f()");
    assert!(reply.contains("stack overflow"), "{reply}");
}

/// Guests that ask something of the Core while a script has it.
#[derive(Clone, Debug, Default)]
struct Asking(Arc<Mutex<Talk>>);

#[derive(Debug, Default)]
struct Talk {
    connection: Option<Connection>,
    requests: Vec<Vec<String>>,
    replies: Vec<String>,
    has_left: bool,
}

impl Guests for Asking {
    fn serve(&mut self, core: &mut Core) {
        let mut talk = self.0.lock().expect("nobody panics");
        let Some(mut connection) = talk.connection.take() else { return };
        for request in std::mem::take(&mut talk.requests) {
            encode_command(&request, connection.input());
            let now = Now {
                wall: mneme_kernel::time::Wall(1_700_000_000_000),
                monotonic: mneme_kernel::time::Monotonic(Duration::from_secs(1)),
            };
            connection.run(core, now);
            connection.advance(Marks::alone(Seq::ZERO), &[], now.monotonic);
            talk.replies.push(String::from_utf8_lossy(connection.ready()).trim_end().into());
            let sent = connection.ready().len();
            connection.sent(sent);
        }
        talk.connection = Some(connection);
    }

    fn leave(&mut self) {
        self.0.lock().expect("nobody panics").has_left = true;
    }
}

impl Asking {
    fn asks(world: &mut World, requests: &[&[&str]]) -> Self {
        let connection = Some(world.client());
        let requests = requests.iter().map(|words| words.iter().map(|word| (*word).to_owned()).collect()).collect();
        let asking = Self(Arc::new(Mutex::new(Talk { connection, requests, ..Talk::default() })));
        world.core.set_guests(Box::new(asking.clone()));
        asking
    }

    fn replies(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().expect("nobody panics").replies)
    }
}

const BUSY: &str = "-BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.";

#[test]
fn who_comes_while_a_script_takes_long_hears_so_and_may_end_it() {
    let mut world = World::new();
    world.clock.every(Duration::from_millis(100));
    let asking = Asking::asks(
        &mut world,
        &[
            &["PING"],
            &["MULTI"],
            &["SET", "a", "1"],
            &["EXEC"],
            &["GET", "a"],
            &["FUNCTION", "KILL"],
            &["FUNCTION", "STATS"],
            &["SCRIPT", "KILL"],
        ],
    );
    let reply = world.eval("while true do end");
    assert!(reply.starts_with("-ERR Script killed by user with SCRIPT KILL. script: "), "{reply}");
    let aborted = "-EXECABORT Transaction discarded because of previous errors.";
    let stats = "*4\r\n$14\r\nrunning_script\r\n$-1\r\n$7\r\nengines\r\n*2\r\n$3\r\nLUA\r\n*4\r\n$15\r\nlibraries_count\r\n:0\r\n$15\r\nfunctions_count\r\n:0";
    let replies = asking.replies();
    assert_eq!(replies[..3], [BUSY, "+OK", BUSY]);
    assert!(
        replies[3] == aborted || replies[3].starts_with("-EXECABORT Transaction discarded because of: BUSY"),
        "{}",
        replies[3]
    );
    assert_eq!(replies[4..], [BUSY, BUSY, stats, "+OK"]);
    assert!(asking.0.lock().expect("nobody panics").has_left);
    assert_eq!(world.eval("return 1"), ":1");
}

#[test]
fn what_has_changed_something_is_not_ended_by_hand() {
    let mut world = World::new();
    world.clock.every(Duration::from_millis(100));
    let asking = Asking::asks(&mut world, &[&["SCRIPT", "KILL"]]);
    let looks = 10_000 * 60;
    let script = format!("redis.call('set', 'a', '1'); for i = 1, {looks} do end; return 1");
    assert_eq!(world.eval(&script), ":1");
    assert_eq!(
        asking.replies(),
        [
            "-UNKILLABLE Sorry the script already executed write commands against the dataset. You can either wait the script termination or kill the server in a hard way using the SHUTDOWN NOSAVE command."
        ]
    );
}

#[test]
fn a_script_that_does_not_end_is_ended() {
    let mut world = World::new();
    world.clock.every(Duration::from_millis(100));
    for script in [
        "while true do end",
        "while true do pcall(function() while true do end end) end",
        "while true do pcall(coroutine.wrap(function() while true do end end)) end",
        "while true do redis.pcall('ping') end",
        "local function f() return f() end return f()",
        "xpcall(function() while true do end end, function() while true do end end)",
        "while true do xpcall(function() while true do end end, function() while true do end end) end",
        "return ('a'):rep(60):find(('a?'):rep(60) .. ('a'):rep(60))",
        "while true do pcall(string.gsub, ('a'):rep(60), ('a?'):rep(60) .. ('a'):rep(60), 'b') end",
        "while true do ('a'):rep(1e6):find('b', 1, true) end",
    ] {
        let reply = world.eval(script);
        assert!(reply.contains("Script killed: it ran for longer than script-kill-after."), "{script}: {reply}");
        assert_eq!(world.eval("return 1"), ":1");
    }
    let reply = world.ask_function_load("while true do end");
    assert_eq!(reply, "-ERR Error registering functions: ERR FUNCTION LOAD timeout");
}

#[test]
fn who_holds_up_others_begins_anew_elsewhere_unless_it_has_done_something() {
    let mut world = World::new();
    world.clock.every(Duration::from_millis(1));
    let steps = 10_000 * 40;
    for (script, moved) in [
        (format!("for i = 1, {steps} do end; return redis.call('incr', 'n')"), 1),
        (format!("redis.call('incr', 'n'); for i = 1, {steps} do end; return redis.call('get', 'n')"), 0),
        (format!("redis.call('publish', 'c', 'm'); for i = 1, {steps} do end; return 1"), 0),
        ("return redis.call('incr', 'n')".to_owned(), 0),
        // Only a coroutine is stopped, and what goes on does not know.
        (format!("pcall(coroutine.wrap(function() for i = 1, {steps} do end end)) return redis.call('incr', 'n')"), 1),
        (format!("pcall(coroutine.wrap(function() for i = 1, {steps} do end end)) return redis.call('get', 'n')"), 1),
        (format!("pcall(coroutine.wrap(function() for i = 1, {steps} do end end)) return 1"), 1),
    ] {
        world.moved = 0;
        let reply = world.eval(&script);
        assert!(!reply.is_empty() && !reply.starts_with('-'), "{reply}");
        assert_eq!(reply.split(' ').filter(|word| word.starts_with([':', '$'])).count(), 1, "{script}: {reply}");
        assert_eq!(world.moved, moved, "{script}");
    }
    // Once each, and at the level that was asked for.
    let mut client = world.client();
    assert_eq!(world.ask(&mut client, &["GET", "n"]), "$1 4");
    world.ask(&mut client, &["CLIENT", "CONSISTENCY", "NEXT", "EVENTUAL"]);
    world.ask(&mut client, &["EVAL", &format!("for i = 1, {steps} do end; return 1"), "0"]);
    assert_eq!(world.ask(&mut client, &["CLIENT", "CONSISTENCY"]), "$6 QUORUM");
    world.check_standby();
}

#[test]
fn it_is_ended_too_where_time_stands_still() {
    let mut world = World::new();
    let reply = world.eval("while true do end");
    assert!(reply.contains("Script killed: it ran for longer than script-kill-after."), "{reply}");
}

#[test]
fn what_had_changed_something_and_does_not_end_leaves_nothing() {
    let mut world = World::new();
    world.clock.every(Duration::from_millis(100));
    let mut client = world.client();
    assert_eq!(world.ask(&mut client, &["SET", "before", "1"]), "+OK");
    let batches = world.batches.len();
    let reply = world.ask(&mut client, &["EVAL", "redis.call('set', 'a', '1'); while true do end", "0"]);
    assert_eq!(reply, "-ERR the script ran for longer than script-kill-after; nothing of what it did is kept");
    assert!(world.core.is_spoilt() && !world.core.serves() && !world.core.is_hot());
    assert_eq!(world.batches.len(), batches, "nothing of it leaves");
    // This memory is void: nobody is answered from it.
    assert_eq!(world.ask(&mut client, &["CONSISTENCY", "EVENTUAL", "GET", "a"]), "");
    world.tell(Input::Forget);
    assert!(!world.core.is_spoilt() && world.core.is_empty());
}

#[test]
fn nothing_of_a_transaction_runs_behind_a_script_that_was_undone() {
    let mut world = World::new();
    world.clock.every(Duration::from_millis(100));
    let mut client = world.client();
    let batches = world.batches.len();
    for request in [
        &["MULTI"][..],
        &["EVAL", "redis.call('set', 'a', '1'); while true do end", "0"],
        &["GET", "a"],
        &["SET", "b", "1"],
        &["EVAL", "return redis.call('get', 'a')", "0"],
    ] {
        world.ask(&mut client, request);
    }
    let not_executed = "-ERR not executed: a script before it was ended, and nothing of what it did is kept";
    assert_eq!(
        world.ask(&mut client, &["EXEC"]),
        format!(
            "*4 -ERR the script ran for longer than script-kill-after; nothing of what it did is kept {not_executed} {not_executed} {not_executed}"
        )
    );
    assert_eq!(world.batches.len(), batches, "nothing of it leaves");
}

#[test]
fn coroutines_do_not_hide_from_the_clock() {
    let mut world = World::new();
    world.clock.every(Duration::from_millis(100));
    let script = "for i = 1, 1e9 do coroutine.wrap(function() end)() if i % 1000 == 0 then redis.log(3, i) end end";
    let reply = world.eval(script);
    assert!(reply.contains("Script killed: it ran for longer than script-kill-after."), "{reply}");
    assert!(world.core.take_script_lines().len() < 5, "each counts as much as a part of a look at the clock");
    let script = "local c = coroutine.create(function() while true do coroutine.yield() end end) \
                  for i = 1, 1e9 do coroutine.resume(c) if i % 1000 == 0 then redis.log(3, i) end end";
    world.eval(script);
    assert!(world.core.take_script_lines().len() < 5);
    world.eval("for i = 1, 1e9 do collectgarbage() if i % 1000 == 0 then redis.log(3, i) end end");
    assert!(world.core.take_script_lines().len() < 5);
}

#[test]
fn what_is_written_in_rust_has_room() {
    let mut world = World::new();
    let many = "local t = {} for i = 1, 7900 do t[i] = 'get' .. i end ";
    for call in ["bit.band", "cjson.encode", "cmsgpack.pack", "struct.pack", "math.random", "redis.acl_check_cmd"] {
        let reply = world.eval(&format!("{many} return {{pcall({call}, unpack(t))}}"));
        assert!(reply.contains("too many arguments"), "{call}: {reply}");
    }
    let reply =
        world.eval(&format!("{many} return {{pcall(cmsgpack.unpack, cmsgpack.pack(unpack(t, 1, 1000)):rep(7))}}"));
    assert!(reply.contains("too many values to unpack"), "{reply}");
    let reply = world.eval("return {pcall(struct.unpack, ('c1'):rep(7000), ('x'):rep(7000))}");
    assert!(reply.contains("too many results to unpack"), "{reply}");
    let reply = world.eval("return {pcall(cjson.decode_max_depth, 4000)}");
    assert!(reply.contains("expected integer between 1 and 1000"), "{reply}");
    let deep = || World::new().eval("return #cjson.encode(cjson.decode(('['):rep(1000) .. (']'):rep(1000)))");
    // Without optimisation a level takes several times as much of the machine's stack.
    let reply = std::thread::Builder::new().stack_size(16 << 20).spawn(deep).map(|thread| thread.join());
    assert_eq!(reply.expect("a thread").expect("no panic"), ":2000");
    // Functions of libraries take none of it.
    let mut client = world.client();
    for library in 0..90 {
        let code = format!(
            "#!lua name=l{library}\nfor i = 1, 100 do redis.register_function('f{library}_' .. i, function() return i end) end"
        );
        assert_eq!(
            world.ask(&mut client, &["FUNCTION", "LOAD", &code]),
            format!("${} l{library}", format!("l{library}").len())
        );
        assert_eq!(world.ask(&mut client, &["FCALL", &format!("f{library}_7"), "0"]), ":7");
    }
}

#[test]
fn libraries_make_room_for_others() {
    let mut world = World::new();
    let mut client = world.client();
    for round in 0..2 {
        for library in 0..300 {
            let code = format!(
                "#!lua name=l{library}\nredis.register_function('f{library}', function() return {library} end)"
            );
            if round == 0 {
                world.ask(&mut client, &["FUNCTION", "LOAD", &code]);
            }
            assert_eq!(world.ask(&mut client, &["FCALL", &format!("f{library}"), "0"]), format!(":{library}"));
        }
    }
}

/// Of a set no script sees the order in which it is kept, as in Redis.
#[test]
fn sort_by_a_constant_is_by_name_in_a_script() {
    let mut world = World::new();
    let mut client = world.client();
    world.ask(&mut client, &["SADD", "s", "c", "a", "aa", "b"]);
    assert_eq!(world.eval("return redis.call('sort', 's', 'by', '_')"), "*4 $1 a $2 aa $1 b $1 c");
    assert_eq!(world.eval("return redis.call('sort_ro', 's', 'by', '_', 'desc', 'limit', 0, 1)"), "*1 $1 c");
}

#[test]
fn what_maxmemory_does_not_bound_is_told_apart() {
    let mut world = World::new();
    let mut client = world.client();
    world.ask(&mut client, &["SET", "k", "v"]);
    world.ask(&mut client, &["EVAL", "return 1", "0"]);
    world
        .ask(&mut client, &["FUNCTION", "LOAD", "#!lua name=l\nredis.register_function('f', function() return 1 end)"]);
    let info = world.ask(&mut client, &["INFO", "memory"]);
    let told = |name: &str| -> usize {
        let (_, value) = info.split_once(&format!("{name}:")).expect(name);
        value.split(char::is_whitespace).next().expect(name).parse().expect(name)
    };
    assert!(told("used_memory_lua") > 0);
    let bounded = told("used_memory_dataset") + told("mem_clients_normal");
    assert_eq!(told("used_memory") - told("mem_not_counted_for_evict"), bounded);
}

#[test]
fn a_text_is_no_argument_more_often_than_a_request_has_room() {
    let mut world = World::new();
    let often = "local s = ('x'):rep(2 ^ 26) local t = {} for i = 1, 17 do t[i] = s end ";
    for call in ["redis.call", "redis.acl_check_cmd"] {
        let reply = world.eval(&format!("{often} return {call}('del', unpack(t))"));
        assert!(reply.starts_with("-ERR the command's arguments are too large"), "{reply}");
    }
    let reply = world.eval(&format!("{often} return cjson.encode(t)"));
    assert!(reply.contains("the text is too long"), "{reply}");
}

#[test]
fn what_is_unpacked_far_beyond_the_end_is_not_there() {
    let reply = World::new().eval("return {pcall(struct.unpack, '!4i', 'abcd', 1e300)}");
    assert!(reply.contains("data string too short"), "{reply}");
}

#[test]
fn lines_for_the_log_are_cut() {
    let mut world = World::new();
    world.eval("redis.log(redis.LOG_WARNING, ('x'):rep(5000))");
    assert_eq!(world.core.take_script_lines(), [(3, "x".repeat(1024))]);
}

#[test]
fn compiled_scripts_make_room_by_their_bytes_too() {
    let mut world = World::new();
    let mut client = world.client();
    let script = |i: u32| format!("return {i} --{}", "x".repeat(1 << 20));
    let sha = |i| Sha::of(script(i).as_bytes()).to_string();
    for i in 0..8 {
        assert_eq!(world.ask(&mut client, &["EVAL", &script(i), "0"]), format!(":{i}"));
    }
    assert_eq!(world.ask(&mut client, &["EVALSHA", &sha(7), "0"]), ":7");
    assert!(world.ask(&mut client, &["EVALSHA", &sha(0), "0"]).starts_with("-NOSCRIPT"));
}

#[test]
fn what_a_connection_keeps_no_script_changes() {
    let mut world = World::new();
    for command in ["readonly", "readwrite"] {
        let reply = world.eval(&format!("return redis.call('{command}')"));
        assert!(reply.starts_with("-ERR This Redis command is not allowed from script"), "{reply}");
    }
}

/// Of a script that reads the client keeps copies under the names that it gave, and of what was read besides.
#[test]
fn who_keeps_copies_is_told_of_what_a_script_reads() {
    let mut world = World::new();
    let (mut keeper, mut other) = (world.client(), world.client());
    world.ask(&mut keeper, &["HELLO", "3"]);
    world.ask(&mut keeper, &["CLIENT", "TRACKING", "ON"]);
    let changes = |world: &mut World, keeper: &mut _, other: &mut _| {
        world.ask(other, &["MSET", "named", "1", "read", "1", "neither", "1"]);
        world.ask(keeper, &["PING"])
    };
    world.ask(&mut keeper, &["EVAL", "redis.call('set', 'written', 1)", "1", "named"]);
    assert_eq!(changes(&mut world, &mut keeper, &mut other), "+PONG", "it has read nothing");
    world.ask(&mut keeper, &["EVAL", "return redis.call('get', 'read')", "1", "named"]);
    let told = ["named", "read"].map(|key| format!(">2 $10 invalidate *1 ${} {key} ", key.len())).concat();
    assert_eq!(changes(&mut world, &mut keeper, &mut other), format!("{told}+PONG"));
}

#[test]
fn a_script_that_only_reads_has_not_written_what_its_transaction_has() {
    let mut world = World::new();
    world.clock.every(Duration::from_millis(100));
    let asking = Asking::asks(&mut world, &[&["SCRIPT", "KILL"]]);
    let mut client = world.client();
    for request in
        [&["MULTI"][..], &["SET", "a", "1"], &["EVAL", "redis.call('get', 'a') while true do end", "0"], &["GET", "a"]]
    {
        world.ask(&mut client, request);
    }
    let reply = world.ask(&mut client, &["EXEC"]);
    assert!(reply.starts_with("*3 +OK -ERR Script killed by user with SCRIPT KILL."), "{reply}");
    assert!(reply.ends_with(" $1 1"), "{reply}");
    assert_eq!(asking.replies(), ["+OK"]);
    assert!(!world.core.is_spoilt());
    world.check_standby();
}

#[test]
fn nothing_expires_between_two_steps_of_a_script() {
    let mut world = World::new();
    world.clock.every(Duration::from_millis(100));
    let mut client = world.client();
    world.ask(&mut client, &["SET", "k", "v", "PX", "5"]);
    world.now.wall.0 += 10;
    let batches = world.batches.len();
    let asking = Asking::asks(&mut world, &[&["WATCH", "k"]]);
    assert_eq!(world.eval(&format!("for i = 1, {} do end return 1", 10_000 * 60)), ":1");
    assert_eq!(asking.replies(), ["+OK"]);
    assert_eq!(world.batches.len(), batches);
}

fn library(name: &str, function: &str, bytes: usize) -> String {
    let code = format!("#!lua name={name}\nredis.register_function('{function}', function() return 1 end) --");
    code.clone() + &"x".repeat(bytes.saturating_sub(code.len()))
}

impl World {
    fn restore(&mut self, libraries: &[&str], policy: &str) -> String {
        let dump = mneme_kernel::rdb::dump_libraries(libraries.iter().map(|code| code.as_bytes()));
        let mut client = self.client();
        encode_command(&[&b"FUNCTION"[..], b"RESTORE", &dump, policy.as_bytes()], client.input());
        self.ask(&mut client, &["PING"]).trim_end_matches(" +PONG").to_owned()
    }
}

#[test]
fn libraries_that_are_restored_are_checked_as_if_they_came_one_by_one() {
    let mut world = World::new();
    let [a, b] = ["a", "b"].map(|name| library(name, name, 0));
    assert_eq!(world.restore(&[&a, &a], "APPEND"), "-ERR Library a already exists");
    assert_eq!(world.restore(&[&a, &library("b", "A", 0)], "APPEND"), "-ERR Function A already exists");
    assert_eq!(world.restore(&[&a, &b], "APPEND"), "+OK");
    assert_eq!(world.restore(&[&a, &b], "REPLACE"), "+OK");
    let half = mneme_kernel::limits::LIBRARY_BYTES / 2;
    let [c, d, e] = ["c", "d", "e"].map(|name| library(name, name, half));
    let full = "-ERR there is no more room for libraries";
    assert_eq!(world.restore(&[&c, &d, &e], "FLUSH"), full);
    assert_eq!(world.restore(&[&c, &d], "FLUSH"), "+OK");
    assert_eq!(world.restore(&[&e], "APPEND"), full);
    // None of those that are there takes room from what comes in their place.
    assert_eq!(world.restore(&[&c, &d], "REPLACE"), "+OK");
    assert_eq!(world.restore(&[&e, &c], "FLUSH"), "+OK");
    world.check_standby();
}

#[test]
fn what_rests_on_a_library_waits_until_that_is_accepted() {
    let mut world = World::new();
    let [mut loads, calls, loads_again] = [(); 3].map(|()| world.client());
    encode_command(&["FUNCTION", "LOAD", &library("l", "f", 0)], loads.input());
    loads.run(&mut world.core, world.now);
    let again = library("l", "g", 0);
    for (mut client, request) in [(calls, &["FCALL", "f", "0"][..]), (loads_again, &["FUNCTION", "LOAD", &again])] {
        encode_command(request, client.input());
        client.run(&mut world.core, world.now);
        client.advance(Marks::alone(Seq::ZERO), &[], world.now.monotonic);
        assert_eq!(client.ready(), b"", "{request:?}");
        client.advance(Marks::alone(world.core.executed()), &[], world.now.monotonic);
        assert_ne!(client.ready(), b"", "{request:?}");
    }
}

impl World {
    fn ask_function_load(&mut self, body: &str) -> String {
        let mut client = self.client();
        self.ask(&mut client, &["FUNCTION", "LOAD", &format!("#!lua name=l\n{body}")])
    }
}

#[test]
fn libraries_are_checked_when_they_are_loaded() {
    let mut world = World::new();
    let register = |what: &str| format!("redis.register_function{what}");
    for (body, error) in [
        ("return 1", "No functions registered"),
        ("x y", "Error compiling function: user_function:2: '=' expected near 'y'"),
        (
            "math.random()",
            "Error registering functions: ERR user_function:2: Script attempted to access nonexistent global variable 'math'",
        ),
        (
            "redis.call('ping')",
            "Error registering functions: ERR user_function:2: Script attempted to access nonexistent global variable 'call'",
        ),
        ("x = 1", "Error registering functions: ERR user_function:2: Attempt to modify a readonly table"),
        (&register("()"), "Error registering functions: ERR wrong number of arguments to redis.register_function"),
        (
            &register("(1, 2)"),
            "Error registering functions: ERR first argument to redis.register_function must be a string",
        ),
        (
            &register("('f', 2)"),
            "Error registering functions: ERR second argument to redis.register_function must be a function",
        ),
        (
            &register("('f-', function() end)"),
            "Error registering functions: ERR Library names can only contain letters, numbers, or underscores(_) and must be at least one character long",
        ),
        (
            &register("{function_name='f'}"),
            "Error registering functions: ERR redis.register_function must get a callback argument",
        ),
        (
            &register("{function_name='f', callback=function() end, flags={'odd'}}"),
            "Error registering functions: ERR unknown flag given",
        ),
    ] {
        assert_eq!(world.ask_function_load(body), format!("-ERR {error}"), "{body}");
    }
    let mut client = world.client();
    let lib = |name: &str, function: &str, value: u32| {
        format!("#!lua name={name}\nredis.register_function('{function}', function() return {value} end)")
    };
    for (request, reply) in [
        (vec!["FUNCTION", "LOAD", &lib("a", "f", 1)], "$1 a"),
        (vec!["FUNCTION", "LOAD", &lib("a", "f", 2)], "-ERR Library 'a' already exists"),
        (vec!["FUNCTION", "LOAD", &lib("b", "f", 2)], "-ERR Function f already exists"),
        (vec!["FCALL", "F", "0"], ":1"),
        (vec!["FUNCTION", "LOAD", "REPLACE", &lib("a", "f", 2)], "$1 a"),
        (vec!["FCALL", "f", "0"], ":2"),
        (vec!["FUNCTION", "LOAD", "#!lua\nx"], "-ERR Library name was not given"),
        (vec!["FUNCTION", "LOAD", "#!js name=x\nx"], "-ERR Engine 'js' not found"),
        (vec!["FUNCTION", "LOAD", "x"], "-ERR Missing library metadata"),
        (vec!["FCALL", "f", "1"], "-ERR Number of keys can't be greater than number of args"),
        (vec!["FCALL", "f", "x"], "-ERR Bad number of keys provided"),
        (vec!["FUNCTION", "DELETE", "z"], "-ERR Library not found"),
    ] {
        assert_eq!(world.ask(&mut client, &request), reply, "{request:?}");
    }
}

/// A command as a script calls it, on few keys, so that they meet.
fn command() -> impl Strategy<Value = String> {
    let key = prop_oneof![Just("a"), Just("b"), Just("c")];
    (key, 0u32..14, -3i32..9).prop_map(|(key, kind, n)| match kind {
        0 => format!("redis.pcall('set', '{key}', {n})"),
        1 => format!("redis.pcall('incrby', '{key}', {n})"),
        2 => format!("redis.pcall('append', '{key}', '{n}')"),
        3 => format!("redis.pcall('rpush', '{key}', {n}, {n})"),
        4 => format!("redis.pcall('lpop', '{key}')"),
        5 => format!("redis.pcall('sadd', '{key}', {n})"),
        6 => format!("redis.pcall('spop', '{key}')"),
        7 => format!("redis.pcall('hset', '{key}', 'f{n}', math.random(1000))"),
        8 => format!("redis.pcall('zadd', '{key}', {n}, 'm{n}')"),
        9 => format!("redis.pcall('del', '{key}')"),
        10 => format!("redis.pcall('pexpire', '{key}', {})", n * 1000),
        11 => format!("redis.pcall('rename', '{key}', 'b')"),
        12 => format!("redis.pcall('xadd', '{key}', '*', 'n', {n})"),
        _ => "redis.pcall('flushdb')".into(),
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_standby_has_what_the_primary_has(scripts in prop::collection::vec(prop::collection::vec(command(), 1..8), 1..8)) {
        let mut world = World::new();
        for script in scripts {
            let before = world.batches.len();
            world.eval(&script.join("; "));
            prop_assert!(world.batches.len() <= before + 1, "a script is one batch");
        }
        world.check_standby();
    }
}
