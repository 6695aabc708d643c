"""Alerts carry the evidence that is listed for their kind, and what is listed is carried."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import test_drift_alerts as drifting
import test_label_alerts as labels
import test_silence_and_dead_letters as quiet
import test_threshold_life as thresholds

from schemas.findings import AlertEvent, StreamTotals, Trouble
from streams.alerts.dead_letters import DeadLetters
from streams.alerts.kinds import COMMON, EVIDENCE, with_runbook
from streams.alerts.labels import HorizonTooShort, LabelsLate
from streams.alerts.silence import Silence
from streams.alerts.thresholds import Threshold
from streams.alerts.troubles import Troubles
from streams.monitor.happenings import Happenings
from streams.monitor.maintenance import Maintenance

MINUTE_MS = 60_000


def threshold_events() -> Iterator[AlertEvent]:
    rule = replace(thresholds.RULE, on="nowcast")
    names = ("accuracy_nowcast", "accuracy_nowcast_low", "accuracy_nowcast_high")
    low: dict[str, Any] = thresholds.figures(0.5) | dict.fromkeys(names, 0.5)
    well = thresholds.figures(0.95) | dict.fromkeys(names, 0.95)
    watch = Threshold(rule, "fraud", "1")
    yield from watch.evaluate(10 * MINUTE_MS, low, 10 * MINUTE_MS, withheld=False)
    yield from watch.revise(lambda *_: well, lambda *_: True, mature_ms=10**9, now_ms=11 * MINUTE_MS)
    yield from watch.evaluate(30 * MINUTE_MS, low, 30 * MINUTE_MS, withheld=False)
    yield from watch.give_up(40 * MINUTE_MS)


def drift_events() -> Iterator[AlertEvent]:
    """Yield events of errors that are taken back by late labels or recover, and of a feature that does."""
    one, back, other = drifting.alert(), drifting.alert(), drifting.alert()
    told = drifting.drift(0.1, 0.3, change_low=0.1, change_high=0.3, segments={"a=b": 1.0}, examples=("x",))
    drifting.feed(one, 0.1, range(100))
    yield from drifting.feed(one, 0.3, range(100, 105))
    yield from drifting.found(one, told)
    yield from drifting.found(one, drifting.feature("amount", 0.5, 0.9))
    yield from one.revised((drifting.pane(i, 10, 50) for i in range(100, 105)), 200 * MINUTE_MS)
    yield from drifting.found(back, told)
    yield from drifting.feed(back, 0.1, range(105, 400))
    yield from drifting.found(other, drifting.feature("amount", 0.5, 0.9))
    key = drifting.SignalKey("feature", feature="amount")
    yield from drifting.feed(other, 0.5, range(105, 400), key=key)


def stream_events() -> Iterator[AlertEvent]:
    letters = DeadLetters(0.05)
    for minute in range(1, 4):
        letters.absorb(StreamTotals(0, 1, minute * MINUTE_MS, 100 * minute, 50 * minute))
        yield from letters.advance()
    troubles = Troubles()
    for kind in ("partitioner", "state_gap"):
        troubles.absorb(Trouble(kind, "label-events", "wrong", 1, source="partition 0"))
    yield from troubles.advance()


def label_events() -> Iterator[AlertEvent]:
    late, short, silent = LabelsLate("fraud", "1"), HorizonTooShort("fraud", "1"), Silence("fraud", "1")
    yield from late.advance(labels.MISSING, 1)
    yield from late.advance(None, 2)
    yield from short.advance(labels.SHORT, 1)
    yield from short.advance(None, 2)
    yield from quiet.look(silent, 130, 100, 50.0)
    yield from silent.give_up(200 * MINUTE_MS)


def test_what_is_listed_is_carried_and_nothing_else() -> None:
    happenings = Happenings()
    happenings.note("fraud", "1", 0, "deployed")
    maintenance = Maintenance()
    maintenance.note("fraud", "1", 0, "maintenance_started")
    carried: dict[str, set[str]] = {kind: set() for kind in EVIDENCE}
    for event in (*threshold_events(), *drift_events(), *stream_events(), *label_events()):
        carried[event.kind] |= set(maintenance.name(happenings.name(event)).evidence)
    for kind, listed in EVIDENCE.items():
        assert carried[kind] - set(COMMON) == set(listed), kind
    assert set(COMMON) <= set.union(*carried.values())


def test_the_address_of_a_rule_wins_over_that_of_its_kind() -> None:
    (event, *_) = threshold_events()
    assert with_runbook(event, "wiki/$kind").runbook_url == "wiki/threshold"
    assert with_runbook(replace(event, runbook_url="own"), "wiki/$kind").runbook_url == "own"
    assert with_runbook(event, "").runbook_url == ""
