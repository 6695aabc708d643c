"""``Reporter``: three lines to send a prediction and its label, without ever waiting for Kafka."""

import atexit
import os
import threading
import time
import weakref
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, Self

from aftcast.client.channel import Channel
from aftcast.client.counts import Counts, Ledger
from aftcast.client.events import (
    Encoding,
    EventError,
    class_text,
    encode,
    features_of,
    given,
    identifier,
    milliseconds,
    number,
    plain,
)

_reporters: "weakref.WeakSet[Reporter]" = weakref.WeakSet()


class Reporter:
    """Sends predictions and labels with the right key, partitioner and encoding.

    Neither ``prediction`` nor ``label`` waits or raises: events go into a queue of at most ``most_waiting``,
    which a thread empties. What does not fit, what Kafka did not take within ``keep_s``, and what cannot be
    expressed as an event is counted (``counts``) and logged about once a minute (logger ``aftcast.client``).
    At exit, at ``close`` and at the end of a ``with`` block the rest is sent, for at most ``flush_within_s``.

    Parameters
    ----------
    bootstrap_servers
        Addresses of brokers, comma-separated.
    model, model_version
        Of predictions that name none.
    encoding
        ``"avro"`` (single-object encoding of the shipped contracts) or ``"json"``.
    strict
        Raise ``EventError`` for an event that a worker would set aside: for tests. It loads what the worker
        judges by, which takes seconds.
    kafka
        More properties of librdkafka, such as those of security; not ``partitioner``.
    inference_topic, label_topic
        Where events go.

    Raises
    ------
    ValueError
        If an argument is wrong; the only time that a reporter which is not strict raises.

    Examples
    --------
    >>> with Reporter("127.0.0.1:1", model="fraud", flush_within_s=0) as reporter:
    ...     reporter.prediction("a1", "fraud", features={"amount": 120.5})
    ...     reporter.label("a1", "fine")
    >>> reporter.counts.given
    2
    """

    def __init__(
        self,
        bootstrap_servers: str = "localhost:9092",
        *,
        model: str = "",
        model_version: str = "",
        encoding: Encoding = "avro",
        strict: bool = False,
        kafka: Mapping[str, Any] | None = None,
        inference_topic: str = "inference-events",
        label_topic: str = "label-events",
        most_waiting: int = 10_000,
        keep_s: float = 300.0,
        flush_within_s: float = 5.0,
    ) -> None:
        if encoding not in ("avro", "json"):
            raise ValueError(f'encoding must be "avro" or "json"; got {encoding!r}')
        if kafka and "partitioner" in kafka:
            raise ValueError("partitioner is murmur2_random: any other parts labels from their predictions")
        self._model, self._model_version = model, model_version
        self._encoding = encoding
        self._inference_topic, self._label_topic = inference_topic, label_topic
        self._check = _worker_rules() if strict else None
        self._flush_within_s = flush_within_s
        self._options = {
            **(kafka or {}),
            "bootstrap.servers": bootstrap_servers,
            "queue.buffering.max.messages": most_waiting,
            "message.timeout.ms": int(keep_s * 1000),
        }
        self._closed = False
        self._opening = threading.Lock()
        self._ledger = Ledger(time.monotonic)
        self._channel: Channel | None = Channel(self._options, self._ledger)
        _reporters.add(self)

    @property
    def counts(self) -> Counts:
        """What became of the events so far."""
        return self._ledger.counts()

    def prediction(
        self,
        prediction_id: object,
        prediction: object,
        *,
        timestamp: object = None,
        scores: Mapping[Any, Any] | None = None,
        features: Any = None,
        segments: Mapping[str, Any] | None = None,
        status: str = "ok",
        latency_ms: object = None,
        cost: object = None,
        model: str | None = None,
        model_version: str | None = None,
        request_id: str | None = None,
        role: str = "primary",
        artifact_hash: str | None = None,
        trace_id: str | None = None,
        prediction_lower: object = None,
        prediction_upper: object = None,
    ) -> None:
        """Send one prediction; fields as in ``InferenceEvent``.

        ``timestamp`` is integer milliseconds since 1970 or a ``datetime`` with a zone, now unless given.
        ``features`` is a mapping or a pandas row; NaN goes as null. ``latency_ms`` is in milliseconds.
        """

        def record() -> dict[str, Any]:
            leave_out = None if self._check else self._left_out
            return {
                "prediction_id": identifier(prediction_id),
                "model": self._model if model is None else model,
                "model_version": str(self._model_version if model_version is None else model_version),
                "timestamp": _now_ms() if timestamp is None else milliseconds(timestamp),
                "prediction": plain(prediction),
                "scores": scores and {class_text(name): plain(score) for name, score in scores.items()},
                "features": {} if features is None else features_of(features, leave_out),
                "segments": {
                    str(name): class_text(value) for name, value in (segments or {}).items() if given(value)
                },
                "status": status,
                "latency_ms": number(latency_ms),
                "cost": number(cost),
                "request_id": request_id,
                "role": role,
                "artifact_hash": artifact_hash,
                "trace_id": trace_id,
                "prediction_lower": number(prediction_lower),
                "prediction_upper": number(prediction_upper),
            }

        self._send(self._inference_topic, "InferenceEvent", record)

    def label(
        self,
        prediction_id: object,
        label: object,
        *,
        timestamp: object = None,
        model: str | None = None,
        source: str = "",
        sampling_probability: object = None,
        value: object = None,
    ) -> None:
        """Send what turned out to be true, fields as in ``LabelEvent``; a label of None withdraws.

        ``timestamp`` is when it became known, as in ``prediction``.
        """

        def record() -> dict[str, Any]:
            return {
                "prediction_id": identifier(prediction_id),
                "model": self._model if model is None else model,
                "label": plain(label),
                "timestamp": _now_ms() if timestamp is None else milliseconds(timestamp),
                "source": source,
                "sampling_probability": number(sampling_probability),
                "value": number(value),
            }

        self._send(self._label_topic, "LabelEvent", record)

    def flush(self, within_s: float | None = None) -> int:
        """Wait until all is delivered, or for so long; return how many events are left."""
        limit_s = self._flush_within_s if within_s is None else within_s
        return 0 if self._channel is None else self._channel.flush(limit_s)

    def close(self) -> None:
        """Send what waits, for at most ``flush_within_s``; what is given later is dropped."""
        with self._opening:
            self._closed = True
            channel, self._channel = self._channel, None
        if channel is not None:
            channel.close(self._flush_within_s)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _send(self, topic: str, name: str, record: Callable[[], dict[str, Any]]) -> None:
        self._ledger.add("given")
        try:
            event = record()
            if self._check is not None:
                self._check(name, event)
            value = encode(name, event, self._encoding)
            channel = self._channel or self._open()
            if channel is None:
                self._ledger.add("dropped", "the reporter is closed")
            else:
                channel.send(topic, event["prediction_id"].encode(), value)
        except Exception as error:
            self._ledger.add("refused", f"{name}: {error}")
            if self._check is not None:
                raise error if isinstance(error, EventError) else EventError(f"{name}: {error}") from error

    def _open(self) -> Channel | None:
        """Return the channel of this process, made by the first thread that needs one after a fork."""
        with self._opening:
            if self._channel is None and not self._closed:
                self._channel = Channel(self._options, self._ledger)
            return self._channel

    def _left_out(self, name: str, reason: str) -> None:
        self._ledger.add("features_left_out", f"$.features.{name}: {reason}")

    def _after_fork(self) -> None:
        # Threads and locks of the parent are not there any more; the next event opens a connection anew.
        if self._channel is not None:
            self._channel.abandon()
            self._channel = None
        self._ledger = Ledger(time.monotonic)
        self._opening = threading.Lock()


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def _worker_rules() -> Callable[[str, Mapping[str, Any]], None]:
    from streams.decode.reasons import RejectedError
    from streams.decode.rules import check
    from streams.decode.times import MAX_AHEAD_MS

    def judge(name: str, record: Mapping[str, Any]) -> None:
        try:
            check(name, record, _now_ms() + MAX_AHEAD_MS)
        except RejectedError as error:
            raise EventError(f"{name}: {error}") from None

    return judge


@atexit.register
def _close_all() -> None:
    for reporter in list(_reporters):
        reporter.close()


def _forked() -> None:
    for reporter in list(_reporters):
        reporter._after_fork()


os.register_at_fork(after_in_child=_forked)
