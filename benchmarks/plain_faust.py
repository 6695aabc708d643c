"""The rival of end_to_end.py: the same join and counts as plain Faust agents and tables.

python benchmarks/plain_faust.py BOOTSTRAP EVENTS [NAME]    (prints events per second, and ends)

With a name it goes on where a process of that name stood, by its commits and its changelogs.
"""

import asyncio
import io
import sys
import time

import fastavro
import faust

from schemas.contracts import CONTRACTS

bootstrap, expected = sys.argv[1], int(sys.argv[2])
app = faust.App(
    sys.argv[3] if len(sys.argv) > 3 else f"plain-{time.time_ns()}",
    broker=f"kafka://{bootstrap}",
    store="memory://",
    topic_partitions=2,
    web_enabled=False,
    consumer_auto_offset_reset="earliest",
)
predictions = app.topic("inference-events", value_serializer="raw", key_serializer="raw")
labels = app.topic("label-events", value_serializer="raw", key_serializer="raw")
waiting = app.Table("waiting", key_type=str, value_type=list)
panes = app.Table("panes", default=dict, key_type=str, value_type=dict)
seen = {"events": 0, "first": 0.0}
done = asyncio.Event()


def count():
    seen["first"] = seen["first"] or time.perf_counter()
    seen["events"] += 1
    if seen["events"] == expected:
        done.set()


def decoded(name, value):
    return fastavro.schemaless_reader(io.BytesIO(value[10:]), CONTRACTS[name].parsed)


@app.agent(predictions)
async def predict(stream):
    async for value in stream:
        event = decoded("InferenceEvent", value)
        pane = int(event["timestamp"].timestamp()) // 60
        waiting[event["prediction_id"]] = [pane, event["prediction"], event["segments"]["country"]]
        for segment in ("", event["segments"]["country"]):
            row = panes[f"{pane}/{segment}"]
            row["predictions"] = row.get("predictions", 0) + 1
            panes[f"{pane}/{segment}"] = row
        count()


@app.agent(labels)
async def label(stream):
    async for value in stream:
        event = decoded("LabelEvent", value)
        found = waiting.get(event["prediction_id"])
        if found is not None:
            pane, said, country = found
            for segment in ("", country):
                row = panes[f"{pane}/{segment}"]
                cell = f"{event['label']}/{said}"
                row[cell] = row.get(cell, 0) + 1
                panes[f"{pane}/{segment}"] = row
        count()


async def main():
    await app.start()
    await done.wait()
    print(seen["events"] / (time.perf_counter() - seen["first"]), flush=True)
    await app.stop()


if __name__ == "__main__":
    asyncio.run(main())
