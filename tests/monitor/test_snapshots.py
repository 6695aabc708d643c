"""A monitor that was written down and read again goes on as it would have; nothing else is ever built."""

import hashlib
import io
import os
import pickle
import subprocess
import sys
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pane_rows import MINUTE_MS, T0, batch, numbers, reached, row

from schemas.settings import DetectorSettings, MonitorSettings, RuleSettings
from streams.drift.detectors import BINARY, REAL_VALUED
from streams.monitor import Findings, Loading, Monitor, SnapshotError
from streams.monitor.snapshot import _Reader, dump
from streams.worker import outgoing

RULES = (
    RuleSettings("accuracy-low", "accuracy", below=0.9, window_ms=10 * MINUTE_MS, min_labelled=50),
    RuleSettings("slow", "latency_p95_ms", above=500.0, window_ms=10 * MINUTE_MS, segment="country=DE"),
)
SETTINGS = MonitorSettings(maturity_horizon_ms=10 * MINUTE_MS, rules=RULES, segments=("country=DE",))


def again(monitor: Monitor) -> Monitor:
    loading = Loading(b"".join(dump(monitor)), monitor.settings)
    for _ in loading.steps():
        pass
    return loading.monitor


@cache
def told(i: int) -> pa.RecordBatch:
    """A minute of three models; each pane is labelled three minutes later."""
    rng = np.random.default_rng((5, i))
    bins = rng.integers(0, 9, 40).tolist()
    rows = [numbers(T0 + i * MINUTE_MS, rng.normal(0, 3.0 if i > 60 else 1.0, 40), model="price")]
    for version, segment, bad in (("1", "", 45 <= i < 75), ("1", "country=DE", 0), ("2", "", i >= 65)):
        key = {"version": version, "segment": segment, "latency": bins}
        rows.append(row(T0 + i * MINUTE_MS, n=200, labelled=0, **key))
        wrong = int(rng.binomial(200, 0.3 if bad else 0.04))
        ages = {"age_misses": {"ok": bins}, "examples": [f"p{i}"]}
        rows.append(row(T0 + (i - 3) * MINUTE_MS, n=200, wrong=wrong, revision=2, **key, **ages))
    return batch(*rows)


def minutes(monitor: Monitor, span: range) -> list[Findings]:
    found = []
    for i in span:
        monitor.absorb(told(i))
        found.append(monitor.advance([reached(T0 + (i + 1) * MINUTE_MS)]))
    return found


@pytest.mark.parametrize("at", [1, 47, 70])
def test_a_monitor_read_from_its_snapshot_finds_what_the_other_one_finds(at: int) -> None:
    plain = Monitor(SETTINGS)
    minutes(plain, range(at))
    copy = again(plain)
    rest = minutes(plain, range(at, 100))
    assert minutes(copy, range(at, 100)) == rest
    assert sum(len(one.alerts) for one in rest) >= 3
    assert any(one.drifts for one in rest)


@pytest.mark.parametrize("name", [*REAL_VALUED, *BINARY])
def test_each_detector_goes_on_from_its_snapshot(name: str) -> None:
    plain = Monitor(replace(SETTINGS, detectors=(DetectorSettings(name),), rules=()))
    # KSWIN sorts its whole window at each of 200 values a minute.
    at, end = (4, 8) if name == "KSWIN" else (40, 80)
    minutes(plain, range(at))
    copy = again(plain)
    assert minutes(copy, range(at, end)) == minutes(plain, range(at, end))


def test_a_snapshot_of_other_settings_is_refused() -> None:
    monitor = Monitor(SETTINGS)
    with pytest.raises(SnapshotError, match=r"^snapshot written by another version or for other settings$"):
        list(Loading(b"".join(dump(monitor)), replace(SETTINGS, rules=())).steps())


class Hostile:
    def __init__(self, call: Callable[..., Any], *given: Any) -> None:
        self._what = call, given

    def __reduce__(self) -> tuple[Any, ...]:
        return self._what


@pytest.mark.parametrize(
    "hostile",
    [
        Hostile(os.system, "true"),
        Hostile(eval, "1"),
        Hostile(getattr, Monitor(SETTINGS), "__class__"),
        Hostile(getattr, np.zeros(1), "tofile"),
        Hostile(Path, "/"),
        Hostile(subprocess.Popen, ["true"]),
        Hostile(np.load, "x"),
        OrderedDict(),
    ],
)
def test_a_snapshot_that_names_anything_but_parts_of_a_monitor_is_refused(hostile: object) -> None:
    with pytest.raises(SnapshotError, match=r"^snapshot names .*, which is no part of a monitor$"):
        list(Loading(pickle.dumps(hostile), SETTINGS).steps())


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("streams.monitor.snapshot", "pickle.loads"),
        ("streams.monitor.snapshot", "Path"),
        ("streams.monitor.snapshot", "dump"),
        ("streams.worker.sending", "Sender"),
        ("streams.monitorx", "Monitor"),
        ("builtins", "eval"),
    ],
)
def test_what_a_module_only_imports_and_functions_are_no_parts_of_a_monitor(module: str, name: str) -> None:
    with pytest.raises(SnapshotError, match=r"^snapshot names .*, which is no part of a monitor$"):
        _Reader(io.BytesIO()).find_class(module, name)


def test_a_snapshot_that_is_cut_short_or_changed_is_refused_and_never_half_used() -> None:
    monitor = Monitor(SETTINGS)
    minutes(monitor, range(20))
    whole = b"".join(dump(monitor))
    for at in range(0, len(whole) - 1, len(whole) // 40):
        with pytest.raises(SnapshotError):
            list(Loading(whole[:at], SETTINGS).steps())


DIGEST = """
import sys
sys.path.insert(0, sys.argv[1])
import test_snapshots
print(test_snapshots.digest())
"""


def digest() -> str:
    found = minutes(Monitor(SETTINGS), range(80))
    sent = []
    for one in found:
        sent += [*outgoing.finding_messages("f", one), *outgoing.alert_messages("a", one.alerts)]
    return f"{len(sent)} {hashlib.sha256(repr(sent).encode()).hexdigest()}"


def test_two_processes_with_different_hash_seeds_find_the_same_bytes() -> None:
    here = digest()
    seed = "2" if os.environ.get("PYTHONHASHSEED") == "1" else "1"  # ours is random, or another one
    there = subprocess.run(
        [sys.executable, "-c", DIGEST, str(Path(__file__).parent)],
        env=os.environ | {"PYTHONHASHSEED": seed},
        capture_output=True,
        check=True,
        text=True,
    ).stdout
    assert there.strip() == here
    assert int(here.split()[0]) > 100
