"""What must appear whole or not at all: each group of messages is one transaction of a named producer."""

import asyncio
import contextlib
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

from confluent_kafka import KafkaError, KafkaException, Producer

from streams.worker.errors import FencedError, SendFailedError
from streams.worker.sending import FLUSH_WITHIN_S, Outgoing, queue

# The open transaction of a dead worker blocks every read_committed reader of what it wrote to, for this long.
TRANSACTION_TIMEOUT_MS = 10_000
CLAIM_WITHIN_S = 30.0
# librdkafka asks for the coordinator at once, and where no connection stands yet once more after half a
# second: 14 of 32 claims took that long without this, and none with it.
CONNECTED_AFTER_S = 0.05
COMMIT_STEP_S = 0.5  # of waiting for a commit; then it is asked again, unless the worker ends
ABORT_WITHIN_S = 2.0
CONCURRENT = 16  # claims and commits at once: 64 take 2.5 s instead of 19.8 s one after the other
FENCED = (KafkaError._FENCED, KafkaError.PRODUCER_FENCED, KafkaError.INVALID_PRODUCER_EPOCH)


class Transactions:
    """A producer that sends each group of messages in one transaction, and fences whoever had its name.

    Parameters
    ----------
    kafka
        Connection options under librdkafka's names.
    transactional_id
        Names what is written for, such as one partition of the state: of two producers with one name only
        the newer one can commit.
    pool
        Threads for the blocking calls, shared by all producers of a worker (``transaction_pool``).
    """

    def __init__(self, kafka: Mapping[str, str], transactional_id: str, pool: ThreadPoolExecutor) -> None:
        self.transactional_id = transactional_id
        self._pool = pool
        self._open = self._closing = False
        self._failed: SendFailedError | FencedError | None = None
        self._one_call = threading.Lock()
        self._producer = Producer(
            {
                **kafka,
                "transactional.id": transactional_id,
                "transaction.timeout.ms": TRANSACTION_TIMEOUT_MS,
                "partitioner": "murmur2_random",
                "compression.type": "lz4",
                "linger.ms": 5,
            }
        )

    async def claim(self) -> None:
        """Fence whoever used this name before; what it had not committed is undone.

        Raises
        ------
        SendFailedError
            If the brokers do not answer in time or refuse.
        """
        await self._call("claimed", self._claim)

    async def send(self, messages: Sequence[Outgoing]) -> None:
        """Return when all of ``messages`` are committed; nothing of them is seen before that.

        Raises
        ------
        FencedError
            If another producer claimed this name meanwhile: somebody else does this work now.
        SendFailedError
            If the brokers refuse; none of the messages will be seen by who reads committed data.
        """
        if self._failed is not None:
            raise self._failed  # the first reason, not what follows from it
        if not messages:
            return
        await self._call("begun", self._begin)
        for message in messages:
            try:
                await queue(self._producer, message)
            except KafkaException as error:
                raise self._failure("written", error) from error
        await self._call("committed", self._commit)

    def close(self) -> None:
        """Undo what is not committed: left open, it holds up every reader until it times out; blocks."""
        self._closing = True
        if not self._one_call.acquire(timeout=ABORT_WITHIN_S):
            return  # the brokers do not answer; they undo it by themselves
        try:
            if self._open:
                self._open = False
                with contextlib.suppress(KafkaException):  # who was fenced has nothing to undo
                    self._producer.abort_transaction(ABORT_WITHIN_S)
            with contextlib.suppress(KafkaException):  # a fenced one says so once more
                self._producer.purge()
                self._producer.flush(FLUSH_WITHIN_S)
        finally:
            self._one_call.release()

    def _claim(self) -> None:
        self._producer.poll(CONNECTED_AFTER_S)
        self._producer.init_transactions(CLAIM_WITHIN_S)

    def _begin(self) -> None:
        self._producer.begin_transaction()
        self._open = True

    def _commit(self) -> None:
        while True:
            try:
                self._producer.commit_transaction(COMMIT_STEP_S)
            except KafkaException as error:
                if self._closing:
                    raise
                if not error.args[0].retriable():
                    raise self._undone(error) from error
            else:
                self._open = False
                return

    def _undone(self, error: KafkaException) -> KafkaException:
        """Return why a commit failed: who was away for long sees its own delays first, not who took over."""
        self._open = False
        try:
            self._producer.abort_transaction(ABORT_WITHIN_S)
        except KafkaException as reason:
            return reason if reason.args[0].code() in FENCED else error
        return error

    def _alone(self, call: Callable[..., object], *args: float) -> None:
        # Whoever waits for a call may be cancelled, and the producer closed, while it goes on.
        with self._one_call:
            call(*args)

    async def _call(self, done: str, call: Callable[..., object], *args: float) -> None:
        try:
            await asyncio.get_running_loop().run_in_executor(self._pool, self._alone, call, *args)
        except KafkaException as error:
            raise self._failure(done, error) from error

    def _failure(self, done: str, error: KafkaException) -> SendFailedError | FencedError:
        reason: KafkaError = error.args[0]
        if self._failed is None and reason.code() in FENCED:
            self._failed = FencedError(
                f"{self.transactional_id}: taken over by another worker ({reason.str()})"
            )
        elif self._failed is None:
            self._failed = SendFailedError(
                f"{self.transactional_id}: transaction not {done} ({reason.str()})"
            )
        return self._failed


def transaction_pool() -> ThreadPoolExecutor:
    """Return the threads for the transactions of one worker."""
    return ThreadPoolExecutor(CONCURRENT, "aftcast-transactions")
