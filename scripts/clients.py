"""redis-py against the node of `scripts/clients`, over TLS and by Unix socket, in both protocols."""

import os
import urllib.parse

import redis

PASSWORD, PORT, CA, SOCKET = (os.environ[name] for name in ("PASSWORD", "PORT", "CA", "SOCKET"))


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


for protocol in (2, 3):
    for unix in (False, True):
        for user in ("", "admin"):
            check(unix, user, protocol)
print(f"redis-py {redis.__version__} is content")
