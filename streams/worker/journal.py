"""The journal of one partition of pane-updates: what was told, how far, and the monitor that told it."""

import asyncio
import hashlib
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import msgspec
import structlog

from schemas.journal import JOURNAL_FORMAT, Position
from streams.worker.compacted import read_newest
from streams.worker.errors import WorkerError
from streams.worker.outgoing import MESSAGE_LIMIT
from streams.worker.sending import Outgoing
from streams.worker.transactions import Transactions

POSITION_KEY = b"position"
TELL_AT_S = 2.0  # of reading, before its progress is told

log = structlog.get_logger("aftcast.journal")


@dataclass(frozen=True, slots=True)
class Recalled:
    """What a journal holds: where its monitor stood, None for nowhere, and its snapshot if it is whole."""

    position: Position | None = None
    snapshot: bytes | None = None


class Packing:
    """Compresses the pieces of a snapshot as they come, into records that brokers take."""

    def __init__(self) -> None:
        # Level 1: 100 MB/s, and a twentieth of the size; higher levels save little more.
        self._compress = zlib.compressobj(1)
        self._bytes = bytearray()

    def add(self, piece: bytes) -> None:
        self._bytes += self._compress.compress(piece)

    def parts(self) -> list[bytes]:
        """Return all of it; call it once."""
        self._bytes += self._compress.flush()
        return [
            bytes(self._bytes[at : at + MESSAGE_LIMIT]) for at in range(0, len(self._bytes), MESSAGE_LIMIT)
        ]


def digest_of(parts: Sequence[bytes]) -> str:
    """Return the SHA-256 of a snapshot's records in order."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part)
    return digest.hexdigest()


class Journal:
    """Reads and writes a partition of the journal; what it writes appears with the messages beside it.

    Parameters
    ----------
    kafka
        Connection options under librdkafka's names.
    topic, partition
        Of the journal; the partition is that of pane-updates.
    transactions
        A producer whose name belongs to this partition.
    """

    def __init__(
        self, kafka: Mapping[str, str], topic: str, partition: int, transactions: Transactions
    ) -> None:
        self._kafka = kafka
        self._topic, self._partition = topic, partition
        self._transactions = transactions
        self._parts = 0

    async def claim(self) -> Recalled:
        """Fence whoever wrote here before, and return what it wrote last.

        Raises
        ------
        WorkerError
            If Kafka does not answer, or the position was written by a version that this one cannot follow.
        """
        await self._transactions.claim()
        loop = asyncio.get_running_loop()
        told_s = loop.time() + TELL_AT_S

        def seen(read: int, of: int) -> None:
            nonlocal told_s
            if loop.time() >= told_s:
                told_s = loop.time() + TELL_AT_S
                log.info("reading the journal", partition=self._partition, offsets=read, of=of)

        found = await asyncio.to_thread(read_newest, self._kafka, self._topic, self._partition, seen=seen)
        self._parts = sum(key != POSITION_KEY for key in found)
        return recalled(found, f"{self._topic}[{self._partition}]")

    async def write(
        self, messages: Sequence[Outgoing], position: Position, parts: Sequence[bytes] | None = None
    ) -> None:
        """Write a position, and a new snapshot in place of the old one, in one transaction with messages.

        Raises
        ------
        FencedError
            If another worker has claimed this partition: none of it will be seen.
        SendFailedError
            If the brokers refuse.
        """
        await self._transactions.send([*messages, *self._records(position, parts)])

    def close(self) -> None:
        self._transactions.close()

    def _records(self, position: Position, parts: Sequence[bytes] | None) -> list[Outgoing]:
        contents: list[tuple[bytes, bytes | None]] = [(POSITION_KEY, msgspec.json.encode(position))]
        if parts is not None:
            contents += [(part_key(number), part) for number, part in enumerate(parts)]
            contents += [(part_key(number), None) for number in range(len(parts), self._parts)]
            self._parts = len(parts)
        return [Outgoing(self._topic, value, key, partition=self._partition) for key, value in contents]


def part_key(number: int) -> bytes:
    return b"snapshot/%05d" % number


def recalled(found: Mapping[bytes, bytes], where: str) -> Recalled:
    """Return what the newest values of a journal say; ``where`` names it in errors and in the log.

    Raises
    ------
    WorkerError
        If there is a position, and not even its offset can be told: going on would tell alerts again.
    """
    value = found.get(POSITION_KEY)
    if value is None:
        return Recalled()
    position = _position(value, where)
    parts = [found.get(part_key(number)) for number in range(position.parts)]
    whole = [part for part in parts if part is not None]
    if not parts:
        return Recalled(position)
    if len(whole) < len(parts) or digest_of(whole) != position.digest:
        log.warning("snapshot refused", journal=where, reason="its records do not belong together")
        return Recalled(position)
    return Recalled(position, b"".join(whole))


def _position(value: bytes, where: str) -> Position:
    try:
        plain = msgspec.json.decode(value)
        if plain["format"] == JOURNAL_FORMAT:
            return msgspec.json.decode(value, type=Position)
        log.warning(
            "journal of another format, watching anew",
            journal=where, format=plain["format"], known=JOURNAL_FORMAT,
        )  # fmt: skip
        # Its offset and what fires are all that can be understood, and enough to tell nothing twice.
        kept = {name: plain[name] for name in ("offset", "firing")}
        return msgspec.convert(kept | {"snapshot_offset": 0}, Position)
    except (msgspec.MsgspecError, KeyError, TypeError) as error:
        raise WorkerError(
            f"{where}: expected a position of format {JOURNAL_FORMAT}, got one that cannot be read "
            f"({error}); delete the journal topic to watch anew, alerts are then told again"
        ) from error


def unpacked(snapshot: bytes) -> bytes:
    """Return the contents of a snapshot's records; ``zlib.error`` where they are damaged."""
    return zlib.decompress(snapshot)
