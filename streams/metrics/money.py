"""What the calls cost and what the outcomes were worth, in the user's unit."""

from schemas.panes import PaneSums


def money_figures(sums: PaneSums) -> dict[str, float | None]:
    """Return the sums of cost and value, and cost_per_1000; None, not 0, where nothing carried one."""
    figures = {
        name: sums.total(f"{name}_sum") if sums.counts[f"{name}_n"] > 0 else None
        for name in ("cost", "value")
    }
    cost = figures["cost"]
    return figures | {"cost_per_1000": None if cost is None else 1000 * cost / sums.counts["cost_n"]}
