"""Real nodes on loopback, for the scripts beside this file: starting and ending them, a small client, what it measured.

Nodes live in a temporary folder. Only processes that were started here are ended, by their process id.
"""

import contextlib
import dataclasses
import os
import pathlib
import random
import re
import secrets
import select
import signal
import socket
import ssl
import statistics
import subprocess
import tempfile
import time
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parent.parent
PROGRAMS = ("mneme-core", "mneme-keeper")
PASSWORD = secrets.token_hex(16)
SECRET = secrets.token_hex(16)

# Below the ports that the system gives to outgoing connections: a node that was killed finds its own free again.
PORTS = iter(random.SystemRandom().sample(range(15000, 30000), 14000))


class Failed(Exception):
    """What was to be done is not done. Its text is for people."""


def free_port():
    for port in PORTS:
        with socket.socket() as s, contextlib.suppress(OSError):
            s.bind(("127.0.0.1", port))
            return port
    raise Failed("no port is free")


def build():
    """The folder with the programs, as built from this repository."""
    argv = ["cargo", "build", "--locked", "--release"]
    subprocess.run(argv + [word for program in PROGRAMS for word in ("--bin", program)], cwd=ROOT, check=True)
    return ROOT / "target/release"


def end_when_told():
    """Turns SIGTERM into an exception, as ^C is one, so that the nodes are ended also then."""

    def leave(*_):
        raise SystemExit("ended by a signal")

    signal.signal(signal.SIGTERM, leave)


def within(seconds):
    """Ends this program, and with it its nodes, if it takes longer."""

    def leave(*_):
        raise SystemExit(f"not done within {seconds} s: something hangs")

    signal.signal(signal.SIGALRM, leave)
    signal.alarm(round(seconds))


class Process:
    """A server process of our own. Its folder outlives it, so that it can be started again."""

    # Those that run.
    running = []

    def __init__(self, name, folder, argv, env=None):
        self.name, self.folder, self.argv, self.env = name, folder, [str(word) for word in argv], env or {}
        self.process = None
        # From when it says that it is ready until it is killed.
        self.serving = False
        folder.mkdir(exist_ok=True)

    def start(self):
        self.seen = b""
        with open(self.folder / "stderr", "ab") as log:
            self.process = subprocess.Popen(self.argv, stdout=subprocess.PIPE, stderr=log, env={**os.environ, **self.env})
        Process.running.append(self)
        return self

    def alive(self):
        return self.process is not None and self.process.poll() is None

    def until(self, is_ready, seconds, every=0.01):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if not self.alive():
                raise Failed(f"{self.name} ended with {self.process.returncode}:\n{self.last_words()}")
            if is_ready():
                return self
            time.sleep(every)
        raise Failed(f"{self.name} is not ready within {seconds} s:\n{self.last_words()}")

    def last_words(self):
        """The end of its log; from the panic on, if there was one."""
        text = (self.folder / "stderr").read_text(errors="replace")
        at = text.rfind("panicked at")
        return text[-2000:] if at < 0 else text[text.rfind("\n", 0, at) + 1 :][:2000]

    def died_by_itself(self):
        return self.serving and not self.alive()

    def kill(self):
        """kill -9."""
        self.send_kill()
        self.wait()

    def stop(self, seconds=30):
        """SIGTERM: it hands over, drains, and ends with code 0."""
        self.serving = False
        self.signal(signal.SIGTERM)
        code = self.wait(seconds)
        if code != 0:
            raise Failed(f"{self.name} was told to stop and ended with {code}:\n{self.last_words()}")

    def send_kill(self):
        self.serving = False
        self.signal(signal.SIGKILL)

    def signal(self, number):
        if self.alive():
            self.process.send_signal(number)

    def wait(self, seconds=None):
        code = self.process.wait(seconds)
        self.process.stdout.close()
        if self in Process.running:
            Process.running.remove(self)
        return code

    def cpu_seconds(self):
        """Of user and system together."""
        fields = pathlib.Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    @classmethod
    def end_all(cls):
        left = list(cls.running)
        for process in left:
            process.send_kill()
        for process in left:
            process.wait()


class Node(Process):
    """A Core or a Keeper. A node that belongs ignores --join and --expect-keepers, so it keeps its flags."""

    def __init__(self, programs, root, name, *flags, program="mneme-core"):
        self.data = root / name / "data"
        self.port, read, self.cluster_port, self.admin_port = (free_port() for _ in range(4))
        argv = [programs / program, "--node", name, "--data", self.data, *flags]
        ports = {"--cluster-listen": self.cluster_port, "--admin-listen": self.admin_port}
        if program == "mneme-core":
            ports |= {"--listen": self.port, "--read-listen": read}
        for flag, port in ports.items():
            argv += [flag, f"127.0.0.1:{port}"]
        super().__init__(name, root / name, argv, {"MNEME_ADMIN_PASSWORD": PASSWORD, "MNEME_CLUSTER_SECRET": SECRET})

    def wait_ready(self, seconds=60):
        """Until it says so on its standard output."""
        out = self.process.stdout.fileno()

        def is_ready():
            if select.select([out], [], [], 0)[0]:
                self.seen += os.read(out, 4096)
            return any(line.startswith(b"ready ") for line in self.seen.splitlines())

        self.until(is_ready, seconds)
        self.serving = True
        return self

    def client(self, **options):
        return Client(self.port, self.data / "ca.crt", **options)

    def info(self, section="replication"):
        """INFO as a dict; None if the node does not answer."""
        try:
            with self.client(timeout=2) as client:
                text = client.ask("INFO", section).decode()
        except (OSError, Refused):
            return None
        return dict(line.split(":", 1) for line in text.splitlines() if ":" in line)

    def metric(self, name):
        """A metric without labels; None if there is none."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.admin_port}/metrics", timeout=2) as page:
                found = re.search(rf"^{re.escape(name)} (\S+)$", page.read().decode(), re.M)
        except OSError:
            return None
        return float(found[1]) if found else None


def three(programs, root, *flags):
    """Three nodes, each a Core with its Keeper inside; ready."""
    first = Node(programs, root, "n1", "--expect-keepers", "3", *flags)
    join = ("--join", f"127.0.0.1:{first.cluster_port}", *flags)
    return start_all([first, *(Node(programs, root, name, *join) for name in ("n2", "n3"))])


def core_and_keepers(programs, root, *flags, keepers=()):
    """A Core without a Keeper, then three Keepers, which have flags of their own; ready."""
    core = Node(programs, root, "c1", "--keeper", "none", "--expect-keepers", "3", *flags)
    join = ("--join", f"127.0.0.1:{core.cluster_port}", *keepers)
    return start_all([core, *(Node(programs, root, name, *join, program="mneme-keeper") for name in ("k1", "k2", "k3"))])


def start_all(nodes):
    for node in nodes:
        node.start()
    for node in nodes:
        node.wait_ready()
    return nodes


def primary(nodes, seconds=30):
    """The node that says of itself that it is the primary."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        for node in nodes:
            info = (node.info() or {}) if node.alive() else {}
            if info.get("primary") == node.name and info.get("node_role") == "primary":
                return node
        time.sleep(0.05)
    raise Failed(f"there is no primary for {seconds} s")


@contextlib.contextmanager
def temporary(folder):
    """A folder for nodes, which are ended before it goes."""
    with tempfile.TemporaryDirectory(prefix="mneme-", dir=folder) as name:
        try:
            yield pathlib.Path(name).resolve()
        finally:
            Process.end_all()


class Refused(Exception):
    """An error reply."""

    def kind(self):
        return str(self).split(" ", 1)[0]


class Client:
    """RESP2 over TLS: as little as is needed, and never a command twice."""

    contexts = {}

    def __init__(self, port, ca, timeout=15, level=None, user="admin"):
        raw = socket.create_connection(("127.0.0.1", port), timeout)
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            if ca not in self.contexts:
                self.contexts[ca] = ssl.create_default_context(cafile=ca)
            self.socket = self.contexts[ca].wrap_socket(raw, server_hostname="127.0.0.1")
            self.input = self.socket.makefile("rb")
            self.ask("AUTH", user, PASSWORD)
            if level:
                self.ask("CLIENT", "CONSISTENCY", level)
        except BaseException:
            # By then it may belong to the TLS socket.
            getattr(self, "socket", raw).close()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.input.close()
        self.socket.close()

    def ask(self, *words):
        self.socket.sendall(encode(*words))
        reply = self.reply()
        if isinstance(reply, Refused):
            raise reply
        return reply

    def pipeline(self, commands):
        """The replies; an error is one of them."""
        self.socket.sendall(b"".join(encode(*words) for words in commands))
        return [self.reply() for _ in commands]

    def reply(self):
        line = self.line()
        kind, rest = line[:1], line[1:]
        if kind == b"+":
            return rest
        if kind == b"-":
            return Refused(rest.decode())
        if kind == b":":
            return int(rest)
        if kind == b"$":
            return None if rest == b"-1" else self.exactly(int(rest) + 2)[:-2]
        if kind == b"*":
            return None if rest == b"-1" else [self.reply() for _ in range(int(rest))]
        raise OSError(f"this is not RESP2: {line!r}")

    def line(self):
        line = self.input.readline()
        if not line.endswith(b"\r\n"):
            raise ConnectionResetError("the node closed the connection")
        return line[:-2]

    def exactly(self, size):
        got = self.input.read(size)
        if len(got) < size:
            raise ConnectionResetError("the node closed the connection")
        return got


def encode(*words):
    words = [word if isinstance(word, bytes) else str(word).encode() for word in words]
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in words)


def fill(node, keys, value=b"x" * 64):
    """Sets the keys that redis-benchmark draws from: `key:` and twelve digits."""
    with node.client(timeout=60) as client:
        for start in range(0, keys, 1000):
            batch = range(start, min(start + 1000, keys))
            for reply in client.pipeline([(b"SET", b"key:%012d" % i, value) for i in batch]):
                if reply != b"OK":
                    raise Failed(f"{node.name}: filling failed: {reply}")


@dataclasses.dataclass
class Spread:
    """What is told of a list of times."""

    times: list

    def at(self, share):
        return sorted(self.times)[round((len(self.times) - 1) * share)]

    def median(self):
        return statistics.median(self.times)

    def __str__(self):
        if not self.times:
            return "none"
        return f"median {1000 * self.median():,.0f} ms, 95th percentile {1000 * self.at(0.95):,.0f} ms, longest {1000 * self.at(1):,.0f} ms"
