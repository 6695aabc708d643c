"""The board for finding out why: features, wrong answers, confusion, dead letters, and the streams inside."""

from aftcast.dashboards.choices import (
    ALL_TRAFFIC,
    CHOSEN,
    FEATURE,
    OF_MODEL,
    OF_SEGMENT,
    OF_VERSION,
    ONE_MODEL,
    SEGMENT,
    SERIES,
    VERSION,
    WINDOW,
    chosen_text,
    window,
)
from aftcast.dashboards.panels import Board, Panel, Query, Row
from aftcast.dashboards.statements import MARKS_OF_CHOSEN, NEWEST_FIRST
from aftcast.dashboards.streams import STREAMS

OF_FEATURE = f"feature = {chosen_text('feature')}"

# Counts of the chosen feature in the cells of the newest reference, numbers by cell and texts by name.
DISTRIBUTION = f"""
WITH
    r AS (
        SELECT model, model_version, edges, counts, values, categories, category_counts, rest, n
        FROM aftcast.feature_references FINAL
        WHERE {OF_FEATURE} AND signal = 'feature' AND {OF_MODEL} AND {OF_VERSION} AND {OF_SEGMENT}
        ORDER BY as_of DESC, n DESC LIMIT 1
    ),
    w AS (
        SELECT sumMap(f.cells, f.cell_counts) AS grid, sumMap(f.categories) AS names, sum(f.other) AS others
        FROM (SELECT * FROM aftcast.feature_rollups FINAL) AS f
        WHERE $__timeFilter(f.pane_start) AND f.signal = 'feature' AND {OF_SEGMENT} AND {OF_FEATURE}
            AND (f.model, f.model_version) IN (SELECT model, model_version FROM r)
    )
SELECT
    cell.1 AS bin,
    cell.2 / nullIf(sum(cell.2) OVER (), 0) AS shown,
    cell.3 / nullIf(sum(cell.3) OVER (), 0) AS reference
FROM (
    SELECT arrayConcat(
        arrayMap(
            i -> (
                toString(toFloat32(r.values[i])),
                toFloat64(arraySum(
                    (g, c) -> if(arrayCount(e -> e <= g, r.edges) = i - 1, c, 0), w.grid.1, w.grid.2
                )),
                toFloat64(r.counts[i])
            ),
            if(arraySum(r.counts) > 0, arrayEnumerate(r.counts), [])
        ),
        arrayMap(
            (name, held) -> (name, toFloat64(w.names[name]), toFloat64(held)), r.categories, r.category_counts
        ),
        if(empty(r.categories), [], [(
            '(others)',
            toFloat64(
                w.others + arraySum(mapValues(mapFilter((name, c) -> NOT has(r.categories, name), w.names)))
            ),
            toFloat64(r.rest)
        )])
    ) AS cells, arrayJoin(arrayEnumerate(cells)) AS at, cells[at] AS cell
    FROM r CROSS JOIN w
)
WHERE cell.2 + cell.3 > 0
ORDER BY at
"""

SEGMENT_CHOSEN = chosen_text("segment")
# Panes keep examples of all traffic only; which segments these belong to is known from the raw rows.
# A label that came later may have made an answer right.
WRONG_ANSWERS = f"""
WITH examples AS (
    SELECT arrayJoin(f.examples) AS prediction_id
    FROM (
        SELECT examples FROM aftcast.rollups FINAL
        WHERE $__timeFilter(pane_start) AND {OF_MODEL} AND {OF_VERSION} AND segment = ''
            AND notEmpty(examples)
        ORDER BY pane_start DESC LIMIT 500
    ) AS f
)
SELECT p.timestamp AS time, p.model_version AS model_version, p.prediction_id AS prediction_id,
    p.prediction AS said, l.truth AS truth, p.request_id AS request_id, p.trace_id AS trace_id,
    p.latency_ms AS latency_ms, toString(p.segments) AS segments, toString(p.features) AS features
FROM (
    SELECT * FROM aftcast.predictions FINAL
    WHERE $__timeFilter(timestamp) AND {OF_MODEL} AND {OF_VERSION}
        AND prediction_id IN (SELECT prediction_id FROM examples)
        AND ({SEGMENT_CHOSEN} = '{ALL_TRAFFIC}' OR has(
            arrayMap((name, value) -> concat(name, '=', value), mapKeys(segments), mapValues(segments)),
            {SEGMENT_CHOSEN}
        ))
) AS p
INNER JOIN (
    SELECT
        prediction_id,
        argMax(
            (label,), (timestamp, label IS NOT NULL, ifNull(label_number, 0), ifNull(label, ''))
        ).1 AS truth
    FROM aftcast.labels
    WHERE prediction_id IN (SELECT prediction_id FROM examples) AND (model = '' OR {OF_MODEL})
    GROUP BY prediction_id
) AS l ON l.prediction_id = p.prediction_id
WHERE said != truth
ORDER BY time DESC LIMIT 100
"""

# Features of a pane come when its partition closes it, its counts before: until then they look missing. A
# partition that has had nothing for a whole window has nothing to close, and where no features come at all
# any more, every window shows it.
CLOSED = f"""WITH (
    SELECT mapFromArrays(groupArray(toString(model)), groupArray(until))
    FROM (
        SELECT
            model,
            greatest(min(newest), max(newest) - toIntervalSecond({WINDOW})) + toIntervalSecond(
                greatest(60, (SELECT toUInt32(max(pane_s)) FROM aftcast.model_states FINAL WHERE {OF_MODEL}))
            ) AS until
        FROM (
            SELECT f.model AS model, f.partition AS partition, max(f.pane_start) AS newest
            FROM aftcast.feature_rollups AS f
            INNER JOIN (
                SELECT model, max(pane_start) AS last FROM aftcast.rollups
                WHERE $__timeFilter(pane_start) AND {OF_MODEL} AND segment = '' GROUP BY model
            ) AS l ON l.model = f.model
            WHERE $__timeFilter(f.pane_start) AND f.partition >= 0
                AND f.pane_start >= l.last - toIntervalSecond(2 * {WINDOW})
            GROUP BY model, partition
        )
        GROUP BY model
    )
) AS closed
"""
IS_CLOSED = (
    "(NOT mapContains(closed, toString(model)) "
    f"OR window_start + toIntervalSecond({WINDOW}) <= closed[toString(model)])"
)

_FEATURES = Row(
    "Features against the reference",
    (
        Panel(
            "Newest window of each feature",
            "table",
            (
                Query(
                    f"{CLOSED}"
                    "SELECT feature, model_version, window_start, drifted, psi, jensen_shannon, p_value, "
                    "missing_share, "
                    "n, reference_n, reference_version\n"
                    f"FROM aftcast.feature_drift(window_seconds = {WINDOW})\n"
                    f"WHERE $__timeFilter(window_start) AND {CHOSEN} AND {IS_CLOSED}\n"
                    "ORDER BY window_start DESC LIMIT 1 BY feature, model_version\nLIMIT 500"
                ),
            ),
            "Distances and tests of each feature's newest window that is closed. `drifted` keeps the budget "
            "of false alarms.",
            width=12,
            units=(("missing_share", "percentunit"),),
        ),
        Panel(
            "Distribution of the chosen feature",
            "barchart",
            (Query(DISTRIBUTION),),
            "What is shown against the reference, by the reference's own cells: numbers by each cell's mean, "
            "texts by value.",
            unit="percentunit",
            width=12,
        ),
        Panel(
            "PSI by feature",
            "timeseries",
            (
                Query(
                    f"{CLOSED}"
                    "SELECT window_start AS time, concat(feature, ' ', model_version) AS series, psi AS "
                    "figure\n"
                    f"FROM aftcast.feature_drift(window_seconds = {WINDOW})\n"
                    f"WHERE $__timeFilter(window_start) AND {CHOSEN} AND {IS_CLOSED} AND psi IS NOT NULL\n"
                    "ORDER BY time, series"
                ),
            ),
            "Population stability index. Small windows are far from the reference by chance alone: see "
            "`drifted`.",
            width=24,
        ),
    ),
)
_ANSWERS = Row(
    "Answers",
    (
        Panel(
            "Recent wrong answers",
            "table",
            (Query(WRONG_ANSWERS),),
            "Examples that panes kept, with the label in force, and the ids to find them in logs and traces.",
            width=24,
            height=9,
        ),
        Panel(
            "Confusion",
            "table",
            (
                Query(
                    "SELECT splitByChar('\\x1f', pair.1)[1] AS label, splitByChar('\\x1f', pair.1)[2] AS "
                    "predicted, "
                    "pair.2 AS pairs\nFROM (\n    SELECT arrayJoin(arrayZip(mapKeys(counts), "
                    "mapValues(counts))) AS pair\n"
                    "    FROM (\n        SELECT sumMap(confusion) AS counts FROM aftcast.rollups FINAL\n"
                    f"        WHERE $__timeFilter(pane_start) AND {CHOSEN}\n    )\n)\n"
                    "WHERE pairs > 0\nORDER BY label != predicted DESC, pairs DESC LIMIT 500"
                ),
            ),
            "Labelled pairs by label and prediction, the most frequent mistakes first.",
        ),
        Panel(
            "Reliability",
            "barchart",
            (
                Query(
                    "SELECT concat(toString(round(bin_low, 1)), ' to ', toString(round(bin_high, 1))) AS "
                    "score,\n"
                    "    sum(n * predicted) / sum(n) AS promised, sum(n * came_true) / sum(n) AS was_true\n"
                    f"FROM aftcast.reliability(window_seconds = {WINDOW})\n"
                    f"WHERE $__timeFilter(window_start) AND {CHOSEN}\nGROUP BY score ORDER BY score"
                ),
            ),
            "What scores promised and what came true.",
            unit="percentunit",
        ),
        Panel(
            "Labels by age",
            "timeseries",
            (
                Query(
                    f"SELECT window_start AS time, {SERIES}, argMin(share, abs(log2(greatest(age_s, 1) / "
                    "900))) AS figure\n"
                    f"FROM aftcast.delay_curve(window_seconds = {WINDOW})\n"
                    f"WHERE $__timeFilter(window_start) AND {CHOSEN}\n"
                    "GROUP BY time, model, model_version\nORDER BY time, series"
                ),
            ),
            "Share of answers whose label came within about 15 minutes: it moves when delivery of labels "
            "does.",
            unit="percentunit",
        ),
    ),
)
_DEAD = Row(
    "Dead letters",
    (
        Panel(
            "Dead letters by reason",
            "timeseries",
            (
                Query(
                    f"SELECT toStartOfInterval(received_at, toIntervalSecond({WINDOW})) AS time, "
                    "splitByChar(':', reason)[1] AS series, count() AS figure\nFROM aftcast.dead_letters "
                    "FINAL\n"
                    "WHERE $__timeFilter(received_at)\nGROUP BY time, series\nORDER BY time, series"
                ),
            ),
            "Records that could not be used, of all models: many of them name none.",
            width=10,
        ),
        Panel(
            "Newest dead letters",
            "table",
            (
                Query(
                    "SELECT received_at AS time, topic, partition, offset, field, reason, value\n"
                    f"FROM aftcast.dead_letters FINAL\nWHERE $__timeFilter(received_at)\n{NEWEST_FIRST}"
                ),
            ),
            "Where each stands in Kafka, which rule it broke, and what came, shortened.",
            width=14,
        ),
    ),
)

DEBUG = Board(
    "debug",
    "aftcast / Debug",
    "Why a model is wrong, and what happens inside of aftcast.",
    "now-24h",
    (ONE_MODEL, VERSION, SEGMENT, FEATURE, window("3600")),
    (_FEATURES, _ANSWERS, _DEAD, *STREAMS),
    MARKS_OF_CHOSEN,
    leads_to=("executive", "on-call"),
)
