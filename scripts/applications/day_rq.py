"""rq: jobs are enqueued while workers take them. Every job that was enqueued is done, and has its result."""

import subprocess
import sys
import time

import redis
import rq

import tasks

JOBS = 400


def enqueue(queue, number):
    """As an application would: under an id of its own, so that to ask again enqueues nothing twice."""
    for _ in range(200):
        try:
            return queue.enqueue(tasks.note, number, job_id=f"job-{number}", result_ttl=600, retry=rq.Retry(max=5))
        except redis.exceptions.RedisError:
            time.sleep(0.1)
    raise SystemExit(f"job {number} cannot be enqueued")


def start():
    # What a worker had that has ended is given to another one about a minute later.
    options = ["--with-scheduler", "--quiet", "--maintenance-interval", "5", "--job-monitoring-interval", "2"]
    return subprocess.Popen([sys.executable, "-m", "rq.cli", "worker", "--url", tasks.URL, *options], stderr=subprocess.DEVNULL)


def supervise(workers):
    """As whatever runs rq's workers does: some end when their connection does, also with Redis."""
    for at, process in enumerate(workers):
        if process.poll() is not None:
            workers[at] = start()


def main():
    connection = redis.from_url(tasks.URL)
    workers = [start() for _ in range(2)]
    try:
        queue = rq.Queue(connection=connection)
        for number in range(JOBS):
            enqueue(queue, number)
            time.sleep(0.03)
            supervise(workers)
        missing = set(range(JOBS))
        end = time.monotonic() + 180
        while missing and time.monotonic() < end:
            time.sleep(0.5)
            supervise(workers)
            try:
                missing -= {int(number) for number in connection.smembers("done:rq")}
            except redis.exceptions.RedisError:
                pass
        if missing:
            raise SystemExit(f"{len(missing)} jobs were never done: {sorted(missing)[:10]}")
        print(f"rq: {JOBS} jobs, all done")
    finally:
        for process in workers:
            process.kill()
            process.wait()


main()
