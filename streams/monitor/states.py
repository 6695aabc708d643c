"""Each model version's task, decided once, and what is announced of it."""

from schemas.findings import ModelState, Task
from schemas.panes import PaneSums
from schemas.settings import ModelSettings
from streams.drift import Standing
from streams.metrics import task_of
from streams.monitor.store import Series

DECIDING_COUNT = 1000  # answered predictions


class VersionState:
    """The task of one model version: provisional until the merged count reaches 1,000, then fixed."""

    def __init__(
        self, model: str, model_version: str, settings: ModelSettings | None, pane_width_ms: int = 60_000
    ) -> None:
        self._model, self._version, self._settings = model, model_version, settings
        self._width_ms = pane_width_ms
        self._sums = PaneSums()
        self._answered = 0
        self._read_until_ms: int | None = None
        self._decided = False
        self._announced: tuple[object, ...] | None = None
        self.task: Task = "binary"

    def look(self, series: Series, closed_until_ms: int) -> None:
        """Read the panes that have closed since, in order, while the task is open."""
        if self._decided:
            return
        start_ms = series.first_ms if self._read_until_ms is None else self._read_until_ms
        for start in series.between(start_ms, closed_until_ms):
            sums = series.panes[start].sums()
            # Only what the task is told from is kept: counts and classes.
            self._sums.add(PaneSums(counts=sums.counts, maps=sums.maps))
            self._answered += sums.counts["predictions"] - sums.counts["failures"]
            if self._answered >= DECIDING_COUNT:
                self._decided = True
                break
        self._read_until_ms = max(closed_until_ms, start_ms)
        self.task = task_of(self._sums, self._settings)

    def announce(
        self, standing: Standing, coverage: float | None, provable: float | None, as_of_ms: int
    ) -> list[ModelState]:
        """Return the state if it differs from what was announced last.

        The coverage that is usual moves a little with every hour: it is told with the rest.
        """
        new = (self.task, standing, coverage is None, provable)
        if self._announced == new:
            return []
        self._announced = new
        return [
            ModelState(
                self._model,
                self._version,
                self.task,
                standing.until_ms,
                as_of_ms,
                maturity=standing.maturity,
                horizon_ms=standing.horizon_ms,
                expected_coverage=coverage,
                provable_change=provable,
                skipped=standing.skipped,
                pane_width_ms=self._width_ms,
            )
        ]
