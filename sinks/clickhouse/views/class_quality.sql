-- The figures of each class in each window, over labelled pairs.
SELECT
    model,
    model_version,
    segment,
    window_start,
    class,
    support,
    predicted,
    true_positives,
    if(predicted > 0, true_positives / predicted, NULL) AS precision,
    if(support > 0, true_positives / support, NULL) AS recall,
    if(support + predicted > 0, 2 * true_positives / (support + predicted), NULL) AS f1
FROM
(
    SELECT model, model_version, segment, window_start, class_counts
    FROM ${database}.window_sums(window_seconds = {window_seconds:UInt32})
    WHERE has_classes
)
ARRAY JOIN
    class_counts.1 AS class,
    class_counts.2 AS support,
    class_counts.3 AS predicted,
    class_counts.4 AS true_positives
