"""What the workers of rq and Celery do: each job leaves its number in a list."""

import os
import time

import celery
import redis

URL = os.environ["REDIS_URL"]

app = celery.Celery("tasks", broker=URL, backend=URL)
app.conf.update(
    broker_connection_retry_on_startup=True,
    # A task that a worker had when its connection broke is given to another one.
    task_acks_late=True,
    broker_transport_options={"visibility_timeout": 10},
    worker_cancel_long_running_tasks_on_connection_loss=True,
)


def leave(name, number):
    """Idempotent, so it may be asked again."""
    for again in range(100):
        try:
            return redis.from_url(URL).sadd(name, number)
        except redis.exceptions.RedisError:
            if again == 99:
                raise
            time.sleep(0.1)


def note(number):
    time.sleep(0.02)
    leave("done:rq", number)
    return 2 * number


@app.task
def double(number):
    time.sleep(0.02)
    leave("done:celery", number)
    return 2 * number
