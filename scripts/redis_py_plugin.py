"""What `scripts/redis-py-suite` has pytest do: leave tests out, and take their connections to the node over TLS.

redis-py's tests connect in plain and without a password, and say so in too many places for a URL to help. Here whatever
is meant for the node is TLS that verifies it, and logs in as its admin unless the test itself says who it is.
MNEME_SUITE names the file of what the suite says.
"""

import contextlib
import json
import os
import pathlib
import ssl

import pytest
import redis.asyncio.connection
import redis.connection

import suites

SUITE = json.loads(pathlib.Path(os.environ["MNEME_SUITE"]).read_text())
TLS = ssl.create_default_context(cafile=SUITE["ca"])
# Where some tests look for their server whatever pytest is told, those of JSON for one of their own, and where some have a relay.
USUAL_PORTS, RELAY_PORT = (6379, 6479), 5380


def reason(item):
    """Why this test is left out; None if it is not."""
    file, _, name = item.nodeid.removeprefix("tests/").partition("::")
    usual = file.removeprefix("test_asyncio/")
    for mark, why in SUITE["marks"].items():
        if item.get_closest_marker(mark) and usual not in SUITE["built_in"]:
            return why
    return suites.reason(SUITE["left_out"], (file, usual, f"{SUITE['protocol']} {usual}"), name)


def pytest_collection_modifyitems(items):
    for item in items:
        if why := reason(item):
            item.add_marker(pytest.mark.skip(why), append=False)


@pytest.hookimpl(trylast=True)
def pytest_sessionstart():
    """The suite asks which modules there are, and fails for one of which it hears nothing: 0 is too old for it."""
    import tests.conftest

    versions = {"ReJSON": 20600, "search": 0, "bf": 0, "timeseries": 0, "graph": 0}
    tests.conftest.REDIS_INFO["modules"] = [{"name": name, "ver": version} for name, version in versions.items()]


def is_to_node(connection):
    return int(getattr(connection, "port", 0)) in (SUITE["port"], *USUAL_PORTS, RELAY_PORT)


@contextlib.contextmanager
def at_node(connection):
    """While it connects; afterwards it says again what the test said."""
    port = connection.port
    if int(port) in USUAL_PORTS:
        connection.port = SUITE["port"]
    try:
        yield
    finally:
        connection.port = port


def over_tls(connect):
    def instead(self):
        if not is_to_node(self):
            return connect(self)
        with at_node(self):
            sock = connect(self)
        is_done = isinstance(self, redis.connection.SSLConnection)
        return sock if is_done else TLS.wrap_socket(sock, server_hostname="127.0.0.1")

    return instead


def with_tls(arguments):
    def instead(self):
        if not is_to_node(self):
            return arguments(self)
        with at_node(self):
            return {"ssl": TLS, "server_hostname": "127.0.0.1", **arguments(self)}

    return instead


def logged_in(on_connect):
    """For both kinds: that of asyncio returns what is to be awaited."""

    def instead(self):
        if is_to_node(self) and not (self.username or self.password or self.credential_provider):
            self.password = SUITE["password"]
        return on_connect(self)

    return instead


for kind in (redis.connection, redis.asyncio.connection):
    kind.AbstractConnection.on_connect = logged_in(kind.AbstractConnection.on_connect)
redis.connection.Connection._connect = over_tls(redis.connection.Connection._connect)
redis.asyncio.connection.Connection._connection_arguments = with_tls(redis.asyncio.connection.Connection._connection_arguments)
