"""How many predictions there were, how many calls failed, and how many have their label."""

from schemas.panes import PaneSums


def answered(sums: PaneSums) -> int:
    """Return the predictions that have a value: all but repeats, role test and failed calls."""
    return sums.counts["predictions"] - sums.counts["failures"]


def count_figures(sums: PaneSums) -> dict[str, float | int | None]:
    """Return predictions, failures, labelled and coverage.

    Coverage is the labelled share of answered predictions, in [0, 1]; None when none was answered, since 0
    would read as labels that are missing.
    """
    n = answered(sums)
    labelled = sums.counts["labelled"]
    return {
        "predictions": sums.counts["predictions"],
        "failures": sums.counts["failures"],
        "labelled": labelled,
        "coverage": labelled / n if n > 0 else None,
    }
