"""Keys are placed as clients place them: Java's published vectors, and librdkafka at work."""

import random
from collections.abc import Iterator

import pytest
from confluent_kafka import Producer

from streams.partitioner import HASHES, place
from streams.partitioner.hashes import murmur2

# Of Kafka's own unit test of Utils.murmur2, signed as Java has it.
JAVA = {
    b"21": -973932308,
    b"foobar": -790332482,
    b"a-little-bit-long-string": -985981536,
    b"a-little-bit-longer-string": -1486304829,
    b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971,
    b"abc": 479470107,
}
LIBRDKAFKA = {"murmur2": "murmur2", "CRC32": "consistent", "FNV-1a": "fnv1a"}


@pytest.mark.parametrize(("key", "value"), JAVA.items())
def test_murmur2_is_javas(key: bytes, value: int) -> None:
    assert murmur2(key) == value & 0xFFFFFFFF


def keys() -> Iterator[bytes]:
    draw = random.Random(7)
    for length in range(1, 200):
        yield draw.randbytes(length)


@pytest.mark.parametrize("name", HASHES)
def test_keys_are_placed_as_librdkafka_places_them(name: str) -> None:
    # Its own cluster in memory, whose topics have four partitions.
    producer = Producer({"test.mock.num.brokers": 1, "partitioner": LIBRDKAFKA[name], "log_level": 0})
    placed: dict[bytes, int] = {}

    def delivered(error: object, message: object) -> None:
        assert error is None, error
        placed[message.key()] = message.partition()  # type: ignore[attr-defined]

    for key in keys():
        producer.produce("t", b"", key, on_delivery=delivered)
    assert producer.flush(20) == 0
    assert placed == {key: place(name, key, 4) for key in keys()}
    assert len(set(placed.values())) == 4
