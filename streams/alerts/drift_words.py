"""What an alert about drift says, in its summary and as evidence."""

import json
from collections.abc import Sequence

from schemas.findings import DriftEvent, Scalar

MOST_LISTED = 50  # signals in the evidence; how many there are in all is said beside it


def named(drift: DriftEvent) -> str:
    """Return a signal's name for people.

    Examples
    --------
    >>> named(DriftEvent("m", "", "country=DE", "amount", "missing", "ADWIN", 0, 0, 0, 0.0, 0.1))
    'missing amount in country=DE'
    """
    name = f"{drift.signal} {drift.feature}".strip().replace("_", " ")
    return f"{name} in {drift.segment}" if drift.segment else name


def change(drift: DriftEvent) -> str:
    verb = "rose" if drift.after > drift.before else "fell"
    return f"{named(drift)} {verb} from {drift.before:.4g} to {drift.after:.4g}"


def together(drifts: Sequence[DriftEvent]) -> str:
    """Return the first change in full, and the names of some that came with it."""
    first, others = drifts[0], drifts[1:]
    if not others:
        return change(first)
    names = ", ".join(named(drift) for drift in others[:3])
    rest = f" and {len(others) - 3} more" if len(others) > 3 else ""
    return f"{change(first)}, with {names}{rest}"


def evidence(drifts: Sequence[DriftEvent]) -> dict[str, Scalar]:
    """Return the figures of the first change, and all of them as JSON under ``signals``."""
    first = drifts[0]
    found: dict[str, Scalar] = {
        "before": first.before,
        "after": first.after,
        "detector": first.detector,
        "change_start": first.change_start_ms,
        "change_end": first.change_end_ms,
    }
    if first.change_low is not None and first.change_high is not None:
        found |= {"change_low": first.change_low, "change_high": first.change_high}
    found["signals_moved"] = len(drifts)
    found["signals"] = as_json([_row(drift) for drift in drifts[:MOST_LISTED]])
    segments = next((drift.segments for drift in drifts if drift.segments), {})
    if segments:
        found["segments"] = as_json(segments)
    examples = next((drift.examples for drift in drifts if drift.examples), ())
    if examples:
        found["examples"] = as_json(list(examples))
    return found


def as_json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _row(drift: DriftEvent) -> dict[str, Scalar]:
    row: dict[str, Scalar] = {"signal": drift.signal}
    row |= {name: text for name, text in (("feature", drift.feature), ("segment", drift.segment)) if text}
    return row | {
        "before": drift.before,
        "after": drift.after,
        "change_start": drift.change_start_ms,
        "change_end": drift.change_end_ms,
        "detector": drift.detector,
    }
