"""What the cold join asks of ClickHouse: whose predictions labels are, rows of panes, and its own notes."""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import pyarrow as pa
import pyarrow.compute as pc

from sinks.clickhouse.client import Client
from sinks.cold.reached import Reached, Scan
from sinks.cold.waiting import DAY_MS, HOUR_MS, Pane

MS = pa.timestamp("ms", tz="UTC")
TTL_DAYS = re.compile(r"TTL .*?toIntervalDay\((\d+)\)")
RETRY_FIRST_MS, RETRY_LONGEST_MS = 600_000, DAY_MS
PREDICTION_COLUMNS = (
    "prediction_id, model, model_version, timestamp, prediction, prediction_kind, prediction_number, scores, "
    "scores_given, features, segments, status, latency_ms, cost, role, prediction_lower, prediction_upper, "
    "partition, offset, received_at"
)
LABEL_COLUMNS = (
    "prediction_id, model, label, label_kind, label_number, timestamp, source, sampling_probability, value, "
    "partition, offset, received_at"
)


Pieces = Iterator[tuple[pa.Table, pa.Table]]


@dataclass(frozen=True, slots=True)
class RawPanes:
    """All that there is of some panes of a model: raw rows, and keys of the rows that stand for them.

    ``pieces`` are predictions of some ids and all labels with these ids, each read when it is asked for.
    """

    pieces: Pieces
    counted: pa.Table
    counted_features: pa.Table


class ColdStore:
    """The statements of the cold join.

    Numbers are written into statements, texts never: those are parameters.
    """

    def __init__(self, client: Client, database: str, inference_topic: str, width_ms: int) -> None:
        self._client = client
        self._db = database
        self._inference_topic = inference_topic
        self._width_ms = width_ms

    # -- its own notes -------------------------------------------------------------------------------------

    def scans(self) -> dict[int, Scan]:
        """Return up to where each partition was looked through."""
        rows = self._client.rows(f"SELECT * EXCEPT revision FROM {self._db}.cold_scans FINAL")  # noqa: S608
        return {row["partition"]: Scan(**row) for row in rows}

    def write_scans(self, scans: Iterable[Scan], now_ms: int) -> None:
        rows = [
            {name: getattr(scan, name) for name in Scan.__slots__} | {"revision": now_ms} for scan in scans
        ]
        types = {"partition": pa.int32(), "revision": pa.uint64()}
        names = [*Scan.__slots__, "revision"]
        schema = pa.schema([(name, types.get(name, pa.int64())) for name in names])
        self._client.insert(f"{self._db}.cold_scans", pa.Table.from_pylist(rows, schema))

    def waiting(self) -> dict[Pane, int]:
        """Return the panes that wait, and since when."""
        rows = self._client.rows(
            f"SELECT model, toInt64(toUnixTimestamp(pane_start)) * 1000 AS start, "  # noqa: S608
            f"toUnixTimestamp64Milli(assumeNotNull(waiting_since)) AS since "
            f"FROM {self._db}.cold_panes FINAL WHERE waiting_since IS NOT NULL"
        )
        return {(row["model"], row["start"]): row["since"] for row in rows}

    def write_panes(self, panes: Sequence[Pane], now_ms: int, *, waits: bool) -> None:
        """Note that panes wait, or that they are joined."""
        if not panes:
            return
        schema = pa.schema(
            [
                ("model", pa.string()),
                ("pane_start", pa.timestamp("s", tz="UTC")),
                ("waiting_since", MS),
                ("joined_at", MS),
                ("revision", pa.uint64()),
            ]
        )
        n = len(panes)
        columns = [
            [model for model, _ in panes],
            [start_ms // 1000 for _, start_ms in panes],
            [now_ms if waits else None] * n,
            [None if waits else now_ms] * n,
            # A pane that is touched again in the millisecond in which it was joined waits again.
            [2 * now_ms + waits] * n,
        ]
        arrays = [pa.array(values, field.type) for values, field in zip(columns, schema, strict=True)]
        self._client.insert(f"{self._db}.cold_panes", pa.table(arrays, schema=schema))

    def open_labels(self) -> int:
        """Return how many labels have not found their prediction."""
        found: int = self._client.rows(
            f"SELECT count() AS n FROM {self._db}.cold_labels FINAL WHERE is_open"  # noqa: S608
        )[0]["n"]
        return found

    def raw_rows_kept_ms(self) -> int | None:
        """Return for how long raw rows are kept by their timestamp, None: for ever."""
        rows = self._client.rows(
            "SELECT engine_full FROM system.tables WHERE database = {database:String} "
            "AND name IN ('predictions', 'labels')",
            {"database": self._db},
        )
        found = [TTL_DAYS.search(row["engine_full"]) for row in rows]
        return min((int(match[1]) * DAY_MS for match in found if match), default=None)

    # -- which panes are touched ---------------------------------------------------------------------------

    def late_predictions(self, scans: Sequence[tuple[Scan, int]], floor_ms: int, slack_ms: int) -> list[Pane]:
        """Return panes below the floor of predictions with offsets from a scan to an end, by partition."""
        since_ms = min(scan.inference_ms for scan, _ in scans) - slack_ms
        places = " OR ".join(
            f"(partition = {scan.partition} AND offset >= {scan.inference_offset} AND offset < {end})"
            for scan, end in scans
        )
        return self._panes(
            f"SELECT model, timestamp AS second FROM {self._db}.predictions "  # noqa: S608
            f"WHERE received_at >= fromUnixTimestamp64Milli({max(0, since_ms)}, 'UTC') "
            f"AND timestamp < fromUnixTimestamp64Milli({max(0, floor_ms)}, 'UTC') AND role != 'test' "
            f"AND ({places})"
        )

    def panes_of_labels(self, partition: int, begin: int, end: int, floor_ms: int) -> list[Pane]:
        """Return panes that labels with offsets in ``[begin, end)`` touch."""
        return self._touched(self._arrived(partition, begin, end), floor_ms)

    def panes_between(self, model: str, begin_ms: int, end_ms: int) -> list[Pane]:
        """Return panes of a model that start in ``[begin_ms, end_ms)``."""
        rows = self._client.rows(
            f"SELECT DISTINCT toInt64(toUnixTimestamp(pane_start)) * 1000 AS start "  # noqa: S608
            f"FROM {self._db}.rollups WHERE model = {{model:String}} AND segment = '' "
            f"AND pane_start >= toDateTime({-(-begin_ms // 1000)}, 'UTC') "
            f"AND pane_start < toDateTime({-(-end_ms // 1000)}, 'UTC') ORDER BY start",
            {"model": model},
        )
        return [(model, row["start"]) for row in rows]

    def hours(self, begin_ms: int, end_ms: int) -> list[tuple[int, int]]:
        """Return beginnings and ends of the hours in ``[begin_ms, end_ms)`` that have panes, cut to it."""
        rows = self._client.rows(
            f"SELECT DISTINCT toInt64(toUnixTimestamp(toStartOfHour(pane_start))) * 1000 AS start "  # noqa: S608
            f"FROM {self._db}.rollups WHERE segment = '' "
            f"AND pane_start >= toDateTime({begin_ms // 1000}, 'UTC') "
            f"AND pane_start < toDateTime({end_ms // 1000}, 'UTC') ORDER BY start"
        )
        starts_ms = [int(row["start"]) for row in rows]
        return [(max(begin_ms, start), min(end_ms, start + HOUR_MS)) for start in starts_ms]

    def repeats(self, begin_ms: int, end_ms: int, reached: Reached) -> list[Pane]:
        """Return panes between two times in which a prediction lies in several partitions."""
        # Repeats lie side by side in the table, so that in its order only one id is remembered at a time.
        return self._panes(
            f"SELECT model, timestamp AS second FROM {self._db}.predictions "  # noqa: S608
            f"WHERE timestamp >= fromUnixTimestamp64Milli({begin_ms}, 'UTC') "
            f"AND timestamp < fromUnixTimestamp64Milli({end_ms}, 'UTC') AND role != 'test' "
            f"AND {_below(reached.inference)} "
            f"GROUP BY model, toStartOfMinute(timestamp), prediction_id, model_version, timestamp "
            f"HAVING min(partition) != max(partition) SETTINGS optimize_aggregation_in_order = 1"
        )

    def keep_open(self, partition: int, begin: int, end: int, now_ms: int) -> None:
        """Note which of these labels have no prediction."""
        labels = self._arrived(partition, begin, end)
        self._client.command(
            f"INSERT INTO {self._db}.cold_labels "  # noqa: S608
            f"SELECT id_hash, model, partition, received_at, "
            f"fromUnixTimestamp64Milli({now_ms + RETRY_FIRST_MS}, 'UTC'), true, 0 "
            f"FROM ({labels}) WHERE NOT {self._is_found(labels)}"
        )

    def panes_of_open_labels(self, now_ms: int, floor_ms: int, at_once: int) -> list[Pane]:
        """Return panes that open labels touch, those whose next try is due."""
        return self._touched(self._due(now_ms, at_once), floor_ms)

    def try_later(self, now_ms: int, orphan_after_ms: int, at_once: int) -> int:
        """Close labels that are found or too old, and put off the others; return how many were looked at."""
        labels = self._due(now_ms, at_once)
        looked_at: int = self._client.rows(f"SELECT count() AS n FROM ({labels})")[0]["n"]  # noqa: S608
        if looked_at:
            age_ms = f"{now_ms} - toUnixTimestamp64Milli(received_at)"
            pause_ms = f"least({RETRY_LONGEST_MS}, greatest({RETRY_FIRST_MS}, intDiv({age_ms}, 2)))"
            self._client.command(
                f"INSERT INTO {self._db}.cold_labels "  # noqa: S608
                f"SELECT id_hash, model, partition, received_at, "
                f"fromUnixTimestamp64Milli(toInt64({now_ms} + {pause_ms}), 'UTC'), "
                f"NOT {self._is_found(labels)} AND {age_ms} < {orphan_after_ms}, tries + 1 "
                f"FROM ({labels})"
            )
        return looked_at

    def _arrived(self, partition: int, begin: int, end: int) -> str:
        return (
            f"SELECT id_hash, model, partition, received_at FROM {self._db}.label_ids "  # noqa: S608
            f"WHERE partition = {partition} AND offset >= {begin} AND offset < {end}"
        )

    def _due(self, now_ms: int, at_once: int) -> str:
        return (
            f"SELECT id_hash, model, partition, received_at, tries FROM {self._db}.cold_labels FINAL "  # noqa: S608
            f"WHERE is_open AND try_at <= fromUnixTimestamp64Milli({now_ms}, 'UTC') "
            f"ORDER BY id_hash, model, partition, received_at LIMIT {at_once}"
        )

    def _is_found(self, labels: str) -> str:
        known = f"{self._db}.prediction_ids WHERE id_hash IN (SELECT id_hash FROM ({labels}))"  # noqa: S608
        return (
            f"if(model = '', id_hash IN (SELECT id_hash FROM {known}), "  # noqa: S608
            f"(id_hash, model) IN (SELECT id_hash, model FROM {known}))"
        )

    def _touched(self, labels: str, floor_ms: int) -> list[Pane]:
        # What is above the floor and in the label's own partition was joined there, unless the label had left
        # memory before its prediction was made.
        return self._panes(
            f"SELECT p.model AS model, p.second AS second "  # noqa: S608
            f"FROM ({labels}) AS l INNER JOIN (SELECT id_hash, model, second, partition "
            f"FROM {self._db}.prediction_ids WHERE id_hash IN (SELECT id_hash FROM ({labels}))) AS p "
            f"ON p.id_hash = l.id_hash "
            f"WHERE l.model IN ('', p.model) "
            f"AND (p.second < fromUnixTimestamp64Milli({max(0, floor_ms)}, 'UTC') "
            f"OR p.partition != l.partition OR l.received_at < p.second)"
        )

    def _panes(self, predictions: str) -> list[Pane]:
        width_s = self._width_ms // 1000
        rows = self._client.rows(
            f"SELECT model, intDiv(toUnixTimestamp(second), {width_s}) * {width_s} AS start "  # noqa: S608
            f"FROM ({predictions}) GROUP BY model, start ORDER BY model, start"
        )
        return [(row["model"], 1000 * int(row["start"])) for row in rows]

    # -- what panes are made of ----------------------------------------------------------------------------

    def sizes(self, model: str, starts_ms: Sequence[int]) -> dict[int, int]:
        """Return about how many predictions panes have, counted or not: a whole pane may have come late."""
        width_s = self._width_ms // 1000
        rows = self._client.rows(
            f"SELECT toInt64(intDiv(toUnixTimestamp(timestamp), {width_s})) * {self._width_ms} AS start, "  # noqa: S608
            f"count() AS n FROM {self._db}.predictions "
            f"WHERE model = {{model:String}} AND ({self._ranges(starts_ms)}) GROUP BY start",
            {"model": model},
        )
        return {row["start"]: row["n"] for row in rows}

    def read(
        self, model: str, starts_ms: Sequence[int], reached: Reached, at_once: int | None = None
    ) -> RawPanes:
        """Return what there is of panes below the bounds, predictions set aside as ``id_reused`` left out.

        ``at_once`` is for panes with more predictions than that: they are read in pieces of so many.
        """
        panes = f"model = {{model:String}} AND {self._starts(starts_ms)}"
        keys = "model, model_version, segment, toDateTime64(r.pane_start, 3, 'UTC') AS pane_start, partition"
        counted = self._client.arrow(
            f"SELECT DISTINCT {keys} FROM {self._db}.rollups AS r WHERE {panes}",  # noqa: S608
            {"model": model},
        )
        counted_features = self._client.arrow(
            f"SELECT DISTINCT {keys}, signal, feature FROM {self._db}.feature_rollups AS r WHERE {panes}",  # noqa: S608
            {"model": model},
        )
        return RawPanes(self._pieces(model, starts_ms, reached, at_once), counted, counted_features)

    def _pieces(self, model: str, starts_ms: Sequence[int], reached: Reached, at_once: int | None) -> Pieces:
        within = f"model = {{model:String}} AND ({self._ranges(starts_ms)}) AND {_below(reached.inference)}"
        edges: list[str | None] = [None, None]
        if at_once is not None:
            found = self._client.rows(
                f"SELECT DISTINCT prediction_id AS edge FROM (SELECT prediction_id, "  # noqa: S608
                f"row_number() OVER (ORDER BY prediction_id) AS n "
                f"FROM {self._db}.predictions WHERE {within}) WHERE n % {at_once} = 0 ORDER BY edge",
                {"model": model},
            )
            edges[1:1] = [row["edge"] for row in found]
        for after, until in pairwise(edges):
            ids, what = within, {"model": model, "topic": self._inference_topic}
            if after is not None:
                ids, what = ids + " AND prediction_id > {after:String}", what | {"after": after}
            if until is not None:
                ids, what = ids + " AND prediction_id <= {until:String}", what | {"until": until}
            # Held by no name here: one piece is gone before the next one is read.
            yield self._piece(ids, what, reached)

    def _piece(self, within: str, what: dict[str, str], reached: Reached) -> tuple[pa.Table, pa.Table]:
        predictions = self._client.arrow(
            f"SELECT {PREDICTION_COLUMNS} FROM {self._db}.predictions WHERE {within} "  # noqa: S608
            f"AND (partition, offset) NOT IN (SELECT partition, offset FROM {self._db}.dead_letters "
            f"WHERE topic = {{topic:String}} AND startsWith(reason, 'id_reused'))",
            what,
        )
        ids = predictions.column("prediction_id")
        if predictions.num_rows:
            first, last = pc.min_max(ids).as_py().values()
        else:
            first = last = ""
        labels = self._client.arrow(
            # Ids that grow with time lie together: the first and the last one spare most of the table.
            f"SELECT {LABEL_COLUMNS} FROM {self._db}.labels "  # noqa: S608
            f"WHERE prediction_id >= {{first:String}} AND prediction_id <= {{last:String}} "
            f"AND id_hash IN (SELECT cityHash64(prediction_id) FROM {self._db}.predictions WHERE {within}) "
            f"AND model IN ('', {{model:String}}) AND {_below(reached.labels)}",
            what | {"first": first, "last": last},
        )
        return predictions, labels

    def _starts(self, starts_ms: Sequence[int]) -> str:
        return (
            f"toUnixTimestamp(r.pane_start) IN ({', '.join(str(start // 1000) for start in starts_ms)}) "
            + (
                f"AND r.pane_start >= toDateTime({starts_ms[0] // 1000}, 'UTC') "
                f"AND r.pane_start <= toDateTime({starts_ms[-1] // 1000}, 'UTC')"
            )
        )

    def _ranges(self, starts_ms: Sequence[int]) -> str:
        ranges: list[list[int]] = []
        for start_ms in starts_ms:
            if ranges and ranges[-1][1] == start_ms:
                ranges[-1][1] += self._width_ms
            else:
                ranges.append([start_ms, start_ms + self._width_ms])
        return " OR ".join(
            f"(timestamp >= fromUnixTimestamp64Milli({begin}, 'UTC') "
            f"AND timestamp < fromUnixTimestamp64Milli({end}, 'UTC'))"
            for begin, end in ranges
        )


def _below(bounds: Sequence[int]) -> str:
    return f"offset < [{', '.join(map(str, bounds))}][partition + 1]"
