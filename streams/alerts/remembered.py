"""The panes of signals with labels as they were counted last, since late labels may still revise them."""

from schemas.signals import SignalKey, SignalPane

REMEMBERED_PANES = 2880  # two days: a change is found within one, and panes are kept for one


class RememberedPanes:
    """Of each signal the newest panes, in the order in which they were fed."""

    def __init__(self, pane_width_ms: int) -> None:
        self._span_ms = REMEMBERED_PANES * pane_width_ms
        self._panes: dict[SignalKey, dict[int, SignalPane]] = {}

    def add(self, pane: SignalPane) -> None:
        panes = self._panes.setdefault(pane.key, {})
        panes[pane.start_ms] = pane
        while next(iter(panes)) < pane.start_ms - self._span_ms:
            del panes[next(iter(panes))]

    def replace(self, pane: SignalPane) -> SignalPane | None:
        """Put a revised pane in the place of the old one and return that, None if it is not remembered."""
        panes = self._panes.get(pane.key, {})
        was = panes.get(pane.start_ms)
        if was is not None:
            panes[pane.start_ms] = pane
        return was

    def of(self, key: SignalKey) -> list[SignalPane]:
        return list(self._panes.get(key, {}).values())
