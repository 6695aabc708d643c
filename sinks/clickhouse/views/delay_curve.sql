-- How labels of each window arrive by age: one row per age that some label has, in bins of a quarter of a doubling.
SELECT
    model,
    model_version,
    segment,
    window_start,
    pow(2, (bin - 1) / 4) AS age_s,
    arrived[bin] AS labelled,
    if(answered > 0, arrived[bin] / answered, NULL) AS share
FROM
(
    SELECT
        model,
        model_version,
        segment,
        toStartOfInterval(pane_start, toIntervalSecond({window_seconds:UInt32})) AS window_start,
        sum(r.predictions) - sum(r.failures) AS answered,
        arrayReduce(
            'sumForEach',
            arrayConcat(mapValues(sumForEachMap(r.age_hits)), mapValues(sumForEachMap(r.age_misses)))
        ) AS labels,
        arrayCumSum(labels) AS arrived
    FROM ${database}.rollups AS r FINAL
    GROUP BY model, model_version, segment, window_start
)
ARRAY JOIN arrayFilter(i -> labels[i] > 0, arrayEnumerate(labels)) AS bin
