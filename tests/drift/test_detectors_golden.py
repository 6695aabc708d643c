"""River's documented detections come through our interface, and names are checked."""

import random

import numpy as np
import pytest
from river import drift
from river.drift import binary

from streams.drift import KNOWN, make_detector


def s1() -> np.ndarray:
    np.random.seed(12345)  # noqa: NPY002  the documented streams are drawn this way
    return np.concatenate((np.random.randint(2, size=1000), np.random.randint(8, size=1000)))  # noqa: NPY002


def s2() -> np.ndarray:
    np.random.seed(12345)  # noqa: NPY002
    parts = (np.random.binomial(1, 0.2, 1000), np.random.binomial(1, 0.8, 1000))  # noqa: NPY002
    return np.concatenate(parts)


def s3() -> np.ndarray:
    np.random.seed(12345)  # noqa: NPY002
    parts = [np.random.normal(mean, 0.1, 500) > 0 for mean in (0, 0.25, 0, 0.25)]  # noqa: NPY002
    return np.concatenate(parts).astype(int)


def apart() -> np.ndarray:
    rng = np.random.default_rng(42)
    return np.concatenate((rng.integers(0, 2, 1000), rng.integers(6, 12, 1000)))


def documented() -> list[int]:
    rng = random.Random(12345)
    return rng.choices([0, 1], k=1000) + rng.choices(range(4, 8), k=1000)


@pytest.mark.parametrize(
    ("name", "parameters", "stream", "indices"),
    [
        ("ADWIN", {}, s1, [1023]),
        ("ADWIN", {"clock": 1}, s1, [1004]),
        ("ADWIN", {"clock": 1.0}, s1, [1004]),
        ("ADWIN", {}, s2, [1055]),
        ("ADWIN", {}, s3, [543, 1023, 1567]),
        ("ADWIN", {}, documented, [1023]),
        ("ADWIN", {"delta": 0.001}, apart, [1023]),
        ("ADWIN", {"clock": 1}, s2, [1044]),
        ("ADWIN", {"clock": 1}, s3, [541, 1021, 1541]),
        ("PageHinkley", {}, s1, [1020, 1397, 1548, 1988]),
        ("PageHinkley", {}, s2, [1081]),
        ("PageHinkley", {}, s3, [588, 1097, 1585]),
        ("DDM", {}, s2, [1049]),
        ("DDM", {}, s3, [542, 1619]),
        ("EDDM", {}, s2, [663, 828, 1007, 1078]),
        ("EDDM", {}, s3, [62, 393, 449, 504, 573, 1715, 1956]),
        ("HDDMA", {}, s2, [1047]),
        ("HDDMA", {}, s3, [531, 1554]),  # one side only: the fall at 1000 is not its business
        ("HDDMA", {"two_sided_test": 1}, s3, [531, 1015, 1545]),
        ("HDDMW", {}, s2, [1018]),
        ("HDDMW", {}, s3, [507, 1508]),
        ("HDDMW", {"two_sided_test": 1}, s3, [507, 1032, 1508]),
        ("FHDDM", {}, s2, []),
        ("FHDDM", {}, s3, [1046]),  # the fall, and neither of the rises
        ("KSWIN", {}, s1, [948, 1048, 1481]),
        ("KSWIN", {}, s2, [1029]),
        ("KSWIN", {}, s3, [524, 1028, 1136, 1334, 1524]),
        ("KSWIN", {"alpha": 0.0001, "window_size": 200, "stat_size": 100, "seed": 42}, s1, [1042]),
    ],
)
def test_detections_are_where_river_documents_them(name, parameters, stream, indices) -> None:
    detector = make_detector(name, parameters)
    assert [i for i, value in enumerate(stream()) if detector.update(float(value))] == indices


@pytest.mark.parametrize("stream", [s1, s2, s3])
@pytest.mark.parametrize("name", KNOWN)
def test_each_value_of_a_stream_means_to_river_what_it_means_through_our_interface(name, stream) -> None:
    kind = getattr(binary, name, None) or getattr(drift, name)
    theirs = kind(seed=1) if name == "KSWIN" else kind()
    ours = make_detector(name)
    for i, value in enumerate(stream()):
        theirs.update(bool(value) if ours.only_binary else float(value))
        assert ours.update(float(value)) == theirs.drift_detected, i


def test_known_names_are_all_that_river_has_except_those_that_detect_nothing() -> None:
    rivers = {name for module in (drift, binary) for name in module.__all__}
    apart = {
        "NoDrift",
        "DummyDriftDetector",
        "PeriodicTrigger",
        "DriftRetrainingClassifier",
        "binary",
        "datasets",
    }
    assert set(KNOWN) == rivers - apart


def test_an_unknown_detector_is_refused_with_those_there_are() -> None:
    with pytest.raises(ValueError, match=r"^detector must be one of ADWIN, DDM, .*PageHinkley; got 'Adwin'$"):
        make_detector("Adwin")


def test_an_unknown_parameter_is_refused_with_those_there_are() -> None:
    with pytest.raises(
        ValueError, match=r"^detector ADWIN has the parameters delta, clock, .*; got 'detla'$"
    ):
        make_detector("ADWIN", {"detla": 0.1})


def test_a_detector_that_draws_samples_gives_the_same_outcome_twice() -> None:
    stream = np.random.default_rng(3).normal(0, 1, 2000) + np.repeat([0, 2.0], 1000)
    twice = []
    for _ in range(2):
        detector = make_detector("KSWIN")
        twice.append([i for i, value in enumerate(stream) if detector.update(value)])
    assert twice[0] == twice[1] != []
