"""A replay with implicit labels is the replay of a recording in which they were written down."""

import json

import pytest
from recorded import write

from aftcast.configuration import Configuration, Model, Panes
from aftcast.replay import run_replay

START_MS = 1_780_000_000_000
HOUR_MS = 3_600_000
WIDE = Panes(width="5m")  # a replay takes its time by the pane


def events():
    """Predictions every minute; of every fifth the truth is a click, after up to three hours."""
    said, clicks = [], []
    for i in range(600):
        time_ms = START_MS + i * 60_000
        answer = "1" if i % 4 == 0 else "0"
        said.append({"prediction_id": str(i), "model": "clicks", "timestamp": time_ms, "prediction": answer})
        if i % 5 == 0:
            delay_ms = i * 7_919 % (3 * HOUR_MS)
            clicks.append({"prediction_id": str(i), "label": "1", "timestamp": time_ms + delay_ms})
        if i % 50 == 0:
            clicks.append({"prediction_id": str(i), "label": None, "timestamp": time_ms + 4 * HOUR_MS})
    return said, clicks


def replay(folder, said, labels, configuration, until_ms):
    folder.mkdir()
    files = [write(folder / "said.ndjson", said)], [write(folder / "labels.ndjson", labels)]
    summary = run_replay(*files, [], configuration, HOUR_MS, False, until_ms, folder / "out")
    rows = (folder / "out" / "model_quality.ndjson").read_text().splitlines()
    return summary, [json.loads(row) for row in rows]


@pytest.mark.parametrize("until_h", [0, 11, 15])
def test_given_labels_count_as_if_they_had_come(tmp_path, until_h):
    said, clicks = events()
    end_ms = max(START_MS + until_h * HOUR_MS, *(e["timestamp"] for e in (*said, *clicks)))
    given = {"clicks": Model(implicit_label="0", implicit_after="2h")}
    summary, rows = replay(tmp_path / "a", said, clicks, Configuration(models=given, panes=WIDE), end_ms)
    met = {click["prediction_id"] for click in clicks}
    written = [
        {"prediction_id": e["prediction_id"], "label": "0", "timestamp": e["timestamp"] + 2 * HOUR_MS}
        for e in said
        if e["prediction_id"] not in met and e["timestamp"] + 2 * HOUR_MS <= end_ms
    ]
    _, expected = replay(tmp_path / "b", said, [*clicks, *written], Configuration(panes=WIDE), end_ms)
    assert rows == expected
    labels = summary["labels"]
    assert labels["implicit"] == len(written)
    assert labels["read"] == labels["accepted"] == len(clicks)
    assert labels["accepted"] == labels["joined"] + labels["replaced"] + labels["waiting"]
