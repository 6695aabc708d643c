"""What the page's addresses answer: figures of the views and of the truth, and the SQL that gave them."""

import json
import socket
import time
from collections import Counter
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from page_data import END_MS, PANE_MS, START_MS
from served_page import DATABASE, HOSTILE, Filled, Gate, ask, items, page_over, request

from aftcast.page.literals import bound, literal, pasted
from aftcast.page.spans import SPANS, interval_of
from aftcast.page.statements import FIGURES, STATEMENTS

SAID = {"model": "fraud", "version": "3.1", "segment": "", "feature": "merchant", "figure": "accuracy"}


def needed(name: str) -> dict[str, str]:
    return {key: SAID[key] for key in STATEMENTS[name].needs}


def ms(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp() * 1000)


@pytest.mark.parametrize("name", STATEMENTS)
def test_a_statement_answers_with_rows_and_its_sql_gives_them_again_wherever_it_is_pasted(
    page: str, filled: Filled, name: str
) -> None:
    reply = ask(page, name, **needed(name))
    rows = items(reply)
    assert rows or name == "cold"
    assert "{" not in reply.document["sql"]
    again = json.loads(filled.client.text(reply.document["sql"], "JSONCompact"))
    assert len(again["data"]) == len(rows)
    assert [column["name"] for column in again["meta"]] == reply.document["columns"] or not rows
    assert not reply.document["cut"]


def test_every_figure_that_is_offered_is_a_column_of_model_quality(filled: Filled) -> None:
    view = f"{DATABASE}.model_quality(window_seconds = 3600)"
    text = f"SELECT {', '.join(FIGURES)} FROM {view} LIMIT 1"  # noqa: S608
    assert list(filled.client.rows(text)[0]) == list(FIGURES)


@pytest.mark.parametrize("figure", ["accuracy", "auc", "label_delay_p95_s", "cost", "mape"])
def test_a_figure_on_the_page_is_the_one_of_model_quality(page: str, filled: Filled, figure: str) -> None:
    model = "price" if figure == "mape" else "fraud"
    reply = ask(page, "quality", model=model, segment="", figure=figure)
    told = [(row["model_version"], ms(row["window_start"]), row["figure"]) for row in items(reply)]
    width_s = reply.document["window_s"]
    view = filled.client.rows(
        f"SELECT model_version, window_start, {figure} AS figure "  # noqa: S608
        f"FROM {DATABASE}.model_quality(window_seconds = {width_s}) WHERE model = '{model}' AND segment = '' "
        "ORDER BY model_version, window_start"
    )
    expected = [
        (row["model_version"], int(row["window_start"].replace(tzinfo=UTC).timestamp() * 1000), row["figure"])
        for row in view
    ]
    assert told == expected
    assert any(value is not None for _, _, value in told)


def test_predictions_of_the_joins_add_up_to_what_was_sent(page: str, filled: Filled) -> None:
    sent = Counter((one["model"], one["model_version"]) for one in filled.truth)
    failed = Counter((one["model"], one["model_version"]) for one in filled.truth if one["status"] != "ok")
    rows = items(ask(page, "joins"))
    assert {(row["model"], row["model_version"]): row["predictions"] for row in rows} == sent
    for row in rows:
        key = row["model"], row["model_version"]
        assert row["failures"] == failed[key]
        parts = row["matched"] + row["waiting"] + row["without_label"] + row["failures"]
        assert parts == row["predictions"]
        assert row["waiting"] > 0
        assert row["without_label"] > 0


def test_the_delay_curve_ends_at_the_labelled_share_of_mature_panes(page: str, filled: Filled) -> None:
    states = {row["model_version"]: row for row in items(ask(page, "states", model="fraud"))}
    curve = items(ask(page, "delays", model="fraud", segment=""))
    for version in ("3.1", "3.2"):
        own = [row for row in curve if row["model_version"] == version]
        assert [row["age_s"] for row in own] == sorted(row["age_s"] for row in own)
        assert [row["share"] for row in own] == sorted(row["share"] for row in own)
        until_ms = ms(states[version]["mature_until"])
        answered = [
            one
            for one in filled.truth
            if (one["model"], one["model_version"], one["status"]) == ("fraud", version, "ok")
            and one["timestamp_ms"] // PANE_MS * PANE_MS + PANE_MS <= until_ms
        ]
        labelled = [one for one in answered if one["label"] is not None and one["label_known_ms"] < END_MS]
        # A label that was withdrawn in the end is none; those known at the end are all but the last few.
        assert own[-1]["share"] == pytest.approx(len(labelled) / len(answered), abs=0.004)


def test_a_distribution_counts_the_values_of_the_raw_rows(page: str, filled: Filled) -> None:
    reply = ask(page, "distribution", model="fraud", version="3.1", segment="", feature="merchant")
    told = {row["bin"]: row["now"] for row in items(reply)}
    raw = filled.client.rows(
        f"SELECT JSONExtractString(features['merchant']) AS merchant, count() AS n "  # noqa: S608
        f"FROM {DATABASE}.predictions FINAL WHERE model = 'fraud' AND model_version = '3.1' AND timestamp >= "
        f"'{reply.document['full_start'][:19].replace('T', ' ')}' AND timestamp < "
        f"'{reply.document['full_end'][:19].replace('T', ' ')}' GROUP BY merchant"
    )
    # Repeats stand in the raw rows and are counted once by the stream.
    total = sum(row["n"] for row in raw)
    assert set(told) - {"(others)"} == {row["merchant"] for row in raw}
    for row in raw:
        assert told[row["merchant"]] == pytest.approx(row["n"] / total, abs=0.02)
    assert sum(told.values()) == pytest.approx(1)


def test_a_feature_that_did_not_change_is_compared_with_its_reference(page: str) -> None:
    rows = items(ask(page, "features", model="fraud", segment=""))
    assert {row["feature"] for row in rows} >= {"amount", "merchant", "card_present"}
    assert all(row["psi"] is not None for row in rows)


def test_counts_that_came_before_their_features_make_no_feature_look_missing(
    page: str, filled: Filled
) -> None:
    until = "pane_start < toDateTime('2050-01-01 06:45:00', 'UTC')"
    copied = {"rollups": "1", "feature_rollups": until, "feature_references": "1"}
    for table, where in copied.items():
        chosen = f"SELECT * FROM {DATABASE}.{table} WHERE model = 'price' AND {where}"  # noqa: S608
        rows = f"SELECT * REPLACE ('ahead' AS model) FROM ({chosen})"  # noqa: S608
        filled.client.command(f"INSERT INTO {DATABASE}.{table} {rows}")
    try:
        reply = ask(page, "features", model="ahead", segment="")
        rows = items(reply)
        assert reply.document["full_end"] == "2050-01-01T06:40:00Z"
        assert max(row["window_start"] for row in rows) == "2050-01-01T06:00:00Z"
        assert max(row["missing_share"] for row in rows) < 0.2  # of the one that a tenth is missing of
        assert not any(row["drifted"] for row in rows)
        shown = ask(page, "distribution", model="ahead", version="12", segment="", feature="rooms")
        assert shown.document["full_end"] == reply.document["full_end"]
    finally:
        for table in copied:
            filled.client.command(f"DELETE FROM {DATABASE}.{table} WHERE model = 'ahead'")  # noqa: S608


def test_what_happened_is_told_with_its_evidence(page: str) -> None:
    alerts = items(ask(page, "alerts", model="fraud"))
    firing = [row for row in alerts if row["status"] == "firing"]
    assert firing
    assert all(row["model"] == "fraud" and row["is_open"] for row in firing)
    assert any("deployed" in row["evidence"].get("lifecycle", "") for row in firing)
    assert [row["kind"] for row in items(ask(page, "lifecycle", model="price"))] == [
        "maintenance_ended",
        "maintenance_started",
    ]
    assert items(ask(page, "orphans"))[0]["examples"] == ["nobodys"]
    assert items(ask(page, "dead_letters"))[0]["letters"] > 0


@pytest.mark.parametrize("name", [name for name in STATEMENTS if "model" in STATEMENTS[name].needs])
def test_a_hostile_name_is_a_name_and_nothing_else(page: str, filled: Filled, name: str) -> None:
    before = filled.client.rows(f"SELECT count() AS n FROM {DATABASE}.rollups")  # noqa: S608
    said = {**needed(name), **{key: HOSTILE for key in STATEMENTS[name].needs if key != "figure"}}
    reply = ask(page, name, **said)
    assert items(reply) == []
    assert filled.client.rows(reply.document["sql"]) == []
    assert filled.client.rows(f"SELECT count() AS n FROM {DATABASE}.rollups") == before  # noqa: S608


@settings(max_examples=15)
@given(st.lists(st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), max_size=40), min_size=1))
def test_any_text_comes_out_of_its_literal_as_it_went_in(filled: Filled, texts: list[str]) -> None:
    shown = ", ".join(literal(text) for text in texts)
    (row,) = filled.client.rows(f"SELECT [{shown}] AS texts")
    assert list(row["texts"]) == texts


@given(st.text(), st.text())
def test_a_value_that_looks_like_a_parameter_is_not_filled_in(one: str, other: str) -> None:
    values = {"a": f"{{b:String}}{one}", "b": other}
    assert pasted("{a:String} {b:String}", values) == f"{literal(values['a'])} {literal(other)}"


@pytest.mark.parametrize("span", SPANS.values(), ids=lambda span: span.name)
@pytest.mark.parametrize("pane_s", [1, 60, 300, 420, 3600])
def test_an_interval_is_of_whole_windows_of_whole_panes_and_holds_the_newest_pane(
    span: Any, pane_s: int
) -> None:
    newest = datetime.fromtimestamp((1_767_225_600 // pane_s) * pane_s, UTC)
    found = interval_of(span, newest, pane_s)
    width = found.window_s
    assert width % pane_s == 0
    assert found.start < found.end
    assert found.start.timestamp() % width == found.end.timestamp() % width == 0
    assert found.end.timestamp() - width <= newest.timestamp() < found.end.timestamp()
    assert (found.end - found.start).total_seconds() <= max(span.seconds, width)


@pytest.mark.parametrize(
    ("path", "rule"),
    [
        ("nothing?span=1h", "there is no statement 'nothing'; known: newest, states"),
        ("overview", "span must be one of 1h, 6h"),
        ("overview?span=9999d", "span must be one of 1h, 6h"),
        ("quality?span=1h&segment=&figure=f1", "model is missing"),
        ("quality?span=1h&segment=&model=a&figure=1,password", "figure must be one of accuracy,"),
        ("delays?span=1h&segment=&model=" + "a" * 1001, "model is 1001 characters long; 1000 at most"),
    ],
)
def test_a_request_that_names_nothing_there_is_gets_400_and_the_rule(page: str, path: str, rule: str) -> None:
    reply = request(page, f"/api/{path}")
    assert reply.status == 400
    assert reply.document["error"].startswith(rule)


def test_a_request_line_longer_than_8_kb_is_refused(page: str) -> None:
    assert request(page, "/api/delays?span=1h&segment=&model=" + "a" * 9000).status in (400, 414)


def test_clickhouse_away_is_said_and_forgotten_once_it_is_back(filled: Filled) -> None:
    with Gate(filled.url) as gate, page_over(gate.address) as server:
        assert len(items(ask(server.address, "states"))) == 3
        gate.close()
        time.sleep(1.1)  # an answer counts for a second
        away = ask(server.address, "overview")
        assert away.status == 503
        assert away.document["error"].startswith("clickhouse: not reachable at 127.0.0.1")
        gate.open()
        assert len(items(ask(server.address, "states"))) == 3


def test_clickhouse_that_hangs_does_not_hang_the_page(filled: Filled) -> None:
    with Gate(filled.url) as gate, page_over(gate.address, answer_within_s=1) as server:
        assert items(ask(server.address, "states"))
        gate.stuck = True
        time.sleep(1.1)
        began_s = time.monotonic()
        assert ask(server.address, "overview").status == 503
        assert time.monotonic() - began_s < 20
        assert request(server.address, "/").status == 200


def test_browsers_that_leave_before_the_answer_hold_up_nobody(page: str) -> None:
    host, port = page.removeprefix("http://").rstrip("/").split(":")
    path = f"/api/features?{urlencode({'span': '7d', 'model': 'fraud', 'segment': ''})}"
    for _ in range(8):
        with socket.create_connection((host, int(port))) as left:
            left.sendall(f"GET {path} HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n".encode())
    assert len(items(ask(page, "states"))) == 3


def test_bound_times_are_those_of_the_literal(filled: Filled) -> None:
    at = datetime.fromtimestamp(START_MS / 1000, UTC).replace(tzinfo=None)
    (row,) = filled.client.rows(
        f"SELECT {literal(at)} AS shown, {{at:DateTime('UTC')}} AS sent",
        {"at": bound(at)},
    )
    assert row["shown"] == row["sent"] == at
