"""Celery with kombu's transport and the result backend: every task is done, and its result is right."""

import subprocess
import sys
import time

import tasks

TASKS = 400


def main():
    argv = [sys.executable, "-m", "celery", "-A", "tasks", "worker", "--concurrency", "2", "--pool", "threads", "--loglevel", "ERROR"]
    worker = subprocess.Popen(argv + ["--without-gossip", "--without-mingle"])
    try:
        results = []
        for number in range(TASKS):
            results.append(tasks.double.apply_async((number,), retry=True, retry_policy={"max_retries": 50, "interval_max": 0.2}))
            time.sleep(0.03)
        for number, result in enumerate(results):
            got = wait_for(result)
            if got != 2 * number:
                raise SystemExit(f"task {number} has the result {got!r}")
        print(f"celery: {TASKS} tasks, all done, each with its result")
    finally:
        worker.kill()
        worker.wait()


def wait_for(result):
    end = time.monotonic() + 90
    while time.monotonic() < end:
        try:
            if result.backend.get_state(result.id) == "SUCCESS":
                return result.backend.get_result(result.id)
        except Exception:  # Whatever kombu makes of a broken connection.
            pass
        time.sleep(0.1)
    raise SystemExit(f"task {result.id} has no result")


main()
