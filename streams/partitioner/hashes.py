"""The hashes by which Kafka's clients choose a partition for a key, each with whose default it is."""

import zlib
from collections.abc import Callable

_MASK = 0xFFFFFFFF
_POSITIVE = 0x7FFFFFFF


def murmur2(key: bytes) -> int:
    """Return Kafka's 32-bit MurmurHash2 of a key as an unsigned number (Appleby 2008, seed 0x9747b28c).

    Examples
    --------
    >>> hex(murmur2(b"foobar"))
    '0xd0e47bbe'
    """
    m = 0x5BD1E995
    length = len(key)
    h = 0x9747B28C ^ length
    whole = length & ~3
    for at in range(0, whole, 4):
        k = int.from_bytes(key[at : at + 4], "little") * m & _MASK
        k = (k ^ k >> 24) * m & _MASK
        h = (h * m & _MASK) ^ k
    if length > whole:
        h = (h ^ int.from_bytes(key[whole:], "little")) * m & _MASK
    h = (h ^ h >> 13) * m & _MASK
    return h ^ h >> 15


def fnv1a(key: bytes) -> int:
    """Return the 32-bit FNV-1a hash of a key as an unsigned number (RFC 9923).

    Examples
    --------
    >>> hex(fnv1a(b"foobar"))
    '0xbf9cf968'
    """
    h = 0x811C9DC5
    for byte in key:
        h = (h ^ byte) * 0x01000193 & _MASK
    return h


def _murmur2_place(key: bytes, partitions: int) -> int:
    return (murmur2(key) & _POSITIVE) % partitions


def _crc32_place(key: bytes, partitions: int) -> int:
    return zlib.crc32(key) % partitions


def _fnv1a_place(key: bytes, partitions: int) -> int:
    # As a signed number, without its sign: so does Sarama, and librdkafka after it.
    h = fnv1a(key)
    return (h if h <= _POSITIVE else (1 << 32) - h) % partitions


# By name: what chooses the partition, and whose default it is.
HASHES: dict[str, tuple[Callable[[bytes, int], int], str]] = {
    "murmur2": (_murmur2_place, "Java clients, Kafka's own"),
    "CRC32": (_crc32_place, "librdkafka's default, so Python, C#, Go and PHP on top of it"),
    "FNV-1a": (_fnv1a_place, "Sarama's and kafka-go's default"),
}


def place(name: str, key: bytes, partitions: int) -> int:
    """Return the partition that a hash of ``HASHES`` gives a key.

    Examples
    --------
    >>> [place(name, b"p1", 8) for name in HASHES]
    [2, 3, 6]
    """
    return HASHES[name][0](key, partitions)
