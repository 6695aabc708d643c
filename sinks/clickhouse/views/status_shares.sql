-- How calls ended in each window: 'ok', and each status of failed calls.
SELECT
    model,
    model_version,
    segment,
    window_start,
    ended.1 AS status,
    ended.2 AS calls,
    ended.2 / predictions AS share
FROM
(
    SELECT
        model,
        model_version,
        segment,
        toStartOfInterval(pane_start, toIntervalSecond({window_seconds:UInt32})) AS window_start,
        sum(r.predictions) AS predictions,
        sum(r.failures) AS failures,
        sumMap(r.statuses) AS statuses
    FROM ${database}.rollups AS r FINAL
    GROUP BY model, model_version, segment, window_start
    HAVING predictions > 0
)
ARRAY JOIN arrayFilter(
    pair -> pair.2 > 0,
    arrayConcat([('ok', predictions - failures)], arrayZip(mapKeys(statuses), mapValues(statuses)))
) AS ended
