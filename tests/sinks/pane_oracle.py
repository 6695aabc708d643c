"""An independent, plain-Python way from joined events to pane rows, and to the figures over the full join."""

import math
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa

from schemas.panes import CLASS_BINS, COUNTS, HISTOGRAMS, MAPS, PANE_COLUMNS, SUMS


@dataclass
class Joined:
    """One prediction with its label, as the full join gives it; times in milliseconds."""

    time_ms: int
    prediction: Any  # None: failed
    label: Any = None
    has_label: bool = False
    model: str = "m"
    version: str = "1"
    partition: int = 0
    segments: dict[str, str] = field(default_factory=dict)
    latency_ms: float | None = None
    delay_ms: int = 0
    cost: float | None = None
    value: float | None = None
    scores: dict[str, float] | None = None
    sampled: float | None = None  # the chance with which this label was asked for
    bounds: tuple[float, float] | None = None
    age_ms: int = 0  # record time of the first label less event time
    corrected: bool = False

    @property
    def weight(self) -> float:
        return 1 + round((1 / self.sampled - 1) * 2**32) / 2**32 if self.sampled else 1.0


def text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(int(value)) if isinstance(value, float) and value == int(value) else str(value)


def is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def duration_bin(value: float, floor: float) -> int:
    """Bin 0: zero and less; bin 1: up to the floor; then each 1.035 times as far as the one before."""
    if value <= 0:
        return 0
    i = 1
    while floor * 1.035 ** (i - 1) < value * (1 - 1e-12):
        i += 1
    return i


def age_bin(age_ms: float) -> int:
    """Bin 0: up to a second; then four bins to each doubling."""
    i = 0
    while 1_000 * 2 ** (i / 4) < age_ms * (1 - 1e-12):
        i += 1
    return i


def confidence_bin(p: float) -> int:
    """33 bins, the middle one about 0.5, each half a unit of the logit wide."""
    return sum(p > 1 / (1 + math.exp(7.75 - i / 2)) for i in range(32))


def in_units(weight: float) -> int:
    """What a pair weighs, or weighs beyond 1, in units of 2**-32."""
    return round(weight * 2**32)


def pane_rows(events: Iterable[Joined], revision: int = 1) -> pa.RecordBatch:
    """Aggregate events to one row per model, version, segment, minute and partition."""
    groups: dict[tuple[Any, ...], list[Joined]] = defaultdict(list)
    for event in events:
        for segment in ("", *(f"{name}={value}" for name, value in event.segments.items())):
            pane = event.time_ms // 60_000 * 60_000
            groups[event.model, event.version, segment, pane, event.partition].append(event)
    rows = []
    for (model, version, segment, pane, partition), members in groups.items():
        row: dict[str, Any] = dict.fromkeys(COUNTS, 0) | dict.fromkeys(SUMS, 0.0)
        row |= {name: [] for name in (*CLASS_BINS, "examples")}
        maps = {name: Counter[str]() for name in MAPS}
        bins = {name: Counter[int]() for name in HISTOGRAMS}
        ages = {name: defaultdict[str, Counter[int]](Counter) for name in ("age_hits", "age_misses")}
        scored: list[Joined] = []
        pairs: list[tuple[float, float, float]] = []
        costs, values, shares = [], [], []
        for event in members:
            row["predictions"] += 1
            if event.latency_ms is not None:
                bins["latency"][duration_bin(event.latency_ms, 0.01)] += 1
            if event.cost is not None:
                costs.append(event.cost)
            if event.prediction is None:
                row["failures"] += 1
                maps["statuses"]["timeout"] += 1
                continue
            kind = {bool: "booleans", int: "longs", float: "doubles", str: "strings"}[type(event.prediction)]
            row[kind] += 1
            row["scored"] += event.scores is not None
            said = text(event.prediction)
            maps["predicted"][said] += 1
            if event.scores:
                bins["confidence_all"][confidence_bin(confidence_of(event.scores))] += 1
            if not event.has_label:
                continue
            row["labelled"] += 1
            row["corrected"] += event.corrected
            bins["delay"][duration_bin(event.delay_ms, 1.0)] += 1
            if event.value is not None:
                values.append(event.value)
            w, extra = event.weight, in_units(event.weight - 1)
            hit = said == text(event.label)
            row["class_n"] += 1
            row["class_extra"] += extra
            row["hits"] += hit
            row["hits_extra"] += extra * hit
            pair = f"{text(event.label)}\x1f{said}"
            maps["confusion"][pair] += 1
            if extra:
                maps["confusion_extra"][pair] += extra
            ages["age_hits" if hit else "age_misses"][said][age_bin(event.age_ms)] += 1
            if event.scores:
                scored.append(event)
                row["score_extra"] += extra
                bins["confidence_n"][confidence_bin(confidence_of(event.scores))] += in_units(w)
                bins["confidence_hits"][confidence_bin(confidence_of(event.scores))] += in_units(w) * hit
            if is_number(event.prediction) and is_number(event.label):
                pairs.append((float(event.prediction), float(event.label), w))
                row["reg_extra"] += extra
                if event.label != 0:
                    shares.append(w * abs(event.prediction - event.label) / abs(event.label))
                    row["ape_extra"] += extra
                if event.bounds:
                    inside = event.bounds[0] <= event.label <= event.bounds[1]
                    row["bounds_n"] += 1
                    row["bounds_extra"] += extra
                    row["bounds_hits"] += inside
                    row["bounds_hits_extra"] += extra * inside
        row["reg_n"], row["ape_n"] = len(pairs), len(shares)
        row["cost_n"], row["value_n"] = len(costs), len(values)
        row["err_sum"] = math.fsum(w * (p - y) for p, y, w in pairs)
        row["abs_err_sum"] = math.fsum(w * abs(p - y) for p, y, w in pairs)
        row["sq_err_sum"] = math.fsum(w * (p - y) ** 2 for p, y, w in pairs)
        row["label_sum"] = math.fsum(w * y for _, y, w in pairs)
        if pairs:
            mean = row["label_sum"] / math.fsum(w for *_, w in pairs)
            row["label_m2"] = math.fsum(w * (y - mean) ** 2 for _, y, w in pairs)
        row["ape_sum"], row["cost_sum"], row["value_sum"] = map(math.fsum, (shares, costs, values))
        for name, counter in maps.items():
            row[name] = list(counter.items())
        row |= score_columns(scored)
        for name, histogram in bins.items():
            if name not in row:
                row[name] = dense(histogram)
        row |= {name: [(k, dense(v)) for k, v in by_class.items()] for name, by_class in ages.items()}
        row |= {"model": model, "model_version": version, "segment": segment}
        row |= {"pane_start": pane, "partition": partition, "revision": revision}
        rows.append(row)
    return pa.RecordBatch.from_pylist(rows, PANE_COLUMNS)


def dense(histogram: Counter[int]) -> list[int]:
    return [histogram[i] for i in range(max(histogram, default=-1) + 1)]


def kept_scores(scores: dict[str, float]) -> dict[str, float]:
    """The scores that count: of one or two the positive class's, which is the last in sorted order."""
    return scores if len(scores) > 2 else {max(scores): scores[max(scores)]}


def confidence_of(scores: dict[str, float]) -> float:
    return max(kept_scores(scores).values())


def score_columns(pairs: list[Joined]) -> dict[str, Any]:
    """What labelled pairs of scores add up to, by weight."""
    told = np.zeros((10, 3), np.int64)
    bins = {name: defaultdict(lambda: [0] * 746) for name in ("score_positives", "score_negatives")}
    losses, squares = [], []
    for event in pairs:
        scores, label, w = event.scores or {}, text(event.label), event.weight
        kept = kept_scores(scores)
        hit = kept.get(label, 0.0 if len(scores) > 2 else 1 - next(iter(kept.values())))
        losses.append(-w * math.log(min(max(hit, 2**-52), 1 - 2**-52)))
        squares.append(
            w * math.fsum((p - (name == label)) ** 2 for name, p in kept.items())
            + w * (len(scores) > 2 and label not in kept)
        )
        top = max(kept, key=lambda name: (kept[name], -sorted(kept).index(name)))
        edges = [i / 10 for i in range(10)]
        units = in_units(w)
        told[sum(kept[top] >= edge for edge in edges) - 1] += (
            units,
            units * (top == label),
            round(w * kept[top] * 2**32),
        )
        for name, p in kept.items():
            logit = -36.0 if p < 1e-18 else 36.0 if p == 1 else math.log(p) - math.log1p(-p)
            logit = min(max(logit, -36), 36)
            middle = min(max(logit, -10), 10)
            place = 106 + 8 * middle + (logit - middle) + 160 * p
            counts = bins["score_positives" if name == label else "score_negatives"][name]
            counts[2 * math.floor(place)] += round(w * 2**20)
            counts[2 * math.floor(place) + 1] += math.floor(place % 1 * 16) * round(w * 2**20)
    columns: dict[str, Any] = {"score_n": len(pairs)}
    columns |= {"log_loss_sum": math.fsum(losses), "brier_sum": math.fsum(squares)}
    for i, name in enumerate(("calibration_n", "calibration_hits", "calibration_p")):
        columns[name] = told[:, i].tolist() if pairs else []
    return columns | {name: list(by_class.items()) for name, by_class in bins.items()}


def expected_calibration_error(told: Any, came_true: Any, weights: Any) -> float:
    """Over ten bins ``[i / 10, (i + 1) / 10)``, the last of them closed."""
    bins = np.searchsorted([i / 10 for i in range(1, 10)], told, side="right")
    gaps = [abs(math.fsum((weights * (told - came_true))[bins == b])) for b in range(10)]
    return math.fsum(gaps) / math.fsum(weights)


def quantile_bounds(values: list[float], q: float) -> tuple[float, float]:
    """The bounds of 2 % about the ceil(q n)-th smallest value."""
    ordered = sorted(values)
    exact = ordered[max(1, math.ceil(q * len(ordered) - 1e-9)) - 1]
    return exact * 0.98, exact * 1.02


def window_of(event: Joined, window_s: int) -> int:
    return event.time_ms // 1000 // window_s * window_s


def members_of(events: Iterable[Joined], window_s: int) -> dict[tuple[str, str, str, int], list[Joined]]:
    """The events of each row of a view: (model, version, segment, start of the window in seconds)."""
    rows: dict[tuple[str, str, str, int], list[Joined]] = defaultdict(list)
    for event in events:
        for segment in ("", *(f"{name}={value}" for name, value in event.segments.items())):
            rows[event.model, event.version, segment, window_of(event, window_s)].append(event)
    return rows


def seconds(moment: Any) -> int:
    return int(np.datetime64(moment, "s").astype(np.int64))
