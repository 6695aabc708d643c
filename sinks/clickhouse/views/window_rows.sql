-- The rows that windows are made of: of whole hours those that are added up already, and panes for all others.
-- Which hours are added up is asked once: asked twice, an hour that changes in between would count twice or not at all.
WITH (
    SELECT groupArray((toString(model), hour_start))
    FROM
    (
        SELECT h.model AS model, h.hour_start AS hour_start
        FROM ${database}.hours AS h
        WHERE {window_seconds:UInt32} % 3600 = 0
        GROUP BY model, hour_start
        -- A row is there within half a minute after it was stamped, and an hour that was built within 45 s.
        HAVING max(h.built_at) <= max(h.touched_at) + toIntervalSecond(60)
            OR max(h.built_at) > now64(3, 'UTC') - toIntervalSecond(60)
            -- Of what expires next some parts are gone sooner than others: panes decide.
            OR hour_start < now('UTC') - toIntervalDay(399)
    )
) AS other_hours
SELECT
    model, model_version, segment, hour_start AS starts,
    predictions, failures, duplicates, booleans, doubles, strings, scored, labelled, class_n, hits, reg_n,
    ape_n, cost_n, value_n, score_n, bounds_n, bounds_hits, corrected, class_extra, hits_extra, reg_extra,
    ape_extra, score_extra, bounds_extra, bounds_hits_extra, err_sum, abs_err_sum, sq_err_sum, label_sum,
    label_m2, ape_sum, cost_sum, value_sum, log_loss_sum, brier_sum, confusion, confusion_extra, latency,
    delay, calibration_hits, calibration_p, confidence_all, score_positives, score_negatives, areas,
    latency_middles, delay_middles, long_classes
FROM ${database}.rollup_hours FINAL
WHERE {window_seconds:UInt32} % 3600 = 0
    AND (model, hour_start) NOT IN (SELECT pair.1, pair.2 FROM (SELECT arrayJoin(other_hours) AS pair))
UNION ALL
SELECT
    model, model_version, segment, starts,
    predictions, failures, duplicates, booleans, doubles, strings, scored, labelled, class_n, hits, reg_n,
    ape_n, cost_n, value_n, score_n, bounds_n, bounds_hits, corrected, class_extra, hits_extra, reg_extra,
    ape_extra, score_extra, bounds_extra, bounds_hits_extra, err_sum, abs_err_sum, sq_err_sum, label_sum,
    label_m2, ape_sum, cost_sum, value_sum, log_loss_sum, brier_sum, confusion, confusion_extra, latency,
    delay, calibration_hits, calibration_p, confidence_all, score_positives, score_negatives, areas,
    latency_middles, delay_middles, long_classes
FROM ${database}.pane_sums(window_seconds = 3600)
WHERE {window_seconds:UInt32} % 3600 = 0
    AND (model, starts) IN (SELECT pair.1, pair.2 FROM (SELECT arrayJoin(other_hours) AS pair))
UNION ALL
SELECT
    model, model_version, segment, pane_start AS starts,
    predictions, failures, duplicates, booleans, doubles, strings, scored, labelled, class_n, hits, reg_n,
    ape_n, cost_n, value_n, score_n, bounds_n, bounds_hits, corrected, class_extra, hits_extra, reg_extra,
    ape_extra, score_extra, bounds_extra, bounds_hits_extra, err_sum, abs_err_sum, sq_err_sum, label_sum,
    label_m2, ape_sum, cost_sum, value_sum, log_loss_sum, brier_sum, confusion, confusion_extra, latency,
    delay, calibration_hits, calibration_p, confidence_all, score_positives, score_negatives,
    [] AS areas, [] AS latency_middles, [] AS delay_middles, long_classes
FROM ${database}.rollups FINAL
WHERE {window_seconds:UInt32} % 3600 != 0
