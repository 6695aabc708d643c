"""The producers' helper without Kafka: what it makes of values, that it never disturbs, and its weight."""

import logging
import subprocess
import sys
import time
from datetime import UTC, datetime
from decimal import Decimal
from enum import Enum
from math import inf, nan

import numpy as np
import pandas as pd
import pytest

from aftcast.client import EventError, Reporter
from aftcast.client.counts import TELL_EVERY_S, Ledger
from aftcast.client.events import class_text, features_of, given, milliseconds, number, plain

AWAY = "127.0.0.1:1"


class Colour(str, Enum):  # noqa: UP042 - its text is another than its value
    red = "r"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (np.int32(3), 3),
        (np.float32(0.5), 0.5),
        (np.bool_(True), True),
        (np.str_("x"), "x"),
        (np.array(7), 7),
        (Decimal("12.5"), 12.5),
        (Colour.red, "r"),
        (None, None),
        (2**70, 2**70),
    ],
)
def test_a_scalar_of_any_library_becomes_pythons_own_of_the_same_kind(
    value: object, expected: object
) -> None:
    assert plain(value) == expected
    assert type(plain(value)) is type(expected)


def test_what_pandas_calls_missing_is_null_as_a_feature_and_never_withdraws_a_label() -> None:
    row = pd.Series({"a": nan, "b": pd.NA, "c": pd.NaT, "d": 1.5}, dtype=object)
    assert features_of(row, None) == {"a": None, "b": None, "c": None, "d": 1.5}
    assert number(nan) is None
    assert not given(pd.NA)
    assert np.isnan(plain(pd.NaT))  # type: ignore[arg-type]


def test_features_that_are_no_finite_scalars_are_told_and_leave_the_others_alone() -> None:
    told: dict[str, str] = {}
    found = features_of({"ok": 1, "list": [1], "far": inf, "long": 2**70, 5: "x"}, told.__setitem__)
    assert found == {"ok": 1, "far": None, "long": float(2**70), "5": "x"}
    assert told == {"list": "expected null, boolean, number or text, got list", "far": "got inf"}
    with pytest.raises(
        EventError, match=r"^\$\.features\.list: expected null, boolean, number or text, got list$"
    ):
        features_of({"list": [1]}, None)


def test_classes_are_spelled_as_the_worker_spells_them() -> None:
    assert [class_text(c) for c in (True, np.int64(1), 1.0, 0.5, "de")] == ["true", "1", "1", "0.5", "de"]


def test_a_time_is_milliseconds_or_has_a_zone() -> None:
    assert milliseconds(datetime(2026, 1, 1, 0, 0, 0, 250_999, tzinfo=UTC)) == 1_767_225_600_250
    assert milliseconds(np.int64(5)) == 5
    assert milliseconds(pd.Timestamp("2026-01-01", tz="UTC")) == 1_767_225_600_000
    for wrong in (datetime(2026, 1, 1), 1767225600.25, "2026-01-01T00:00:00Z", True, pd.NaT):  # noqa: DTZ001
        with pytest.raises(EventError, match=r"^\$\.timestamp: expected "):
            milliseconds(wrong)


@pytest.mark.parametrize("encoding", ["avro", "json"])
def test_with_the_broker_away_the_caller_neither_waits_nor_hears_and_all_is_counted(encoding) -> None:
    slowest_s = 0.0
    with Reporter(AWAY, model="m", encoding=encoding, most_waiting=500, flush_within_s=0.2) as reporter:
        for i in range(3_000):
            began_s = time.perf_counter()
            reporter.prediction(i, "x", features={"a": 1.5})
            slowest_s = max(slowest_s, time.perf_counter() - began_s)
        counts = reporter.counts
        assert counts.given == 3_000
        assert counts.dropped == 2_500
        assert counts.waiting == 500
        began_s = time.perf_counter()
    # Far above what it takes, and far below the least that anything here waits for a network.
    assert slowest_s < 1.0
    assert time.perf_counter() - began_s < 5.0
    assert (reporter.counts.dropped, reporter.counts.waiting) == (3_000, 0)


@pytest.mark.parametrize(
    ("prediction_id", "prediction", "fields"),
    [
        (None, "x", {}),
        ("a", [1], {}),
        ("a", "x", {"timestamp": datetime(2026, 1, 1)}),  # noqa: DTZ001
        ("a", "x", {"features": 3}),
        ("a", "x", {"scores": {"x": "high"}}),
        ("a", "x", {"latency_ms": "fast"}),
        ("a", "x", {"segments": {"country": ["de"]}}),
        ("a", "\ud800", {}),
        ("a", "x", {"features": {"text": "y" * 2_000_000}}),
    ],
)
def test_nothing_that_is_given_raises(prediction_id, prediction, fields) -> None:
    with Reporter(AWAY, model="m", flush_within_s=0) as reporter:
        reporter.prediction(prediction_id, prediction, **fields)
        counts = reporter.counts
    assert counts.refused + counts.dropped == 1


def test_after_close_events_are_dropped_and_counted() -> None:
    reporter = Reporter(AWAY, flush_within_s=0)
    reporter.close()
    reporter.label("a", "x")
    assert (reporter.counts.dropped, reporter.flush()) == (1, 0)


def test_strict_refuses_in_the_words_of_the_worker() -> None:
    with Reporter(AWAY, model="m", strict=True, flush_within_s=0) as reporter:
        reporter.prediction("a", "x", scores={"x": 0.5})
        for fields, message in (
            (
                {"scores": {"x": 2}},
                r"^InferenceEvent: .*\$\.scores\.x: expected|^InferenceEvent: .*must be in \[0, 1\]",
            ),
            ({"latency_ms": -1}, r"^InferenceEvent: .*latency_ms: must be 0 or more, got -1\.0"),
            ({"timestamp": 1_767_225_600}, r"^InferenceEvent: .*timestamp"),
            ({"features": {"f": [1]}}, r"^\$\.features\.f: expected null"),
            ({"features": {"f": inf}}, r"^InferenceEvent: .*features\.f: got inf"),
            ({"model": ""}, r"^InferenceEvent: .*model: must not be empty"),
        ):
            with pytest.raises(EventError, match=message):
                reporter.prediction("a", "x", **fields)
        with pytest.raises(EventError, match=r"^LabelEvent: .*label: got nan"):
            reporter.label("a", nan)
        assert reporter.counts.refused == 7


def test_wrong_arguments_are_told_at_the_start() -> None:
    with pytest.raises(ValueError, match=r'^encoding must be "avro" or "json"; got \'xml\'$'):
        Reporter(AWAY, encoding="xml")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"^partitioner is murmur2_random: "):
        Reporter(AWAY, kafka={"partitioner": "random"})
    with pytest.raises(ValueError, match=r'^Kafka: No such configuration property: "no\.such"$'):
        Reporter(AWAY, kafka={"no.such": "1"})


def test_losses_are_told_at_once_and_then_once_a_minute(caplog: pytest.LogCaptureFixture) -> None:
    now_s = 0.0
    ledger = Ledger(lambda: now_s)
    with caplog.at_level(logging.WARNING, "aftcast.client"):
        ledger.tell()
        assert not caplog.messages
        for now_s in (1.0, 2.0, 1.0 + TELL_EVERY_S - 0.1, 1.0 + TELL_EVERY_S):  # noqa: B007
            ledger.add("dropped", "the queue is full")
            ledger.tell()
    line = "{} events dropped, 0 refused, 0 features left out, last reason: {}; 0 delivered so far"
    assert caplog.messages == [line.format(n, "the queue is full") for n in (1, 3)]


def test_importing_and_using_it_loads_no_library_of_the_worker() -> None:
    program = (
        "import sys\nfrom aftcast.client import Reporter\n"
        "r = Reporter('127.0.0.1:1', model='m', flush_within_s=0)\nr.prediction('a', 1.5); r.label('a', 2)\n"
        "heavy = {'numpy', 'pandas', 'pyarrow', 'numba', 'faust', 'pydantic', 'typer', 'structlog'}\n"
        "print(sorted(heavy & sys.modules.keys()), r.counts.refused)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], check=False, capture_output=True, text=True, timeout=60
    )
    assert done.stdout == "[] 0\n", done.stderr
