"""Locks by scripts, of redis-py and of python-redis-lock: who has the lock counts up by reading and writing. No count is lost."""

import os
import sys
import threading
import time

import redis
import redis_lock
from redis.backoff import ConstantBackoff
from redis.retry import Retry

URL = os.environ["REDIS_URL"]
THREADS, TURNS = 4, 60
# Longer than any failover.
LASTS = 15


def connect():
    retry = Retry(ConstantBackoff(0.1), 200)
    return redis.from_url(URL, retry=retry, retry_on_error=[redis.exceptions.ConnectionError, redis.exceptions.TimeoutError])


KINDS = {
    "redis-py's Lock": lambda connection, name: connection.lock(name, timeout=LASTS, sleep=0.02),
    "python-redis-lock": lambda connection, name: redis_lock.Lock(connection, name, expire=LASTS, auto_renewal=False),
}


def count(kind, name, turns):
    connection = connect()
    for _ in range(turns):
        lock = KINDS[kind](connection, f"lock:{name}")
        if not lock.acquire(blocking=True):
            raise SystemExit(f"{kind}: not acquired")
        value = int(connection.get(f"count:{name}") or 0)
        time.sleep(0.01)
        connection.set(f"count:{name}", value + 1)
        try:
            lock.release()
        except (redis.exceptions.LockError, redis_lock.NotAcquired):
            # The connection broke, and it was released all the same.
            pass
        time.sleep(0.01)


def main():
    for at, kind in enumerate(KINDS):
        threads = [threading.Thread(target=count, args=(kind, at, TURNS)) for _ in range(THREADS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        counted = int(connect().get(f"count:{at}"))
        if counted != THREADS * TURNS:
            sys.exit(f"{kind}: {counted} of {THREADS * TURNS}")
        print(f"{kind}: {counted} turns, none lost")


main()
