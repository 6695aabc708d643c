"""What predictions carried is in ClickHouse, counted once, by way of a worker and the raw role on Kafka."""

import json
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Producer

from schemas.features import grid_cell
from sinks.clickhouse.client import connect
from sinks.raw_blocks import RawTopics
from sinks.raw_writer import RawWriter, RawWriterSettings
from streams.decode import Decoder

sys.path.append(str(Path(__file__).parents[1] / "kafka"))
from test_worker_on_kafka import Place, place, until  # noqa: F401

pytestmark = pytest.mark.kafka
QUERY = """
SELECT feature, sum(n) AS n, sum(numbers) AS numbers, sum(sum) AS total,
    sumMap(cells, cell_counts) AS cells, sumMap(categories) AS categories
FROM feature_rollups FINAL WHERE segment = '' AND signal = 'feature' GROUP BY feature ORDER BY feature
"""


def test_feature_rows_reach_clickhouse_and_add_up_over_partitions(
    embedded_database: Any,
    place: Place,  # noqa: F811
) -> None:
    hour_ago_ms = time.time_ns() // 1_000_000 - 3_600_000
    producer = Producer({"bootstrap.servers": place.kafka, "partitioner": "murmur2_random"})
    for i in range(900):
        event = {
            "prediction_id": f"p{i}", "model": "m", "timestamp": hour_ago_ms + 100 * i, "prediction": "yes",
            "features": {"amount": i % 3 + 0.5, "city": "ab"[i % 2], "age": None if i % 9 else 40},
        }  # fmt: skip
        producer.produce(place.topics["inference"], json.dumps(event).encode(), f"p{i}".encode())
    assert producer.flush(20) == 0
    topics = RawTopics(**{name: place.topics[name] for name in RawTopics.__slots__})
    settings = RawWriterSettings({"bootstrap.servers": place.kafka}, topics, "raw", embedded_database.name)
    writer = RawWriter(settings, lambda: connect(embedded_database.url), Decoder())
    stop = threading.Event()
    writing = threading.Thread(target=writer.run, args=(stop,))
    writing.start()
    try:
        place.start()
        place.await_ready()
        client = embedded_database.client
        until(lambda: counted(client.rows(QUERY)) == (100, 900, 900), place.log)
        age, amount, city = client.rows(QUERY)
        assert (amount["numbers"], amount["total"]) == (900, 1_350.0)
        cells, counts = amount["cells"]
        assert dict(zip(cells, counts, strict=True)) == {grid_cell(x): 300 for x in (0.5, 1.5, 2.5)}
        assert city["categories"] == {"a": 450, "b": 450}
        assert age["total"] == 4_000.0
    finally:
        stop.set()
        writing.join(30)


def counted(rows: list[dict[str, Any]]) -> tuple[int, ...]:
    return tuple(row["n"] for row in rows)
