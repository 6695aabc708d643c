"""The nowcast in SQL against its formulas in plain Python, root by scipy, and why there is none."""

import math
from collections import Counter
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from pane_oracle import Joined, members_of, pane_rows, seconds
from scipy.optimize import brentq

from schemas.findings import DelayCurve, ModelState
from sinks.clickhouse.writers import Writer

HOUR_MS = 3_600_000
T0_MS = 2_524_608_000_000  # 2050-01-01, so that no TTL ever takes a test's rows
NOW_MS = T0_MS + 4 * HOUR_MS + 20_000
EDGES_S = [2 ** (i / 4) for i in range(60)]


def curves(model: str, reliable: bool = True, classes: str = "abc") -> list[DelayCurve]:
    return [
        DelayCurve(
            model,
            "1",
            name,
            hit,
            n,
            tuple(0.9 * (1 - math.exp(-edge / scale)) for edge in EDGES_S),
            reliable,
            NOW_MS,
            spread,
        )
        for name in classes
        for hit, n, scale, spread in ((True, 900, 9_000, 0.02), (False, 100, 3_000, 0.0))
    ]


def answers(model: str, n: int, seed: int, label_share: float = 0.9, **changes: Any) -> list[Joined]:
    """Make four hours of answers, of which the wrong ones are labelled first."""
    rng = np.random.default_rng(seed)
    events = []
    for _ in range(n):
        time_ms = T0_MS + int(rng.integers(0, 4 * HOUR_MS))
        said, right = str(rng.choice(["a", "b", "c"], p=[0.6, 0.38, 0.02])), bool(rng.random() < 0.85)
        age_ms = int(rng.exponential(9_000_000 if right else 3_000_000))
        known = time_ms + age_ms < NOW_MS and bool(rng.random() < label_share)
        events.append(
            Joined(
                time_ms,
                None if rng.random() < 0.02 else said,
                said if right else "z",
                has_label=known,
                model=model,
                partition=int(rng.integers(0, 3)),
                segments={"country": str(rng.choice(["de", "fr"]))},
                age_ms=age_ms,
                **changes,
            )
        )
        if events[-1].prediction is None:
            events[-1].has_label = False
    return events


def share(arrived: tuple[float, ...], age_ms: float) -> float:
    if age_ms <= 0:
        return 0.0
    return float(np.interp(max(0.0, 4 * math.log2(age_ms / 1_000)), range(len(arrived)), arrived))


def of_class(members: list[Joined], right: DelayCurve, wrong: DelayCurve) -> tuple[float, float, float]:
    """Return the right answers and the labels in the end, and the variance of their share."""
    labelled = [e for e in members if e.has_label]
    h = sum(e.prediction == e.label for e in labelled)
    m = len(labelled) - h
    panes = Counter(e.time_ms // 60_000 * 60_000 for e in members if not e.has_label)
    left = [
        (u, *(max(1 - share(curve.arrived, NOW_MS - pane - 30_000), 1e-9) for curve in (right, wrong)))
        for pane, u in panes.items()
    ]
    prior = right.n / (right.n + wrong.n)
    q = brentq(
        lambda q: (
            (h + prior) / q
            - (m + 1 - prior) / (1 - q)
            + math.fsum(u * (r - w) / (q * r + (1 - q) * w) for u, r, w in left)
        ),
        1e-12,
        1 - 1e-12,
        xtol=1e-15,
    )
    sums = dict.fromkeys(("x", "y", "information", "a", "b"), 0.0)
    for u, r, w in left:
        d = q * r + (1 - q) * w
        sums["x"] += u * q * max(r - 1 + right.arrived[-1], 0) / d
        sums["y"] += u * (1 - q) * max(w - 1 + wrong.arrived[-1], 0) / d
        sums["information"] += u * (r - w) ** 2 / d**2
        sums["a"] += u * w * math.sqrt(r * (1 - r) * (1 / right.n + right.spread)) / d**2
        sums["b"] += u * r * math.sqrt(w * (1 - w) * (1 / wrong.n + wrong.spread)) / d**2
    information = sums["information"] + (h + prior) / q**2 + (m + 1 - prior) / (1 - q) ** 2
    n = h + m + sums["x"] + sums["y"]
    own = max(1 / information - q * (1 - q) / n, 0)
    return h + sums["x"], n, own + (sums["a"] ** 2 + sums["b"] ** 2) / information**2


def expected(members: list[Joined]) -> tuple[float, float, float]:
    found = []
    for name in {e.prediction for e in members} - {None}:
        right, wrong = (next(c for c in curves("m") if (c.predicted, c.hit) == (name, hit)) for hit in (1, 0))
        found.append(of_class([e for e in members if e.prediction == name], right, wrong))
    total = sum(n for _, n, _ in found)
    accuracy = sum(right for right, _, _ in found) / total
    variance = sum((n / total) ** 2 * of_q for _, n, of_q in found)
    reach = 1.959963984540054 * math.sqrt(variance) / (accuracy * (1 - accuracy))
    middle = math.log(accuracy / (1 - accuracy))
    return accuracy, 1 / (1 + math.exp(reach - middle)), 1 / (1 + math.exp(-reach - middle))


NOWCASTS = ("accuracy_nowcast", "accuracy_nowcast_low", "accuracy_nowcast_high")


@pytest.mark.parametrize("window_s", [60, 3_600, 86_400])
def test_the_nowcast_of_windows_that_are_not_mature_is_that_of_its_formulas(
    embedded_database: Any, window_s: int
) -> None:
    events = answers("m", 2_500, seed=window_s)
    writer = Writer(embedded_database.client, embedded_database.name)
    writer.write_rollups(pane_rows(events))
    writer.write_delay_curves(curves("m"))
    gap = (T0_MS + HOUR_MS // 2, T0_MS + HOUR_MS // 2 + 60_000)  # below the frontier, its labels never came
    until_ms = T0_MS + 2 * HOUR_MS
    writer.write_model_states([ModelState("m", "1", "multiclass", until_ms, NOW_MS, skipped=(gap,))])
    members, checked = members_of(events, window_s), 0
    for row in embedded_database.client.rows(
        f"SELECT * FROM model_quality(window_seconds = {window_s})"  # noqa: S608
    ):
        start_s = seconds(row["window_start"])
        window = members[row["model"], "1", row["segment"], start_s]
        end_ms = (start_s + window_s) * 1_000
        mature = end_ms <= until_ms and not (start_s * 1_000 < gap[1] and end_ms > gap[0])
        assert row["is_mature"] == mature
        found = [row[name] for name in NOWCASTS]
        if mature:
            assert (found, row["nowcast_reason"]) == ([row["accuracy"]] * 3, None)
        elif sum(e.has_label for e in window) < 5:
            assert (found, row["nowcast_reason"]) == ([None] * 3, "fewer than 5 labels")
        elif row["nowcast_reason"] is None:
            assert found == pytest.approx(expected(window), rel=1e-9)
            checked += 1
        else:
            assert row["nowcast_reason"].startswith("too little is known")
            assert found == [None] * 3
    assert checked > 2 or window_s == 86_400


def test_a_window_without_a_nowcast_says_why(embedded_database: Any) -> None:
    writer = Writer(embedded_database.client, embedded_database.name)
    events = {
        "late": answers("late", 60, 1),
        "sampled": answers("sampled", 60, 2, sampled=0.5),
        "few": answers("few", 8, 3, label_share=0.1),
        "no curve": answers("no curve", 60, 4),
        "half a curve": answers("half a curve", 60, 5),
        "changing": answers("changing", 60, 6),
        "uncertain": answers("uncertain", 150, 9, label_share=0.1),
        "no state": answers("no state", 60, 8),
    }
    told = {
        "late": "labels are late",
        "sampled": "sampled labels: their ages do not carry weights",
        "few": "fewer than 5 labels",
        "no curve": "no delay curve yet: no mature labels of one of the outcomes",
        "half a curve": "no delay curve yet: no mature labels of one of the outcomes",
        "changing": "delay curves are changing",
        "uncertain": "too little is known: the standard deviation is above 0.1",
        "no state": None,
    }
    for model, rows in events.items():
        writer.write_rollups(pane_rows(rows))
        if model not in ("no curve", "half a curve", "uncertain"):
            writer.write_delay_curves(curves(model, reliable=model != "changing"))
    last_moment = (*(0.05 for _ in EDGES_S[1:]), 0.9)  # most labels are to come, right and wrong ones alike
    writer.write_delay_curves([replace(c, arrived=last_moment) for c in curves("uncertain")])
    writer.write_delay_curves([c for c in curves("half a curve") if c.hit or c.predicted != "b"])
    writer.write_model_states(
        [
            ModelState(model, "1", "multiclass", T0_MS, NOW_MS, "labels_late" if model == "late" else "ready")
            for model in events
            if model != "no state"
        ]
    )
    rows = embedded_database.client.rows(
        "SELECT * FROM model_quality(window_seconds = 86400) WHERE segment = '' SETTINGS join_use_nulls = 1"
    )
    assert {row["model"]: row["nowcast_reason"] for row in rows} == told
    assert {row[name] for row in rows for name in NOWCASTS} == {None}


def test_while_a_horizon_is_being_learnt_no_window_is_mature(embedded_database: Any) -> None:
    writer = Writer(embedded_database.client, embedded_database.name)
    writer.write_rollups(pane_rows([Joined(T0_MS, "a", "a", True)]))
    writer.write_model_states([ModelState("m", "1", "binary", T0_MS + HOUR_MS, NOW_MS, "learning")])
    (row,) = embedded_database.client.rows("SELECT * FROM model_quality(window_seconds = 60)")
    assert (row["is_mature"], row["accuracy"], row["accuracy_nowcast"]) == (False, 1.0, None)


def test_the_width_of_panes_decides_how_old_their_answers_are(embedded_database: Any) -> None:
    writer = Writer(embedded_database.client, embedded_database.name)
    writer.write_rollups(pane_rows(answers("m", 400, 9)))
    writer.write_delay_curves(curves("m"))
    found = []
    for width_ms in (60_000, 600_000):
        state = ModelState("m", "1", "multiclass", T0_MS, NOW_MS + width_ms, pane_width_ms=width_ms)
        writer.write_model_states([state])
        (row,) = embedded_database.client.rows(
            "SELECT any(age_s + toUnixTimestamp(window_start)) AS of_pane, min(age_s) AS youngest "
            "FROM unlabelled_answers(window_seconds = 86400) WHERE segment = ''"
        )
        found.append(row["youngest"] - (NOW_MS + width_ms) / 1_000)
    assert found[0] - found[1] == 270


def test_a_nowcast_reads_only_days_that_are_not_wholly_mature(embedded_database: Any) -> None:
    writer = Writer(embedded_database.client, embedded_database.name)
    day_ms = 24 * HOUR_MS
    writer.write_rollups(pane_rows([Joined(T0_MS + i * day_ms // 400, "a") for i in range(6_000)]))
    end_ms = T0_MS + 15 * day_ms
    writer.write_model_states([ModelState("m", "1", "binary", end_ms - day_ms, end_ms)])
    plan = "\n".join(
        row["explain"]
        for row in embedded_database.client.rows(
            "EXPLAIN indexes = 1 SELECT * FROM window_nowcasts(window_seconds = 3600)"
        )
    )
    primary = plan[plan.index("PrimaryKey") :]
    read, total = primary[primary.index("Granules: ") + 10 :].split("\n", 1)[0].split("/")
    assert int(read) < int(total)
