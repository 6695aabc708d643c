"""What goes into each table: whole blocks, whose rows replace their equals, so writing twice is harmless."""

from collections.abc import Sequence

import pyarrow as pa

from schemas.features import FEATURE_COLUMNS
from schemas.findings import AlertEvent, Calibration, DelayCurve, DriftEvent, LifecycleEvent, ModelState
from schemas.panes import PANE_COLUMNS
from schemas.records import DeadLetter, IntArray
from sinks.clickhouse.client import Client
from sinks.clickhouse.rows import (
    alert_rows,
    calibration_rows,
    curve_rows,
    dead_letter_rows,
    drift_rows,
    lifecycle_rows,
    raw_rows,
    state_rows,
)


class Writer:
    """Writes to the tables of one database.

    Every method sends its rows as one block and returns when they are there; an empty block sends nothing.
    Where it raises ``UnreachableError`` the same block may be written again, as often as it takes.
    """

    def __init__(self, client: Client, database: str = "aftcast") -> None:
        self._client = client
        self._database = database

    def write(self, table: str, rows: pa.Table) -> None:
        """Write rows that have the declared columns of ``table``, by name."""
        if rows.num_rows:
            self._client.insert(f"{self._database}.{table}", rows)

    def write_rollups(self, rows: pa.RecordBatch) -> None:
        """Write cumulative rows of the schema ``PANE_COLUMNS``; per key the largest revision stands."""
        self.write("rollups", pa.Table.from_batches([rows], PANE_COLUMNS))

    def write_features(self, rows: pa.RecordBatch) -> None:
        """Write cumulative rows of the schema ``FEATURE_COLUMNS``; per key the largest revision stands."""
        self.write("feature_rollups", pa.Table.from_batches([rows], FEATURE_COLUMNS))

    def write_predictions(self, columns: pa.RecordBatch, topic: str, partition: int) -> None:
        """Write decoded predictions of one topic partition, schema ``INFERENCE_COLUMNS``."""
        self.write("predictions", raw_rows(columns, topic, partition))

    def write_labels(self, columns: pa.RecordBatch, topic: str, partition: int) -> None:
        """Write decoded labels of one topic partition, schema ``LABEL_COLUMNS``."""
        self.write("labels", raw_rows(columns, topic, partition))

    def write_lifecycle(
        self,
        events: Sequence[LifecycleEvent],
        offsets: IntArray,
        record_times_ms: IntArray,
        topic: str,
        partition: int,
    ) -> None:
        self.write("lifecycle_events", lifecycle_rows(events, offsets, record_times_ms, topic, partition))

    def write_dead_letters(self, letters: Sequence[DeadLetter]) -> None:
        self.write("dead_letters", dead_letter_rows(letters))

    def write_drift_events(self, events: Sequence[DriftEvent]) -> None:
        self.write("drift_events", drift_rows(events))

    def write_model_states(self, states: Sequence[ModelState]) -> None:
        """Write states; per model and version the newest ``as_of`` stands."""
        self.write("model_states", state_rows(states))

    def write_delay_curves(self, curves: Sequence[DelayCurve]) -> None:
        """Write curves; per model, version, predicted class and outcome the newest ``as_of`` stands."""
        self.write("delay_curves", curve_rows(curves))

    def write_calibrations(self, calibrations: Sequence[Calibration]) -> None:
        """Write calibrations; per model and version the newest ``as_of`` stands."""
        self.write("calibrations", calibration_rows(calibrations))

    def write_alerts(self, alerts: Sequence[AlertEvent]) -> None:
        """Write alert events, one row per ``event_id``."""
        self.write("alerts", alert_rows(alerts))
