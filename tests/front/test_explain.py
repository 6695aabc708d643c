"""An alert explained: what, since when, how much, where, and SQL that runs as it stands."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta, timezone
from typing import Any

import pyarrow as pa
import pytest
from command_line import run

from aftcast.commands.explain_reading import read
from aftcast.commands.explain_statements import statements
from aftcast.commands.explain_words import document, lines
from schemas.findings import AlertEvent, DriftEvent, ModelState
from schemas.panes import PAIR_SEPARATOR
from schemas.signals import SignalKey, SignalPane
from sinks.clickhouse.client import Client, connect
from sinks.clickhouse.migrate import migrate
from sinks.clickhouse.writers import Writer
from streams.alerts.dead_letters import DeadLetters
from streams.alerts.drifts import DriftAlert
from streams.alerts.life_cycle import Occasion
from streams.alerts.silence import Gap, Silence

DATABASE = "explained"
MINUTE_MS = 60_000
HOUR_MS = 60 * MINUTE_MS
T0_MS = 2_524_608_000_000  # 2050-01-01, so that no TTL ever takes a test's rows
CHANGE_MS = T0_MS + 10 * HOUR_MS + 5 * MINUTE_MS
MODEL = "fraud 'é' \\"
ERROR = DriftEvent(
    model=MODEL,
    model_version="3.1",
    segment="",
    feature="",
    signal="error",
    detector="ADWIN",
    detected_at_ms=CHANGE_MS + 25 * HOUR_MS,
    change_start_ms=CHANGE_MS,
    change_end_ms=CHANGE_MS + 10 * MINUTE_MS,
    before=0.1,
    after=0.25,
    change_low=0.12,
    change_high=0.18,
    segments={"country=DE": 0.8, "country=FR": 0.2},
    examples=("a3", 'it\'s \\ "b4"'),
)
AMOUNT = replace(
    ERROR,
    signal="feature",
    feature="amount",
    segments={},
    examples=(),
    before=0.5,
    after=0.75,
    change_start_ms=CHANGE_MS - 5 * MINUTE_MS,
)
CET = timezone(timedelta(hours=1), "CET")


def table(rows: list[dict[str, Any]]) -> pa.Table:
    columns = {}
    for name, first in rows[0].items():
        values = [row[name] for row in rows]
        if isinstance(first, dict):
            values = pa.array([list(value.items()) for value in values], pa.map_(pa.string(), pa.int64()))
        elif name in ("timestamp", "pane_start"):
            values = pa.array(values, pa.timestamp("ms", tz="UTC"))
        columns[name] = values
    return pa.table(columns)


def drift_alerts() -> list[AlertEvent]:
    alert = DriftAlert(MODEL, "3.1", pane_width_ms=MINUTE_MS)
    for key in (SignalKey("error"), SignalKey("feature", "", "amount")):
        alert.fed(SignalPane(key, CHANGE_MS, CHANGE_MS + HOUR_MS, 10, 2.5, 2.5))
    alert.drifted(ERROR, withheld=False)
    events = alert.tell(ERROR.detected_at_ms)
    alert.drifted(AMOUNT, withheld=False)
    return events + alert.tell(ERROR.detected_at_ms + MINUTE_MS)


def other_alerts() -> list[AlertEvent]:
    gap = Gap(now_ms=T0_MS + HOUR_MS, last_ms=T0_MS, rate_per_ms=0.001)
    silent = Silence("price", None).advance(gap, begin_ms=T0_MS, silence_after_ms=60_000, certain=True)
    letters = DeadLetters(0.05).life.fire(
        Occasion(T0_MS, T0_MS + HOUR_MS, T0_MS + HOUR_MS, "7 % of the records were dead-lettered", 0.07)
    )
    return [*silent, *letters]


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    path = tmp_path_factory.mktemp("explain") / "served"
    command = [sys.executable, "-m", "sinks.clickhouse.http_server", str(path), "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        address = server.stdout.readline().strip()
        try:
            client = connect(address)
            migrate(client, DATABASE)
            migrate(client, "empty")
            client.close()
            fill(connect(address, database=DATABASE))
            yield address
        finally:
            server.terminate()


def fill(client: Client) -> None:
    writer = Writer(client, DATABASE)
    writer.write_alerts([*drift_alerts(), *other_alerts()])
    elsewhere = replace(ERROR, change_start_ms=T0_MS - 99 * HOUR_MS, change_end_ms=T0_MS - 98 * HOUR_MS)
    writer.write_drift_events([ERROR, AMOUNT, elsewhere])
    writer.write_model_states(
        [
            ModelState(
                MODEL, "3.1", "binary", T0_MS + 15 * HOUR_MS, T0_MS + 39 * HOUR_MS, provable_change=0.0312
            )
        ]
    )
    who = {"model": MODEL, "model_version": "3.1"}
    panes = []
    for hour in range(6, 16):
        right = 75 if hour >= 10 else 90
        pane = {"partition": 0, "revision": 1, "predictions": 110, "strings": 110, "labelled": 100}
        pane |= {
            "pane_start": T0_MS + hour * HOUR_MS,
            "class_n": 100,
            "hits": right,
            "predicted": {"ok": 110},
        }
        pane |= {"confusion": {f"ok{PAIR_SEPARATOR}ok": right, f"bad{PAIR_SEPARATOR}ok": 100 - right}}
        panes += [who | pane | {"segment": segment} for segment in ("", "country=DE")]
    writer.write("rollups", table(panes))
    predictions, labels = [], []
    for number, name in enumerate(["a0", "a1", "a2", *ERROR.examples]):
        at = {"prediction_id": name, "partition": 0}
        made = {"timestamp": CHANGE_MS + number * 1000, "prediction": "ok", "prediction_kind": "string"}
        predictions.append(
            who | at | made | {"role": "primary", "topic": "inference-events", "offset": number}
        )
        for later, label in enumerate(["ok", "bad"]):
            said = {"label": label, "label_kind": "string", "timestamp": CHANGE_MS + HOUR_MS + later}
            labels.append(at | said | {"topic": "label-events", "offset": 2 * number + later})
    writer.write("predictions", table(predictions))
    writer.write("labels", table(labels))
    deployed = {"timestamp": CHANGE_MS - 5 * MINUTE_MS, "kind": "deployed", "message": "new thresholds"}
    record = {"actor": "ci", "topic": "lifecycle-events", "partition": 0, "offset": 1}
    writer.write("lifecycle_events", table([who | deployed | record]))
    client.close()


@pytest.fixture
def client(url: str) -> Iterator[Client]:
    client = connect(url, database=DATABASE)
    yield client
    client.close()


def test_it_says_what_since_when_how_much_where_and_what_was_done(client: Client) -> None:
    fingerprint = drift_alerts()[0].fingerprint
    text = "\n".join(lines(read(client, DATABASE, fingerprint[:6]), CET))
    for expected in (
        "ErrorDrift  firing  page",
        f"fingerprint {fingerprint}",
        "what        error 0.1 -> 0.25, +0.15 (95 %: +0.12 to +0.18), found by ADWIN",
        "since       changed between 2050-01-01 10:05:00 UTC (11:05:00 CET)",
        "known at 2050-01-02 11:05:00 UTC (12:05:00 CET), when the evidence was complete",
        "nearby      deployed 3.1 at 2050-01-01 10:00:00 UTC (11:00:00 CET) by ci: new thresholds",
        "segments    country=DE carries 80% of the change",
        "feature amount 0.5 -> 0.75 from 2050-01-01 10:00:00 UTC",
        'examples    a3\n            it\'s \\ "b4"',
        "labels      100 labelled, 91% of the answered predictions",
        "a day of labels proves a rise of the error by 3.1 points",
        "2050-01-01 10:00          110       91%      0.75  yes  <- changed here",
        "history     2050-01-02 11:05:00 UTC (12:05:00 CET)  firing",
        "corrected",
    ):
        assert expected in text
    assert text.count("2050-01-01 10:00          110") == 1


def test_every_statement_runs_as_it_stands_and_finds_what_it_is_for(client: Client) -> None:
    plain = connect(client_url(client))
    fingerprints = {event.fingerprint for event in (*drift_alerts(), *other_alerts())}
    assert len(fingerprints) == 3
    found = {}
    for fingerprint in fingerprints:
        explanation = read(client, DATABASE, fingerprint)
        for title, statement in statements(explanation):
            found[explanation.alert["kind"], title] = plain.rows(statement)
    plain.close()
    hours = found["drift", "figures around the change, hour by hour"]
    assert [row["accuracy"] for row in hours] == [0.9] * 4 + [0.75] * 6
    classes = {(row["side"], row["class"]): row for row in found["drift", "which classes, before and after"]}
    assert classes["after", "ok"]["precision_of_side"] == pytest.approx(0.75)
    assert classes["before", "bad"]["recall_of_side"] == 0.0
    (de, everything) = sorted(
        found["drift", "which segments got worse"], key=lambda row: -len(row["segment"])
    )
    assert (de["segment"], everything["segment"]) == ("country=DE", "")
    assert everything["error_before"] == pytest.approx((4 * 0.1 + 0.25) / 5)
    examples = found["drift", "single predictions and what was true"]
    assert [(row["prediction_id"], row["label"]) for row in examples] == [
        ("a3", "bad"),
        ('it\'s \\ "b4"', "bad"),
    ]
    assert found["dead_letters", "what was set aside, by reason"] == []
    assert ("drift", "the features that moved, against their reference") in found


def client_url(client: Client) -> str:
    return f"http://{client.address}"


def test_without_example_ids_the_statement_looks_for_wrong_answers_after_the_change(client: Client) -> None:
    found = read(client, DATABASE, drift_alerts()[0].fingerprint)
    found = replace(found, alert=found.alert | {"evidence": found.evidence | {"examples": None}}, drifts=[])
    rows = client.rows(dict(statements(found))["single predictions and what was true"])
    assert [row["prediction_id"] for row in rows] == ["a0", "a1", "a2", "a3", ERROR.examples[1]]


def test_the_command_prints_it_and_json_for_programs(url: str) -> None:
    environment = {"AFTCAST_CLICKHOUSE__URL": url, "AFTCAST_CLICKHOUSE__DATABASE": DATABASE}
    fingerprint = drift_alerts()[0].fingerprint
    shown = run("explain", fingerprint.upper()[:8], **environment)
    assert (shown.returncode, shown.stderr) == (0, "")
    assert shown.stdout.startswith("ErrorDrift  firing  page\n")
    printed = json.loads(run("explain", fingerprint, "--json", **environment).stdout)
    assert printed["fingerprint"] == fingerprint
    assert [row["status"] for row in printed["history"]] == ["firing", "corrected"]
    assert printed["alert"]["evidence"]["signals_moved"] == 2
    assert len(printed["sql"]) == 5
    assert len(re.findall(r"^-- ", shown.stdout, re.M)) == 5


def test_an_unknown_fingerprint_lists_the_newest_alerts(url: str) -> None:
    environment = {"AFTCAST_CLICKHOUSE__URL": url, "AFTCAST_CLICKHOUSE__DATABASE": DATABASE}
    shown = run("explain", "no-such", **environment)
    assert shown.returncode == 1
    first, *listed = shown.stderr.splitlines()
    assert first == 'no alert has a fingerprint that begins with "no-such"; the newest are:'
    assert len(listed) == 3
    assert listed[0].startswith(f"  {drift_alerts()[0].fingerprint}  corrected  ")


def test_a_prefix_of_several_lists_them_and_an_empty_table_says_so(client: Client, url: str) -> None:
    from aftcast.failure import Failure

    with pytest.raises(Failure, match=r"^which alert\?; the newest are:\n"):
        read(client, DATABASE, "")
    empty = connect(url, database="empty")
    with pytest.raises(Failure, match=r"^there is no alert in empty\.alerts yet$"):
        read(empty, "empty", "ab")
    empty.close()


def test_clickhouse_away_is_one_line_with_the_remedy() -> None:
    shown = run("explain", "ab", "--url", "http://127.0.0.1:9")
    assert shown.returncode == 1
    assert shown.stderr.startswith("clickhouse: not reachable at 127.0.0.1:9 (")
    assert shown.stderr.endswith("; start `aftcast demo`, or give --url\n")


def test_the_document_holds_what_the_text_says(client: Client) -> None:
    found = read(client, DATABASE, drift_alerts()[0].fingerprint)
    told = document(found)
    assert told["examples"] == list(ERROR.examples)
    assert told["is_mature"] is True
    assert (told["change_start_ms"], told["change_end_ms"]) == (CHANGE_MS, ERROR.change_end_ms)
