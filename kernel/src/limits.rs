//! Every bound of the kernel in one place, each with its unit and its reason.

/// Numbered databases, as Redis's default configuration has them.
pub const DATABASES: u16 = 16;
/// Databases with names, beside those. Each costs a little memory while it is empty, too, whether it exists or not.
pub const NAMED_DATABASES: u16 = 48;
/// All databases that there can be.
pub const STORED_DATABASES: u16 = DATABASES + NAMED_DATABASES;

/// Users. Each is in the memory of every node and in every snapshot.
pub const MAX_USERS: usize = 10_000;
/// Bytes of the name of a user or of a database.
pub const MAX_NAME: usize = 64;

/// Fields of a hash up to which it is kept in one piece that is searched from its beginning, and the same of members of
/// sets, of sets of integers, and of sorted sets: the defaults of Redis's `hash-max-listpack-entries`,
/// `set-max-listpack-entries`, `set-max-intset-entries`, `zset-max-listpack-entries`.
pub const SMALL_HASH: usize = 512;
pub const SMALL_SET: usize = 128;
pub const INTEGER_SET: usize = 512;
pub const SMALL_SORTED_SET: usize = 128;
/// Bytes of an element up to which its collection may be such a piece: Redis's `hash-max-listpack-value` and the others.
pub const SMALL_ELEMENT: usize = 64;

/// Bytes of one argument of a command: Redis's `proto-max-bulk-len`.
pub const MAX_BULK: usize = 512 << 20;
/// Arguments of one command: Redis's bound on a multibulk request.
pub const MAX_ARGS: usize = 1024 * 1024;
/// Bytes of one request with all its arguments: Redis's `client-query-buffer-limit`.
pub const MAX_REQUEST: usize = 1 << 30;
/// Bytes of an inline command or of a length line: Redis's `PROTO_INLINE_MAX_SIZE`.
pub const MAX_LINE: usize = 64 * 1024;
/// Bytes of one argument before authentication, as in Redis: a stranger gets no memory.
pub const MAX_BULK_STRANGER: usize = 16 * 1024;
/// Arguments before authentication, as in Redis.
pub const MAX_ARGS_STRANGER: usize = 10;

/// Bytes of replies that a connection may have waiting before its further requests wait.
pub const MAX_REPLIES_WAITING: usize = 8 << 20;

/// Bytes of a reply with elements drawn at random, of which clients may ask for any number. Redis has no bound but memory.
pub const MAX_DRAWN: usize = 256 << 20;

/// Bytes that others may have waiting for a connection that does not take them; then it is closed. Redis's
/// `client-output-buffer-limit` for subscribers.
pub const MAX_MAIL: usize = 32 << 20;

/// Bytes of messages that may wait for another node; those that find no room are not sent to it.
pub const EXCHANGE_BYTES: usize = 32 << 20;

/// Channels and patterns that one connection may subscribe to.
pub const MAX_SUBSCRIPTIONS: usize = 1 << 20;

/// Keys of a pipeline that are looked up together, ahead of their commands: more than a processor's reads of memory that
/// can be on their way at once would gain nothing.
pub const KEYS_AHEAD: usize = 16;

/// Bytes of effects in a batch at which writers wait while the pipeline is full. One command's effects are never split,
/// so a batch can be larger by one command.
pub const BATCH_BYTES: usize = 4 << 20;
/// Batches sent and not yet accepted. More hides latency of the log; fewer make larger groups.
pub const BATCHES_IN_FLIGHT: usize = 8;

/// How long a primary may answer reads after it has sent what was accepted last; standbys wait as long, and a little
/// longer, before they claim. Short enough for a failover well below a second, long enough for a loaded machine.
pub const LEASE: core::time::Duration = core::time::Duration::from_millis(300);
/// How often in the time of a lease a primary renews it.
pub const RENEWALS_A_LEASE: u32 = 4;
/// How long a primary's store may make no progress before it gives the role up.
pub const STALLED_STORE: core::time::Duration = core::time::Duration::from_secs(10);
/// Lives of a Core whose `Hello` is recognised when it comes again, because it was sent again.
pub const LIVES_REMEMBERED: usize = 8;
/// Cores that were removed and are recognised when they come back.
pub const REMOVED_REMEMBERED: usize = 256;
/// Renewals whose fate a primary remembers; older ones are of no use any more.
pub const RENEWALS_IN_FLIGHT: usize = 64;
/// How far a clock's rate may be off, as a part of a thousand: standbys wait so much longer than a lease lasts, twice,
/// for theirs may be fast and the primary's slow (PROTOCOL rule 2).
pub const CLOCK_RATE_ERROR_PER_MILLE: u32 = 10;

/// Bytes of commands that were forwarded to the primary and have no reply; then further ones wait with their clients.
pub const FORWARDED_BYTES: usize = 64 << 20;
/// Bytes of replies that are kept for one origin until it acknowledges them; then its requests wait until it has.
pub const REPLIES_KEPT: usize = 32 << 20;
/// Bytes of a reply that is kept at most. Whoever asks for a larger one that was lost hears that it was executed.
pub const LARGEST_REPLY_KEPT: usize = 16 << 20;
/// Bytes of forwarded requests that may wait for their turn at the primary. An origin has fewer without a reply; beyond
/// that it may have those of sessions that ended.
pub const FORWARDED_WAITING: usize = 4 * FORWARDED_BYTES;
/// Batches on their way behind which a small one, though somebody waits for it, gathers more until the first verdict:
/// while one is being synced the next one grows, as long as the disk and the processors need it to.
pub const BATCHES_HURRIED: usize = 1;

/// Bytes of effects in a batch that nobody waits for at which it is sent all the same.
pub const LINGERING_BATCH: usize = 256 << 10;
/// Bytes of memory that an empty batch may keep for the next one.
pub const KEPT_BATCH: usize = 1 << 20;
/// Bytes of effects in a batch at which writers wait in any case, so that an entry stays below [`MAX_ENTRY`].
pub const LARGEST_BATCH: usize = 32 << 20;
/// Bytes of the commands between MULTI and EXEC, which are one batch.
pub const MAX_TRANSACTION: usize = 512 << 20;

/// Parts of the table, about a thousand keys each, that are searched at once for keys whose deadline has passed.
pub const EXPIRY_PARTS: usize = 12;

/// Keys that go at once to make room for a command, about: some ten microseconds' work, as Redis bounds it. A command that
/// brings more than they leave has more go.
pub const EVICTED_AT_ONCE: u64 = 64;
/// Keys that may be looked at for each that goes, `maxmemory-samples`: more would gain nothing and hold up everybody.
pub const MAX_SAMPLES: usize = 64;
/// Keys that go at once as time passes, when a limit was lowered for example.
pub const EVICTED_AT_TICK: u64 = 4096;

/// Scripts that `SCRIPT LOAD` has brought and bytes of all of them: the oldest make room. They are in the memory of every
/// node and in every snapshot; whoever calls one that is gone brings it again.
pub const SCRIPTS: usize = 10_000;
pub const SCRIPT_BYTES: usize = 32 << 20;
/// Scripts that a node keeps compiled; as in Redis 7.4, which keeps so many that only `EVAL` has brought.
pub const SCRIPTS_COMPILED: usize = 500;
/// Bytes of their code, and of that of libraries. Compiled it takes up to ten times as much, and [`SCRIPT_MEMORY`] has to
/// have room for what runs.
pub const SCRIPT_BYTES_COMPILED: usize = 4 << 20;
/// Libraries that a node keeps compiled; then it forgets all, and compiles again what is called.
pub const LIBRARIES_COMPILED: usize = 256;
/// Bytes of the code of all libraries; further ones are refused.
pub const LIBRARY_BYTES: usize = 32 << 20;
/// Steps of a script between two looks at the clock: some microseconds' worth.
pub const SCRIPT_STEPS: u32 = 10_000;
/// How long a script that has changed nothing holds up the thread that its client shares with others; then it begins anew
/// on one of its own.
pub const SCRIPT_SHARES: core::time::Duration = core::time::Duration::from_millis(20);
/// Looks of a script at a clock that stands still, as it does in simulation: then it has run for too long.
pub const SCRIPT_LOOKS: u32 = 1_000;
/// Bytes that scripts and libraries may take together while one runs.
pub const SCRIPT_MEMORY: usize = 256 << 20;
/// How long a command that waits for a key, and whose time is over, waits for a script that takes long.
pub const BUSY_AGAIN: core::time::Duration = core::time::Duration::from_millis(20);
/// Lines for the server's log that scripts may have waiting; further ones are dropped.
pub const SCRIPT_LINES: usize = 1_000;
/// Bytes of such a line; what is longer is cut, as in Redis.
pub const SCRIPT_LINE: usize = 1024;

/// Prefixes that one connection may be told of, and the bytes of all.
pub const MAX_PREFIXES: usize = 128;
pub const MAX_PREFIX_BYTES: usize = 64 << 10;

/// Keys that clients keep copies of, of which a node knows unless it is told otherwise: Redis's `tracking-table-max-keys`.
pub const TRACKED_KEYS: usize = 1_000_000;
/// Bytes that knowing them may take.
pub const TRACKED_BYTES: usize = 256 << 20;

/// Keys that one connection may watch.
pub const MAX_WATCHED: usize = 1 << 20;

/// Bytes that a decoder of log entries and records may allocate for one value; hostile lengths fail instead.
pub const MAX_ENTRY: usize = (1 << 30) + (64 << 20);

/// Bytes of a segment of the write-ahead log. A single larger record makes its own segment larger.
pub const SEGMENT_BYTES: u64 = 32 << 20;

/// Bytes of a connection's name or library, as in Redis bounded by good sense only; here by a number.
pub const MAX_CLIENT_NAME: usize = 1024;
/// Bytes of a password; Argon2id's time does not depend on it, but a queue of them does.
pub const MAX_PASSWORD: usize = 1024;

/// How long `CLIENT PAUSE` may hold commands back.
pub const MAX_PAUSE: core::time::Duration = core::time::Duration::from_secs(24 * 3600);

/// How long `DEBUG DIGEST` may hold back writers while the batches in flight are accepted.
pub const DIGEST_HOLD: core::time::Duration = core::time::Duration::from_secs(2);

/// Entries that the slow log may be told to keep; each has at most 4 KiB of arguments.
pub const MAX_SLOWLOG: usize = 100_000;

/// Entries that the ACL log may be told to keep; each has at most about 4 KiB.
pub const MAX_ACL_LOG: usize = 10_000;
/// Bytes of a user's ACL rules as `ACL LIST` shows them, without passwords: they are in the memory of every node.
pub const MAX_RULES: usize = 16 << 10;
/// Passwords of a user. Each that is not the right one takes as long to check as the right one.
pub const MAX_PASSWORDS: usize = 8;

/// Containers that may stand in each other in a JSON document: serde_json's bound on what it reads, and RedisJSON's.
pub const MAX_JSON_DEPTH: usize = 127;
/// Bytes of a path.
pub const MAX_JSON_PATH: usize = 64 << 10;
/// Bytes of the name of a member. Every change names the place of what it changes, so names are no place for data; a path
/// could not name longer ones, either.
pub const MAX_JSON_NAME: usize = 64 << 10;
/// Filters of a path that may stand in each other, and parentheses in a filter: reading and evaluating them recurses.
pub const MAX_JSON_FILTERS: usize = 3;
pub const MAX_JSON_PARENTHESES: usize = 32;
/// Regular expressions in all paths of a command: each takes up to a few milliseconds to build.
pub const MAX_JSON_PATTERNS: usize = 8;
/// Bytes of a regular expression's text: some that are short stand for large tables of characters.
pub const MAX_JSON_PATTERN_TEXT: usize = 128;
/// Bytes of a regular expression in memory.
pub const MAX_JSON_PATTERN: usize = 256 << 10;
/// Values that one command may look at while it searches a document, some of them several times: about half a second.
pub const MAX_JSON_VISITS: usize = 1 << 24;
/// What other work of a search counts for, in such values: building one of the smallest regular expressions, and reading a
/// byte of its text; a byte that one of the smallest is tried on; a place that is noted, beside its steps, and so many bytes
/// of their names; so many bytes that are compared.
pub const JSON_PATTERN_VISITS: usize = 8 << 10;
pub const JSON_PATTERN_BYTE_VISITS: usize = 1 << 10;
pub const JSON_MATCH_VISITS: usize = 4;
pub const JSON_PLACE_VISITS: usize = 8;
pub const JSON_PLACE_BYTES: usize = 8;
pub const JSON_COMPARED_BYTES: usize = 64;
