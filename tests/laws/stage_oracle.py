"""What one partition must add up to, computed the slow and obvious way; and batches built from dicts."""

import json
import math
import re
from collections import defaultdict
from fractions import Fraction
from io import BytesIO
from pathlib import Path

import fastavro
import numpy as np
import pyarrow as pa
import pyruhvro

import schemas
from schemas.panes import (
    CLASS_BINS,
    COUNTS,
    DELAY_FLOOR_MS,
    HISTOGRAMS,
    LATENCY_FLOOR_MS,
    MAPS,
    SUMS,
    age_bin,
    confidence_bin,
    duration_bin,
)
from schemas.records import DecodedBatch

POSITIVE = {"n": "a"}  # what ``[models.NAME] positive`` is set to
EPSILON = 2.0**-52
FOLDER = Path(schemas.__file__).parent
AVSC = {kind: (FOLDER / f"{kind}_event.avsc").read_text() for kind in ("inference", "label")}
PARSED = {kind: fastavro.parse_schema(json.loads(text)) for kind, text in AVSC.items()}


def decoded(kind, records, first_offset=0):
    """Return dicts with the fields of an event, and ``record_time_ms``, as a decoded batch."""
    values = []
    for record in records:
        out = BytesIO()
        event = {name: value for name, value in record.items() if name != "record_time_ms"}
        fastavro.schemaless_writer(out, PARSED[kind], event)
        values.append(out.getvalue())
    columns = pyruhvro.deserialize_array(values, AVSC[kind])
    times = [record["record_time_ms"] for record in records]
    columns = columns.append_column(
        "offset", pa.array(range(first_offset, first_offset + len(times)), pa.int64())
    )
    return DecodedBatch(columns.append_column("record_time_ms", pa.array(times, pa.int64())))


def canonical(value):
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return str(int(value)) if value == int(value) else repr(value)
    return str(value)


def is_number(value):
    return isinstance(value, int | float) and not isinstance(value, bool)


def predicted_class(event):
    value = event["prediction"]
    if value is None or (isinstance(value, float) and event["scores"] is None):
        return None
    return canonical(value)


def is_regression(event):
    value = event["prediction"]
    return event["status"] == "ok" and isinstance(value, float) and event["scores"] is None


class _Larger:
    """A label value's place in the order of the contract: null, then numbers by number, else by text."""

    def __init__(self, value):
        self.value = value

    __hash__ = None

    def __eq__(self, other):
        return not self < other and not other < self

    def __lt__(self, other):
        a, b = self.value, other.value
        if a is None or b is None:
            return a is None and b is not None
        if is_number(a) and is_number(b):
            return a < b
        return canonical(a).encode() < canonical(b).encode()


def rank(label):
    def nulls_first(x):
        return (x is not None, x if x is not None else 0.0)

    return (
        label["timestamp"],
        _Larger(label["label"]),
        nulls_first(label["sampling_probability"]),
        nulls_first(label["value"]),
        label["source"].encode(),
    )


class Oracle:
    """One partition, one event at a time; keeps every prediction with every label that reached it."""

    def __init__(self, width_ms, implicit=None):
        self.width_ms = width_ms
        self.implicit = implicit or {}  # model -> (label, after_ms)
        self.aligned_ms = -(10**15)
        self.floor_ms = -(10**15)
        self.predictions = []  # (event, labels that reached it)
        self.duplicates = []
        self.reused = 0
        self.cold = 0
        # By id, since only what has the same id can meet: a walk through all of them grows with the square.
        self._predictions_of = defaultdict(list)
        self._labels_of = defaultdict(list)

    def predict(self, event):
        if event["role"] == "test":
            return
        if event["timestamp"] < self.floor_ms:
            self.cold += 1
            return
        for other, _ in self._predictions_of[event["prediction_id"]]:
            same = all(other[k] == event[k] for k in ("model", "model_version"))
            if same and other["timestamp"] >= self.floor_ms:
                if other["timestamp"] == event["timestamp"]:
                    self.duplicates.append(event)
                else:
                    self.reused += 1
                return
        self._keep(event, [one for one in self._said_of(event) if one["record_time_ms"] >= self.floor_ms])

    def _said_of(self, event):
        return [label for label in self._labels_of[event["prediction_id"]] if self._applies(label, event)]

    def _keep(self, event, labels):
        self.predictions.append((event, labels))
        self._predictions_of[event["prediction_id"]].append(self.predictions[-1])

    def label(self, label):
        if label["record_time_ms"] < self.floor_ms:
            return  # left to the cold join
        self._labels_of[label["prediction_id"]].append(label)
        for event, labels in self._predictions_of[label["prediction_id"]]:
            if event["timestamp"] >= self.floor_ms and self._applies(label, event):
                labels.append(label)

    @staticmethod
    def _applies(label, event):
        if label["prediction_id"] != event["prediction_id"] or label["model"] not in ("", event["model"]):
            return False
        return not is_regression(event) or label["label"] is None or is_number(label["label"])

    def rows(self):
        """Return {(model, version, segment, pane_start_ms): row as a dict without its keys}."""
        rows = defaultdict(_empty)
        for event in self.duplicates:
            for row in self._rows_of(rows, event):
                row["duplicates"] += 1
        for event, labels in self.predictions:
            for row in self._rows_of(rows, event):
                _count_prediction(row, event)
                if event["status"] != "ok" or event["prediction"] is None:
                    continue
                labels = labels or self.implicit_of(event)  # noqa: PLW2901
                if labels:
                    winner = max(labels, key=rank)
                    if winner["label"] is not None:
                        said = [label for label in labels if label["label"] is not None]
                        _count_pair(row, event, winner, said)
        return {key: _finished(row) for key, row in rows.items()}

    def implicit_of(self, event):
        value, after_ms = self.implicit.get(event["model"], (None, 0))
        given_ms = event["timestamp"] + after_ms
        if value is None or given_ms > self.aligned_ms or (is_regression(event) and not is_number(value)):
            return []
        more = {"sampling_probability": None, "value": None, "source": "", "model": ""}
        return [{"label": value, "timestamp": given_ms, "record_time_ms": given_ms} | more]

    def _rows_of(self, rows, event):
        pane_ms = event["timestamp"] // self.width_ms * self.width_ms
        for segment in ["", *(f"{k}={v}" for k, v in event["segments"].items())]:
            yield rows[event["model"], event["model_version"], segment, pane_ms]


def _empty():
    row = dict.fromkeys(COUNTS, 0) | {name: [] for name in SUMS}
    row |= {name: {} for name in CLASS_BINS} | {"weighted_labels": []}
    return row | {name: defaultdict(int) for name in (*MAPS, *HISTOGRAMS)}


def _count_prediction(row, event):
    row["predictions"] += 1
    value = event["prediction"]
    if event["status"] != "ok":
        row["failures"] += 1
        row["statuses"][event["status"]] += 1
    elif value is not None:
        kind = {bool: "booleans", int: "longs", float: "doubles", str: "strings"}[type(value)]
        row[kind] += 1
        row["scored"] += event["scores"] is not None
        if predicted_class(event) is not None:
            row["predicted"][predicted_class(event)] += 1
        if event["scores"]:
            chances = [event["scores"][name] for name in names_of_scores(event)]
            row["confidence_all"][confidence_bin(max(chances))] += 1
    if event["latency_ms"] is not None:
        row["latency"][duration_bin(event["latency_ms"], LATENCY_FLOOR_MS)] += 1
    if event["cost"] is not None:
        row["cost_n"] += 1
        row["cost_sum"].append(event["cost"])


def weight_of(label):
    """What a pair weighs, in whole units of 2**-32, as the contract has it."""
    sampled = label["sampling_probability"]
    if sampled is None:
        return Fraction(1)
    return 1 + Fraction(round((min(1 / sampled, 1e6) - 1) * 2**32), 2**32)


def said_to(event, label):
    """What a label says to a prediction, so that it can be compared."""
    if is_regression(event):
        return float(label["label"])
    return in_terms_of(canonical(label["label"]), predicted_class(event) or "0")


def _count_pair(row, event, label, said):
    """Count a pair; ``said`` are all its labels that say something, whatever came of them."""
    row["labelled"] += 1
    delay_ms = max(0, min(other["timestamp"] for other in said) - event["timestamp"])
    row["delay"][duration_bin(float(delay_ms), DELAY_FLOOR_MS)] += 1
    truth, value = label["label"], event["prediction"]
    mine = predicted_class(event)
    weight = weight_of(label)
    extra, w = int((weight - 1) * 2**32), float(weight)
    hit = False
    if mine is not None:
        theirs = in_terms_of(canonical(truth), mine)
        hit = theirs == mine
        row["class_n"] += 1
        row["class_extra"] += extra
        row["hits"] += hit
        row["hits_extra"] += extra * hit
        row["confusion"][f"{theirs}\x1f{mine}"] += 1
        row["confusion_extra"][f"{theirs}\x1f{mine}"] += extra
    ages = row["age_hits" if hit or mine is None else "age_misses"].setdefault(mine or "", defaultdict(int))
    age_ms = min(other["record_time_ms"] for other in said) - event["timestamp"]
    ages[age_bin(age_ms)] += 1
    row["corrected"] += len({said_to(event, other) for other in said}) > 1
    if event["scores"]:
        _count_scores(row, event, canonical(truth), weight, hit)
    if is_number(value) and is_number(truth) and event["scores"] is None:
        error = float(value) - float(truth)
        row["reg_n"] += 1
        row["reg_extra"] += extra
        row["err_sum"].append(w * error)
        row["abs_err_sum"].append(w * abs(error))
        row["sq_err_sum"].append(w * (error * error))
        row["label_sum"].append(weight * Fraction(truth))
        row["weighted_labels"].append((weight, Fraction(truth)))
        if truth != 0:
            row["ape_n"] += 1
            row["ape_extra"] += extra
            row["ape_sum"].append(w * (abs(error) / abs(float(truth))))
        if event.get("prediction_lower") is not None:
            held = event["prediction_lower"] <= truth <= event["prediction_upper"]
            row["bounds_n"] += 1
            row["bounds_extra"] += extra
            row["bounds_hits"] += held
            row["bounds_hits_extra"] += extra * held
    if label["value"] is not None:
        row["value_n"] += 1
        row["value_sum"].append(label["value"])


def in_terms_of(theirs, mine):
    """True is 1 beside integers, and 1 is true beside booleans."""
    if theirs in ("true", "false") and re.fullmatch(r"-?[1-9][0-9]{0,17}|0", mine):
        return str(int(theirs == "true"))
    if theirs in ("0", "1") and mine in ("true", "false"):
        return "true" if theirs == "1" else "false"
    return theirs


def names_of_scores(event):
    names = sorted(event["scores"])
    if len(names) <= 2:
        positive = POSITIVE.get(event["model"])
        names = [positive] if len(names) == 2 and positive in names else names[-1:]
    return names


def _count_scores(row, event, theirs, weight, hit):
    scores = event["scores"]
    names = names_of_scores(event)
    w, units = float(weight), int(weight * 2**32)
    truths = [in_terms_of(theirs, name) == name for name in names]
    chances = [scores[name] for name in names]
    if len(names) == 1:
        of_label = chances[0] if truths[0] else 1.0 - chances[0]
    else:
        of_label = sum(p for p, true in zip(chances, truths, strict=True) if true)
    squares = 0.0
    for p, true in zip(chances, truths, strict=True):
        squares += (p - true) * (p - true)
    if len(names) > 1 and not any(truths):
        squares += 1.0
    row["score_n"] += 1
    row["score_extra"] += units - 2**32
    row["log_loss_sum"].append(w * -math.log(min(max(of_label, EPSILON), 1 - EPSILON)))
    row["brier_sum"].append(w * squares)
    top = chances.index(max(chances))
    b = max(i for i in range(10) if chances[top] >= i / 10)
    row["calibration_n"][b] += units
    row["calibration_hits"][b] += units * truths[top]
    row["calibration_p"][b] += round(w * chances[top] * 2**32)
    row["confidence_n"][confidence_bin(chances[top])] += units
    row["confidence_hits"][confidence_bin(chances[top])] += units * hit
    for name, p, true in zip(names, chances, truths, strict=True):
        logit = (
            -36.0 if p < 1e-17 else 36.0 if p == 1 else max(-36.0, min(36.0, math.log(p) - math.log1p(-p)))
        )
        inner = max(-10.0, min(10.0, logit))
        place = 106 + 8 * inner + (logit - inner) + 160 * p
        by_class = row["score_positives" if true else "score_negatives"].setdefault(name, defaultdict(int))
        by_class[2 * math.floor(place)] += round(weight * 2**20)
        position = math.floor((place - math.floor(place)) * 16)
        by_class[2 * math.floor(place) + 1] += round(weight * 2**20) * position


def _without_zeros(counts):
    return {key: n for key, n in counts.items() if n}


def _finished(row):
    labels = row["weighted_labels"]
    mean = sum(w * x for w, x in labels) / sum(w for w, _ in labels) if labels else 0
    row["label_m2"] = [_nearest(sum((w * (x - mean) ** 2 for w, x in labels), Fraction(0)))]
    out = {name: row[name] for name in COUNTS}
    out |= {name: _exact_sum(row[name]) for name in SUMS}
    out |= {name: dict(row[name]) for name in MAPS}
    out["confusion_extra"] = _without_zeros(row["confusion_extra"])
    out |= {name: {key: _without_zeros(bins) for key, bins in row[name].items()} for name in CLASS_BINS}
    return out | {name: _without_zeros(row[name]) for name in HISTOGRAMS}


def _exact_sum(terms):
    if any(isinstance(x, float) and math.isinf(x) for x in terms):
        return sum(x for x in terms if math.isinf(x))
    return _nearest(sum((Fraction(x) for x in terms), Fraction(0)))


def _nearest(value):
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def rows_of(batches):
    """Return the newest row per key of batches of PANE_COLUMNS, in the form of ``Oracle.rows``."""
    rows = {}
    for batch in batches:
        for row in batch.to_pylist():
            pane_ms = round(row["pane_start"].timestamp() * 1000)
            key = (row["model"], row["model_version"], row["segment"], pane_ms)
            out = {name: row[name] for name in (*COUNTS, *SUMS)}
            out |= {name: dict(row[name]) for name in MAPS}
            out |= {name: {int(i): row[name][i] for i in np.flatnonzero(row[name])} for name in HISTOGRAMS}
            for name in CLASS_BINS:
                out[name] = {label: _without_zeros(dict(enumerate(bins))) for label, bins in row[name]}
            rows[key] = out
    return rows
