"""What the calls cost and what the outcomes were worth, in the user's unit."""

from schemas.panes import PaneSums


def money_figures(sums: PaneSums) -> dict[str, float | None]:
    """Return the sums of cost and value; None, not 0, where nothing carried one."""
    return {
        name: sums.total(f"{name}_sum") if sums.counts[f"{name}_n"] > 0 else None
        for name in ("cost", "value")
    }
