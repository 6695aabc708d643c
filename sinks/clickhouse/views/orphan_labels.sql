-- Labels without any prediction. Exact, and so it reads raw rows: the ids of all predictions, twice.
SELECT
    model,
    toStartOfInterval(timestamp, toIntervalSecond({window_seconds:UInt32})) AS window_start,
    count() AS labels,
    groupArraySorted(3)(prediction_id) AS examples
FROM
(
    SELECT l.model AS model, l.prediction_id AS prediction_id, l.timestamp AS timestamp
    FROM ${database}.predictions AS p
    RIGHT ANTI JOIN (SELECT * FROM ${database}.labels FINAL WHERE model = '') AS l
        ON p.prediction_id = l.prediction_id
    UNION ALL
    SELECT l.model AS model, l.prediction_id AS prediction_id, l.timestamp AS timestamp
    FROM ${database}.predictions AS p
    RIGHT ANTI JOIN (SELECT * FROM ${database}.labels FINAL WHERE model != '') AS l
        ON p.prediction_id = l.prediction_id AND p.model = l.model
)
GROUP BY model, window_start
