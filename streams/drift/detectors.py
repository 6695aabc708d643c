"""River's drift detectors behind one interface, by class name."""

import inspect
from collections.abc import Mapping
from typing import Any

from river import drift
from river.drift import binary

# NoDrift and DummyDriftDetector are left out: they detect nothing.
REAL_VALUED: Mapping[str, Any] = {
    "ADWIN": drift.ADWIN,
    "KSWIN": drift.KSWIN,
    "PageHinkley": drift.PageHinkley,
}
BINARY: Mapping[str, Any] = {
    "DDM": binary.DDM,
    "EDDM": binary.EDDM,
    "FHDDM": binary.FHDDM,
    "HDDMA": binary.HDDMA,
    "HDDMW": binary.HDDMW,
}
KNOWN = (*REAL_VALUED, *BINARY)


class Detector:
    """Takes values one by one and says when their distribution has changed."""

    def __init__(self, name: str, parameters: Mapping[str, float]) -> None:
        self.name = name
        self.only_binary = name in BINARY
        self._river = _build(name, parameters)

    def update(self, value: float) -> bool:
        """Take in one value, in [0, 1], and return whether it completes the evidence of a change."""
        self._river.update(bool(value) if self.only_binary else value)
        return bool(self._river.drift_detected)


def make_detector(name: str, parameters: Mapping[str, float] | None = None) -> Detector:
    """Return river's detector of this class name, built with these arguments.

    Raises
    ------
    ValueError
        If there is no such detector, or it has no such parameter; the message lists those there are.

    Examples
    --------
    >>> detector = make_detector("ADWIN", {"clock": 1})
    >>> [i for i, value in enumerate([0.0] * 200 + [1.0] * 200) if detector.update(value)]
    [212]
    """
    if name not in KNOWN:
        raise ValueError(f"detector must be one of {', '.join(sorted(KNOWN))}; got {name!r}")
    return Detector(name, parameters or {})


def _build(name: str, parameters: Mapping[str, float]) -> Any:
    kind = REAL_VALUED.get(name) or BINARY[name]
    known = inspect.signature(kind).parameters
    for parameter in parameters:
        if parameter not in known:
            raise ValueError(f"detector {name} has the parameters {', '.join(known)}; got {parameter!r}")
    arguments: dict[str, Any] = {}
    for parameter, value in parameters.items():
        default = known[parameter].default
        # Configuration knows one kind of number; river counts with integers and takes flags as such.
        exact = isinstance(default, int) or parameter == "seed"
        arguments[parameter] = (
            type(default)(value) if isinstance(default, bool) else int(value) if exact else value
        )
    if name == "KSWIN":
        arguments.setdefault("seed", 1)  # it draws samples: unseeded, the same input has two outcomes
    return kind(**arguments)
