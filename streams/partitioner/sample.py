"""A bounded sample of the newest keys of one topic partition, and what it says about where keys lie."""

from collections.abc import Sequence
from dataclasses import dataclass

from streams.partitioner.hashes import HASHES

KEPT = 256  # of 64 partitions, ten keys already tell one hash from another; the rest finds a few that differ
_NO_KEY, _ID_KNOWN, _IS_ID = 1 << 8, 1 << 9, 1 << 10


@dataclass(frozen=True, slots=True)
class Evidence:
    """Distinct keys seen on partitions of one topic, and how many lie where each hash puts them.

    Evidence of several partitions of one topic is added up.
    """

    partitions: int
    keys: int = 0
    without_key: int = 0
    fits: tuple[int, ...] = (0,) * len(HASHES)  # in the order of HASHES
    ids_known: int = 0  # keys whose record could be read
    are_ids: int = 0  # of them, those that are the record's prediction id
    example: str = ""  # a key that is not

    def __add__(self, other: "Evidence") -> "Evidence":
        return Evidence(
            self.partitions,
            self.keys + other.keys,
            self.without_key + other.without_key,
            tuple(a + b for a, b in zip(self.fits, other.fits, strict=True)),
            self.ids_known + other.ids_known,
            self.are_ids + other.are_ids,
            self.example or other.example,
        )

    @property
    def sampled(self) -> int:
        return self.keys + self.without_key


class KeySample:
    """The newest distinct keys of one partition, of ``partitions`` in all."""

    def __init__(self, partition: int, partitions: int, *, shows_keys: bool = True) -> None:
        self._partition = partition
        self._shows_keys = shows_keys
        self._partitions = partitions
        self._seen: dict[bytes | int, int] = {}
        self._without_key = 0
        self._example = ""

    def add(self, keys: Sequence[bytes | None], ids: Sequence[str | None]) -> None:
        """Take in keys, each with the prediction id of its record, None where that could not be read."""
        for key, prediction_id in zip(keys, ids, strict=True):
            if not key:
                self._without_key += 1
                self._seen[self._without_key] = _NO_KEY
                continue
            self._seen.pop(key, None)  # to its end: the newest stay
            self._seen[key] = self._judged(key, prediction_id)
        while len(self._seen) > KEPT:
            del self._seen[next(iter(self._seen))]

    def _judged(self, key: bytes, prediction_id: str | None) -> int:
        flags = 0
        for bit, (chooses, _) in enumerate(HASHES.values()):
            flags |= (chooses(key, self._partitions) == self._partition) << bit
        if prediction_id is not None:
            is_id = key == prediction_id.encode()
            flags |= _ID_KNOWN | (_IS_ID if is_id else 0)
            if not is_id and not self._example:
                self._example = repr(key[:40])[2:-1] if self._shows_keys else "not shown"
        return flags

    @property
    def evidence(self) -> Evidence:
        flags = self._seen.values()
        without_key = sum(flag == _NO_KEY for flag in flags)
        return Evidence(
            self._partitions,
            len(self._seen) - without_key,
            without_key,
            tuple(sum(flag >> bit & 1 for flag in flags) for bit in range(len(HASHES))),
            sum(flag & _ID_KNOWN > 0 for flag in flags),
            sum(flag & _IS_ID > 0 for flag in flags),
            self._example,
        )
