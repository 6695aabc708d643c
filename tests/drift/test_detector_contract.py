"""What every detector keeps to: river's by name, and the windows and the CUSUM of a channel."""

from collections.abc import Callable
from typing import Protocol

import numpy as np
import pytest

from schemas.settings import DAY_MS, MonitorSettings
from schemas.signals import SignalKey, SignalPane
from streams.drift import KNOWN, Budget, make_detector
from streams.drift.channel import Channel
from streams.drift.era import RATE_DEFAULTS, Watched
from streams.drift.record import UNIT_MS
from streams.drift.warm_up import WARM_UP_DAYS

WARM_UP = WARM_UP_DAYS * DAY_MS // UNIT_MS  # values, one to a quarter of an hour
STEADY, AFTER = 1000, 200  # values


class OneByOne(Protocol):
    def update(self, value: float) -> bool: ...


class OwnSignal:
    """A channel as a detector: each value is a pane of one rank."""

    def __init__(self, calm: int = 0, first: int = 0) -> None:
        self._channel = Channel(
            Watched(
                model="m",
                model_version="1",
                key=SignalKey("score"),
                regression=False,
                smallest_change=0.05,
                detectors=MonitorSettings().detectors,
                budget=Budget(1.0),
            )
        )
        self.at = first
        self.told_by: list[str] = []
        calm_values = np.random.default_rng(0).binomial(1, 0.1, calm)
        for value in calm_values.tolist():
            assert not self.update(float(value))

    def update(self, value: float) -> bool:
        start_ms = self.at * UNIT_MS
        self.at += 1
        pane = SignalPane(SignalKey("score"), start_ms, start_ms + UNIT_MS, 1, value, value * value)
        found = self._channel.feed(pane, 0)
        if found is not None:
            self.told_by.append(found.drift.detector)
        return found is not None


def rivers(name: str) -> Callable[[], OneByOne]:
    parameters = {"ADWIN": {"clock": 1.0}} | RATE_DEFAULTS
    return lambda: make_detector(name, parameters.get(name))


MAKERS: dict[str, Callable[[], OneByOne]] = {name: rivers(name) for name in KNOWN}
MAKERS["windows of the warm-up"] = OwnSignal
# The CUSUM begins after the warm-up.
MAKERS["CUSUM"] = lambda: OwnSignal(calm=WARM_UP)
# Of ones of 10 % each of them raises false alarms every day; the others must not say a word too early.
HASTY = ("DDM", "EDDM")
# River's takes a fall of the share of ones for the change, whatever its parameters are.
DEAF_TO_RISES = ("FHDDM",)

every_detector = pytest.mark.parametrize("name", MAKERS)


def alarms(detector: OneByOne, values: np.ndarray) -> list[int]:
    return [i for i, value in enumerate(values.tolist()) if detector.update(float(value))]


def step(seed: int, before: float = 0.1, after: float = 0.9) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.concatenate((rng.binomial(1, before, STEADY), rng.binomial(1, after, AFTER)))


@every_detector
def test_any_value_from_zero_to_one_is_taken_and_answered_by_yes_or_no(name: str) -> None:
    detector = MAKERS[name]()
    for value in (0.0, 1.0, 5e-324, 1.0 - 2**-53, *np.random.default_rng(1).random(300).tolist()):
        assert isinstance(detector.update(value), bool)


@every_detector
def test_the_same_values_twice_give_the_same_alarms_and_one_of_a_kind_knows_nothing_of_another(
    name: str,
) -> None:
    values = np.concatenate((step(2), step(3)))
    assert alarms(MAKERS[name](), values) == alarms(MAKERS[name](), values)


@every_detector
@pytest.mark.parametrize("level", [0.0, 0.3, 1.0])
def test_a_constant_is_no_change(name: str, level: float) -> None:
    # Against its calm past of ones of 10 % a constant is a change. Without it, it has the second half.
    detector = OwnSignal() if name == "CUSUM" else MAKERS[name]()
    assert alarms(detector, np.full(2 * WARM_UP, level)) == []


@every_detector
@pytest.mark.parametrize("seed", range(3))
def test_a_step_from_10_to_90_percent_is_found_within_100_values_and_not_before(name: str, seed: int) -> None:
    values = step(seed, 0.9, 0.1) if name in DEAF_TO_RISES else step(seed)
    found = alarms(MAKERS[name](), values)
    assert any(STEADY <= at < STEADY + 100 for at in found)
    assert name in HASTY or found[0] >= STEADY


@pytest.mark.parametrize("name", DEAF_TO_RISES)
@pytest.mark.parametrize(
    "parameters", [{}, {"confidence_level": 0.01}, {"sliding_window_size": 25}, {"short_window_size": 20}]
)
def test_a_rise_means_nothing_to_a_detector_of_falls_as_the_page_warns(name, parameters) -> None:
    assert alarms(make_detector(name, parameters), step(0))[-1:] < [STEADY]


@every_detector
def test_after_its_alarm_a_detector_is_as_good_as_new(name: str) -> None:
    values = step(4, 0.9, 0.1) if name in DEAF_TO_RISES else step(4)
    used = MAKERS[name]()
    at = next(i for i in alarms(used, values) if i >= STEADY)
    # The next step is up and down: one of the two is each detector's business.
    then = np.concatenate((step(5), step(6, 0.9, 0.1)))
    used = MAKERS[name]()
    assert at in alarms(used, values[: at + 1])
    # At the same time of the day: quarters of an hour are told together.
    new = OwnSignal(first=used.at) if isinstance(used, OwnSignal) else MAKERS[name]()
    told = alarms(used, then)
    assert told == alarms(new, then) != []


@pytest.mark.parametrize("name", ["windows of the warm-up", "CUSUM"])
def test_each_of_our_own_is_the_one_that_tells(name: str) -> None:
    detector = MAKERS[name]()
    alarms(detector, step(0))
    assert isinstance(detector, OwnSignal)
    (teller,) = detector.told_by
    proposers = {one.name for one in MonitorSettings().detectors}
    assert teller in ({"CUSUM"} if name == "CUSUM" else proposers)
