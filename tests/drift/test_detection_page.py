"""The page on detection names every detector that can be configured, and the numbers that are in the code."""

from pathlib import Path

import streams.drift.errors as fed
from streams.drift import KNOWN, baseline, era, warm_up
from streams.drift.record import UNIT_MS

PAGE = (Path(__file__).parents[2] / "docs" / "detection.md").read_text(encoding="utf-8")


def test_every_detector_has_a_row_with_advice_and_no_other_has() -> None:
    rows = [line.split("|")[1].split(",")[0].strip() for line in PAGE.splitlines() if line.startswith("| ")]
    assert set(KNOWN) <= set(rows)
    assert len([name for name in rows if name in KNOWN]) == len(KNOWN)


def test_numbers_on_the_page_are_those_of_the_code() -> None:
    for text in (
        f"more than {fed.MOST_VALUES} pairs",
        f"at least {fed.BLOCK_PAIRS} pairs",
        f"first {fed.REFERENCE_BLOCKS} mature blocks",
        f"{baseline.DRAWS} draws",
        f"residuals count {baseline.EARLY_SCALE:g} times",
        f"{2 * warm_up.MONTH_MS // UNIT_MS // 2:,} looks",
    ):
        assert text in PAGE
    for defaults in (era.RATE_DEFAULTS, era.SCORE_DEFAULTS):
        given = defaults["PageHinkley"]
        assert f"`delta = {given['delta']:g}`, `threshold = {given['threshold']:g}`" in PAGE
