"""librdkafka's built-in mock cluster on a local port, which speaks Kafka as far as a demo needs it."""

import ctypes
import os
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import confluent_kafka

from aftcast.failure import Failure

_PRODUCER = 0
_TEXT_BYTES = 512


class MockKafka:
    """One broker in this process, for trying out: in memory, without compaction or transactions to rely on.

    A partition keeps its newest 5 MB or 100,000 records. Topics are those given here; none can be created
    by a client, and none is.

    Examples
    --------
    >>> with MockKafka({"inference-events": 2}) as kafka:
    ...     kafka.bootstrap_servers.startswith("127.0.0.1:")
    True
    """

    def __init__(self, topics: Mapping[str, int]) -> None:
        self._library = _librdkafka()
        self._client = self._new_client()
        self._cluster = self._library.rd_kafka_mock_cluster_new(self._client, 1)
        if not self._cluster:
            raise Failure("the mock cluster of librdkafka could not be started")
        # Members come one after the other within moments: waiting three seconds for more helps nobody.
        self._library.rd_kafka_mock_group_initial_rebalance_delay_ms(self._cluster, 0)
        for topic, partitions in topics.items():
            if self._library.rd_kafka_mock_topic_create(self._cluster, topic.encode(), partitions, 1):
                raise Failure(f"the mock cluster refused the topic {topic}")
        self.bootstrap_servers: str = self._library.rd_kafka_mock_cluster_bootstraps(self._cluster).decode()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Stop the broker; clients that are still connected see it gone."""
        if self._cluster:
            self._library.rd_kafka_mock_cluster_destroy(self._cluster)
            self._library.rd_kafka_destroy(self._client)
            self._cluster = None

    def _new_client(self) -> Any:
        # The cluster lives on a client's threads; this one connects to nothing.
        options = self._library.rd_kafka_conf_new()
        text = ctypes.create_string_buffer(_TEXT_BYTES)
        for name, value in ((b"log_level", b"0"), (b"client.id", b"aftcast-mock")):
            self._library.rd_kafka_conf_set(options, name, value, text, _TEXT_BYTES)
        client = self._library.rd_kafka_new(_PRODUCER, options, text, _TEXT_BYTES)
        if not client:
            raise Failure(f"the mock cluster of librdkafka could not be started: {text.value.decode()}")
        return client


def library_path() -> Path:
    """Return the shared object of librdkafka inside the installed wheel."""
    package = Path(confluent_kafka.__file__).parent
    places = (package.parent / "confluent_kafka.libs", package / ".dylibs", package)  # Linux, macOS, Windows
    for place in places:
        found = sorted(place.glob("*rdkafka*"))
        found = [path for path in found if "rdkafka++" not in path.name]
        if found:
            return found[0]
    raise Failure(
        "the demo needs the librdkafka inside confluent-kafka's wheel, and there is none beside "
        f"{package}; install confluent-kafka as a wheel"
    )


def _librdkafka() -> Any:
    library: Any = ctypes.CDLL(os.fspath(library_path()))
    pointer, text, number = ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int
    signatures: dict[str, tuple[Any, list[Any]]] = {
        "rd_kafka_conf_new": (pointer, []),
        "rd_kafka_conf_set": (number, [pointer, text, text, text, ctypes.c_size_t]),
        "rd_kafka_new": (pointer, [number, pointer, text, ctypes.c_size_t]),
        "rd_kafka_destroy": (None, [pointer]),
        "rd_kafka_mock_cluster_new": (pointer, [pointer, number]),
        "rd_kafka_mock_cluster_destroy": (None, [pointer]),
        "rd_kafka_mock_cluster_bootstraps": (text, [pointer]),
        "rd_kafka_mock_topic_create": (number, [pointer, text, number, number]),
        "rd_kafka_mock_group_initial_rebalance_delay_ms": (None, [pointer, ctypes.c_int32]),
    }
    for name, (result, arguments) in signatures.items():
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    return library
