"""River's drift detectors behind one interface, by class name."""

import inspect
from collections.abc import Mapping
from typing import Any

# NoDrift and DummyDriftDetector are left out: they detect nothing.
REAL_VALUED = ("ADWIN", "KSWIN", "PageHinkley")
BINARY = ("DDM", "EDDM", "FHDDM", "HDDMA", "HDDMW")
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
    _check_name(name)
    return Detector(name, parameters or {})


def check_detector(name: str, parameters: Mapping[str, float]) -> None:
    """Raise what ``make_detector`` would; river is only asked where there are parameters to check."""
    _check_name(name)
    if parameters:
        _build(name, parameters)


def load() -> None:
    """Import river now rather than when the first detector is made, which then takes most of a second."""
    # With it comes scipy.stats, for KSWIN alone.
    import river.drift  # noqa: F401


def _check_name(name: str) -> None:
    if name not in KNOWN:
        raise ValueError(f"detector must be one of {', '.join(sorted(KNOWN))}; got {name!r}")


def _build(name: str, parameters: Mapping[str, float]) -> Any:
    from river import drift

    kind = getattr(drift.binary if name in BINARY else drift, name)
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
