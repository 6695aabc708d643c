"""Constant traffic with all that late labels and broken producers do, each record kept as it was sent."""

import heapq
import itertools
import json
from base64 import b64encode
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from schemas.contracts import encode_single_object

INFERENCE, LABELS = "inference", "labels"
MODELS = ("binary", "many", "price", "sampled")
WATCHED = ("binary", "1")  # what the incidents are of
STRUCTURED = [("content-type", b"application/cloudevents+json")]
LATEST_LABEL_MS = 12_000  # after its prediction; a correction comes this much later once more
BAD_SHARE, REPEATED_SHARE, REUSED_SHARE, FAILED_SHARE = 0.01, 0.02, 0.005, 0.03
OTHER = {"binary": "fine", "many": 1, "price": 2.5, "sampled": "no"}


@dataclass(frozen=True, slots=True)
class Sent:
    """One record: its fields, or None of a broken one; ``dead`` says that no reader may accept it."""

    number: int
    side: str
    key: bytes
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...]
    document: dict[str, Any] | None
    dead: bool = False


@dataclass(order=True)
class _Due:
    at_ms: int
    order: int
    sent: Sent = field(compare=False)


class Traffic:
    """Makes predictions as time passes, and their labels when these are due, the same for the same seed.

    Parameters
    ----------
    rate_per_s
        Records a second, predictions and labels together.
    incidents
        Spans of event time in which the watched model errs in half of its answers instead of one in twenty.
    refusals
        Whether some records are set aside for what they meet in memory: ids used twice, labels that are no
        numbers. Where little is in memory, nobody could say beforehand which.
    """

    def __init__(
        self, seed: int, rate_per_s: float, incidents: list[tuple[int, int]], *, refusals: bool = True
    ) -> None:
        self._refusals = refusals
        self._draw = np.random.default_rng(seed)
        self._predictions_per_ms = rate_per_s * 0.5 / 1000
        self._incidents = incidents
        self._numbers = itertools.count()
        self._owed = 0.0
        self._due: list[_Due] = []

    def until(self, before_ms: int, now_ms: int) -> list[Sent]:
        """Return what is due by ``now_ms``, with the predictions of the time since ``before_ms``."""
        self._owed += (now_ms - before_ms) * self._predictions_per_ms
        for _ in range(int(self._owed)):
            self._predict(now_ms)
        self._owed %= 1.0
        return self._taken(now_ms)

    def rest(self) -> list[Sent]:
        """Return what is not due yet, labels above all."""
        return self._taken(2**62)

    def _taken(self, now_ms: int) -> list[Sent]:
        taken = []
        while self._due and self._due[0].at_ms <= now_ms:
            taken.append(heapq.heappop(self._due).sent)
        return taken

    def _predict(self, now_ms: int) -> None:
        draw = self._draw
        model = MODELS[int(draw.integers(len(MODELS)))]
        failed = draw.random() < FAILED_SHARE
        # Up to three seconds old, some ten, and sent in another order than they were made.
        time_ms = now_ms - int(draw.integers(0, 3_000 if draw.random() < 0.95 else 10_000))
        version = ("1", "2")[int(draw.random() < 0.3)] if model == "binary" else ""
        truth, said, scores = self._answer(model, version, time_ms)
        event = {
            "prediction_id": f"{model}-{next(self._numbers)}",
            "model": model,
            "model_version": version,
            "timestamp": time_ms,
            "prediction": None if failed else said,
            "scores": scores,
            "features": {"amount": float(draw.normal()), "kind": ("x", "y")[int(draw.integers(2))]},
            "segments": {"country": ("DE", "FR")[int(draw.integers(2))]},
            "status": "timeout" if failed else "ok",
            "latency_ms": float(draw.lognormal(3, 1)),
            "cost": float(draw.random()) if draw.random() < 0.5 else None,
            "role": "test" if draw.random() < 0.005 else "primary",
        }
        at_ms = now_ms + int(draw.integers(0, 1_000))
        if draw.random() < BAD_SHARE:
            self._broken(at_ms, event)
            return
        self._send(at_ms, INFERENCE, event)
        if draw.random() < REPEATED_SHARE:
            self._send(at_ms + int(draw.integers(0, 8_000)), INFERENCE, event)
        if self._refusals and event["role"] == "primary" and draw.random() < REUSED_SHARE:
            self._send(at_ms + 500, INFERENCE, event | {"timestamp": time_ms - 1})
        if draw.random() < 0.9:
            self._label(at_ms, event, truth)

    def _answer(self, model: str, version: str, time_ms: int) -> tuple[Any, Any, dict[str, float] | None]:
        draw = self._draw
        if model == "binary":
            wrong = 0.05
            if (model, version) == WATCHED and any(a <= time_ms < b for a, b in self._incidents):
                wrong = 0.5
            said = ("fine", "fraud")[int(draw.random() < 0.4)]
            truth = {"fine": "fraud", "fraud": "fine"}[said] if draw.random() < wrong else said
            chance = float(draw.uniform(0.5, 1.0))
            return truth, said, {"fraud": chance if said == "fraud" else 1.0 - chance}
        if model == "many":
            truth = int(draw.integers(0, 5))
            return truth, truth if draw.random() < 0.8 else int(draw.integers(0, 6)), None
        if model == "price":
            truth = float(draw.normal(0, 10)) if draw.random() < 0.9 else float(1e12 * draw.normal())
            return truth, truth + float(draw.normal(0.3, 2)), None
        truth = ("no", "yes")[int(draw.integers(2))]
        return truth, truth if draw.random() < 0.9 else "yes", None

    def _label(self, sent_ms: int, event: dict[str, Any], truth: Any) -> None:
        draw, model = self._draw, event["model"]
        # Some come before their prediction, and some of those bear an earlier time, too.
        early = draw.random() < 0.05
        at_ms = sent_ms - 300 if early else sent_ms + int(draw.integers(0, LATEST_LABEL_MS))
        label = {
            "prediction_id": event["prediction_id"],
            "model": model if draw.random() < 0.3 else "",
            "label": truth,
            "timestamp": at_ms - int(draw.integers(0, 2_000)),
            "source": ("", "review")[int(draw.random() < 0.2)],
            "sampling_probability": None,
            "value": float(draw.normal()) if draw.random() < 0.3 else None,
        }
        if model == "sampled":
            label["sampling_probability"] = (0.1, 0.5, 1.0)[int(draw.integers(3))]
        self._send(at_ms, LABELS, label)
        later_ms = at_ms + int(draw.integers(0, LATEST_LABEL_MS))
        case = draw.random()
        if case < 0.03:
            self._send(later_ms, LABELS, label)
        elif case < 0.06:
            self._send(later_ms, LABELS, label | {"label": OTHER[model], "timestamp": later_ms})
        elif case < 0.09:  # an older one comes later
            self._send(later_ms, LABELS, label | {"label": OTHER[model], "timestamp": at_ms - 9_000})
        elif case < 0.11:
            self._send(later_ms, LABELS, label | {"label": None, "timestamp": later_ms})
        elif case < 0.13:  # two at the same moment: the larger is in force
            self._send(later_ms, LABELS, label | {"label": OTHER[model]})
        elif case < 0.14:  # of a prediction that never comes
            self._send(later_ms, LABELS, label | {"prediction_id": f"orphan-{next(self._numbers)}"})
        elif case < 0.145 and self._refusals and model == "price" and _is_scored(event):
            self._send(later_ms, LABELS, label | {"label": "dear"}, dead_when_joined=True)

    def _send(
        self, at_ms: int, side: str, document: dict[str, Any], *, dead_when_joined: bool = False
    ) -> None:
        value, headers = self._encoded(side, document)
        key = document["prediction_id"].encode()
        self._put(at_ms, Sent(next(self._numbers), side, key, value, headers, document, dead_when_joined))

    def _encoded(self, side: str, document: dict[str, Any]) -> tuple[bytes, tuple[tuple[str, bytes], ...]]:
        choice = self._draw.random()
        if choice < 0.6:
            name = "InferenceEvent" if side == INFERENCE else "LabelEvent"
            return encode_single_object(name, document), ()
        text = json.dumps(document)
        if choice < 0.9:
            return text.encode(), ()
        envelope = {"specversion": "1.0", "id": "1", "source": "x", "type": "y"}
        if choice < 0.95:
            return json.dumps(envelope | {"data": document}).encode(), tuple(STRUCTURED)
        envelope["data_base64"] = b64encode(text.encode()).decode()
        return json.dumps(envelope).encode(), tuple(STRUCTURED)

    def _broken(self, at_ms: int, event: dict[str, Any]) -> None:
        avro = encode_single_object("InferenceEvent", event)
        without = {name: value for name, value in event.items() if name != "model"}
        anyones: list[bytes | None] = [
            None,
            b"",
            b"fraud",
            avro[: len(avro) // 2],
            avro[:2] + bytes(8) + avro[10:],
            b"\x00\x00\x00\x00\x01" + avro[10:],
        ]
        predictions = [
            json.dumps(without).encode(),
            json.dumps(event | {"timestamp": event["timestamp"] // 1000}).encode(),
            json.dumps(event | {"status": "ok", "prediction": None}).encode(),
            json.dumps(event | {"latency_ms": -1.0}).encode(),
        ]
        side = (INFERENCE, LABELS)[int(self._draw.integers(2))]
        values = anyones if side == LABELS else anyones + predictions
        value = values[int(self._draw.integers(len(values)))]
        key = event["prediction_id"].encode()
        self._put(at_ms, Sent(next(self._numbers), side, key, value, (), None, dead=True))

    def _put(self, at_ms: int, sent: Sent) -> None:
        heapq.heappush(self._due, _Due(at_ms, sent.number, sent))


def _is_scored(event: dict[str, Any]) -> bool:
    return event["status"] == "ok" and event["role"] == "primary"
