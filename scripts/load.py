"""`mneme-bench`, for the scripts beside this file."""

import json
import os
import pathlib
import subprocess

ROOT = pathlib.Path(__file__).resolve().parent.parent


def build():
    """The program, as built from this repository."""
    subprocess.run(["cargo", "build", "--locked", "--quiet", "--release", "--bin", "mneme-bench"], cwd=ROOT, check=True)
    return ROOT / "target/release/mneme-bench"


def by_tls(port, ca):
    return ["-H", f"127.0.0.1:{port}", "--ca-cert", ca]


def by_socket(path):
    return ["--unix-socket", path]


def argv(binary, target, mix, **flags):
    """Its arguments. What is True has no value; a list is given flag by flag."""
    words = [binary, *target, "--mix", mix, "--strict", "--json", "-"]
    for name, value in flags.items():
        for each in value if isinstance(value, list) else [value]:
            words += [f"--{name.replace('_', '-')}", *([] if each is True else [each])]
    return [str(word) for word in words]


def environment(password):
    return {**os.environ, "MNEME_PASSWORD": password}


class Wrong(Exception):
    """What it printed is no result. Its text is for people."""


def numbers(out):
    """What it printed, if every answer was what it had to be."""
    report = json.loads(out)
    whole, latency = report["all"], report["all"]["latency_ms"]
    if report["errors"] or whole["nulls"] or report["connections_lost"] or report["unanswered"]:
        raise Wrong(f"not every request was answered well: {report}")
    return {
        "requests": whole["requests"], "seconds": report["seconds"], "rps": whole["per_second"], "avg_ms": latency["mean"],
        "p50_ms": latency["p50"], "p99_ms": latency["p99"], "max_ms": latency["max"],
    }
