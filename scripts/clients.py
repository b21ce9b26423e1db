"""redis-py against the node of `scripts/clients`, over TLS and by Unix socket, in both protocols; and in its modes for Redis
Cluster and Sentinel against the pair of nodes there."""

import os
import time
import urllib.parse

import redis
from redis.cluster import ClusterNode, RedisCluster
from redis.sentinel import Sentinel

PASSWORD, PORT, CA, SOCKET = (os.environ[name] for name in ("PASSWORD", "PORT", "CA", "SOCKET"))
PAIR, PAIR_CA = [int(port) for port in os.environ["PAIR"].split()], os.environ["PAIR_CA"]


def equal(got, wanted):
    assert got == wanted, f"{got!r} instead of {wanted!r}"


def refused(kind, text, call, *args):
    try:
        got = call(*args)
    except kind as error:
        assert text in str(error), f"{error!r} does not say {text!r}"
    else:
        raise AssertionError(f"{got!r} instead of an error")


def open_client(unix, user, password, **options):
    options = {"decode_responses": True, **options}
    login = f"{user}:{urllib.parse.quote(password)}"
    if unix:
        return redis.from_url(f"unix://{login}@{SOCKET}", **options)
    return redis.from_url(f"rediss://{login}@localhost:{PORT}", ssl_ca_certs=CA, **options)


def check(unix, user, protocol):
    def connect(**options):
        return open_client(unix, user, PASSWORD, protocol=protocol, **options)

    db = connect()
    equal(db.ping(), True)
    db.flushall()
    equal(db.client_info()["resp"], str(protocol))
    equal(db.client_info()["lib-name"], "redis-py")
    equal(db.client_info()["user"], "admin")

    equal((db.set("key", "value"), db.get("key"), db.get("none")), (True, "value", None))
    equal((db.set("key", "other", nx=True), db.get("key")), (None, "value"))
    equal(db.set("key", "other", get=True), "value")
    db.set("short", "lived", ex=100)
    assert 98 <= db.ttl("short") <= 100
    equal((db.expire("key", 50), db.ttl("key") in (49, 50), db.persist("key"), db.ttl("key")), (True, True, True, -1))
    equal((db.incr("counter"), db.incrby("counter", 10), db.decr("counter")), (1, 11, 10))
    equal(db.set("bytes", bytes(range(256))), True)
    equal(connect(decode_responses=False).strlen("bytes"), 256)

    many = db.pipeline(transaction=False)
    for i in range(1000):
        many.set(f"many:{i}", i).get(f"many:{i}")
    equal(many.execute(), [reply for i in range(1000) for reply in (True, str(i))])
    equal(sorted(db.scan_iter("many:*", count=50)), sorted(f"many:{i}" for i in range(1000)))
    equal(db.delete(*(f"many:{i}" for i in range(1000))), 1000)

    equal(db.pipeline().incr("counter").get("key").execute(), [11, "other"])
    with db.pipeline() as watched:
        watched.watch("counter")
        db.incr("counter")
        watched.multi()
        watched.set("counter", 0)
        refused(redis.WatchError, "", watched.execute)
    equal(db.get("counter"), "12")

    document = db.json()
    equal(document.set("document", "$", {"n": 1, "list": [1, {"n": 2.5}]}), True)
    equal(document.numincrby("document", "$..n", 2), [3, 4.5])
    equal(document.get("document", "$.list"), [[1, {"n": 4.5}]])
    equal((document.delete("document", "$.list[0]"), document.get("document")), (1, {"n": 3, "list": [{"n": 4.5}]}))
    equal((db.type("document"), db.delete("document")), ("ReJSON-RL", 1))

    third = connect(db=3, client_name="third")
    equal((third.client_getname(), third.get("key"), third.set("key", 3), db.get("key")), ("third", None, True, "other"))
    equal(third.client_info()["db"], 3)

    refused(redis.ResponseError, "unknown command 'NONSENSE', with args beginning with: 'a'", db.execute_command, "NONSENSE", "a")
    refused(redis.ResponseError, "value is not an integer or out of range", db.incr, "key")
    mixed = db.pipeline(transaction=False).set("key", "v").incr("key").get("key").execute(raise_on_error=False)
    equal((mixed[0], type(mixed[1]), mixed[2]), (True, redis.ResponseError, "v"))
    refused(redis.AuthenticationError, "invalid username-password pair", open_client(unix, user, "wrong", protocol=protocol).ping)


def until(what, holds):
    end = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < end, f"not within 20 s: {what}"
        time.sleep(0.05)


def check_pair(protocol):
    login = {"username": "admin", "password": PASSWORD, "protocol": protocol, "decode_responses": True}
    login |= {"ssl": True, "ssl_ca_certs": PAIR_CA}

    def as_cluster(**options):
        return RedisCluster(startup_nodes=[ClusterNode("localhost", port) for port in PAIR], **login, **options)

    def nodes(kind):
        with as_cluster() as db:
            return [node.port for node in (db.get_primaries() if kind == "primary" else db.get_replicas())]

    until("both nodes know of each other", lambda: len(nodes("primary") + nodes("replica")) == 2)
    sentinel = Sentinel([("localhost", port) for port in PAIR], min_other_sentinels=1, sentinel_kwargs=login, **login)
    before = sentinel.discover_master("mymaster")[1]
    equal(nodes("primary"), [before])

    clusters = [as_cluster(read_from_replicas=replicas) for replicas in (False, True)]
    for db in clusters:
        many = db.pipeline()
        for i in range(100):
            many.set(f"key:{i}", i).get(f"key:{i}")
        equal(many.execute(), [reply for i in range(100) for reply in (True, str(i))])
        equal(db.mset_nonatomic({"a": 1, "b": 2}), [True] * 2)
        until("a replica has it", lambda: db.mget_nonatomic("a", "b") == ["1", "2"])
        equal(db.cluster_info()["cluster_state"], "ok")
        equal(db.cluster_countkeysinslot(db.cluster_keyslot("a")), 1)
    master, replica = sentinel.master_for("mymaster"), sentinel.slave_for("mymaster")
    equal((master.set("seen", protocol), master.role()[0], replica.role()[0]), (True, "master", "slave"))
    until("the read port has it", lambda: replica.get("seen") == str(protocol))
    refused(redis.ReadOnlyError, "", replica.set, "seen", 0)

    # Whoever subscribes at either node hears that the primary is another one, and everybody goes on.
    listeners = [redis.Redis(host="localhost", port=port, **login).pubsub() for port in PAIR]
    for listener in listeners:
        listener.subscribe("+switch-master")
        equal(listener.get_message(timeout=20)["type"], "subscribe")
    equal(redis.Redis(host="localhost", port=before, **login).execute_command("SENTINEL FAILOVER", "mymaster"), True)
    [after] = [port for port in PAIR if port != before]
    for listener in listeners:
        equal(listener.get_message(timeout=20)["data"], f"mymaster 127.0.0.1 {before} 127.0.0.1 {after}")
    equal((sentinel.discover_master("mymaster")[1], nodes("primary"), nodes("replica")), (after, [after], [before]))
    equal((master.get("seen"), clusters[0].get("a"), master.incr("b"), clusters[0].incr("b")), (str(protocol), "1", 3, 4))


for protocol in (2, 3):
    for unix in (False, True):
        for user in ("", "admin"):
            check(unix, user, protocol)
    check_pair(protocol)
print(f"redis-py {redis.__version__} is content")
