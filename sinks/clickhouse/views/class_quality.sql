-- The figures of each class in each window, over labelled pairs: numbers of pairs, and shares of what they weigh.
SELECT
    model,
    model_version,
    segment,
    window_start,
    class,
    support,
    predicted,
    true_positives,
    if(predicted > 0, right_weight / predicted_weight, NULL) AS precision,
    if(support > 0, right_weight / support_weight, NULL) AS recall,
    if(support + predicted > 0, 2 * right_weight / (support_weight + predicted_weight), NULL) AS f1
FROM
(
    SELECT model, model_version, segment, window_start, class_counts, class_weights
    FROM ${database}.window_sums(window_seconds = {window_seconds:UInt32})
    WHERE has_classes
)
ARRAY JOIN
    class_counts.1 AS class,
    class_counts.2 AS support,
    class_counts.3 AS predicted,
    class_counts.4 AS true_positives,
    class_weights.2 AS support_weight,
    class_weights.3 AS predicted_weight,
    class_weights.4 AS right_weight
