"""How many predictions there were, how many calls failed, and how many have their label."""

from schemas.panes import PaneSums


def answered(sums: PaneSums) -> int:
    """Return the predictions that have a value: all but repeats, role test and failed calls."""
    return sums.counts["predictions"] - sums.counts["failures"]


def count_figures(sums: PaneSums, window_ms: int) -> dict[str, float | int | None]:
    """Return predictions, failures, labelled, corrected_labels, coverage, success_rate, predictions_per_s.

    Coverage is the labelled share of answered predictions, in [0, 1]; None when none was answered, since 0
    would read as labels that are missing. Likewise the success rate, the answered share of all.
    """
    n, predictions = answered(sums), sums.counts["predictions"]
    labelled = sums.counts["labelled"]
    return {
        "predictions": predictions,
        "failures": sums.counts["failures"],
        "labelled": labelled,
        "coverage": labelled / n if n > 0 else None,
        "success_rate": n / predictions if predictions > 0 else None,
        "predictions_per_s": predictions * 1000 / window_ms,
        "corrected_labels": sums.counts["corrected"],
    }


def status_shares(sums: PaneSums) -> list[dict[str, str | float | int]]:
    """Return how calls ended: "ok", then each status of failed calls, with calls and their share of all.

    Examples
    --------
    >>> sums = PaneSums()
    >>> sums.counts |= {"predictions": 4, "failures": 1}
    >>> sums.maps["statuses"] = {"timeout": 1}
    >>> [(row["status"], row["calls"], row["share"]) for row in status_shares(sums)]
    [('ok', 3, 0.75), ('timeout', 1, 0.25)]
    """
    predictions = sums.counts["predictions"]
    ended = [("ok", answered(sums)), *sorted(sums.maps["statuses"].items())]
    return [
        {"status": status, "calls": calls, "share": calls / predictions}
        for status, calls in ended
        if calls > 0
    ]
