-- The figures of each window.
WITH
    -- The q-quantile is the ceil(q n)-th smallest: the geometric middle of its bin, bins growing by 1.035.
    (bins, q) -> arrayFirstIndex(
        (up_to, rank) -> up_to >= rank,
        arrayCumSum(bins),
        arrayWithConstant(length(bins), greatest(1, ceil(q * arraySum(bins) - 1e-9)))
    ) AS bin_of,
    -- None of an empty histogram. No figure is an argument of if: that computes it row by row.
    bins -> arrayResize(
        [bin_of(bins, 0.5), bin_of(bins, 0.95), bin_of(bins, 0.99)], 3 * (arraySum(bins) > 0)
    ) AS middles_of,
    (middle, lowest) -> [0., lowest * exp((middle - 2.5) * log(1.035))][1 + (middle > 1)]
        + if(middle > 0, 0, NULL) AS duration_of,
    -- An undefined class counts 0, as with scikit-learn's zero_division=0.
    (part, whole) -> arrayAvg((p, n) -> if(n = 0, 0., p / n), part, whole) AS macro_of,
    bins -> arrayMap(i -> toFloat64(bins[2 * i + 1]), range(373)) AS counts_of,
    bins -> arrayMap(i -> toFloat64(bins[2 * i + 2]), range(373)) AS positions_of,
    -- How often a positive scores higher than a negative: pairs in different bins are counted, of those in one
    -- bin the share follows from the mean positions inside it, around the half of ties.
    (positives, negatives) -> arraySum(
        (p, n, p_position, n_position, up_to) -> p * (up_to - n / 2)
            + greatest(-p * n / 2, least(p * n / 2, (n * p_position - p * n_position) / 16)),
        counts_of(positives),
        counts_of(negatives),
        positions_of(positives),
        positions_of(negatives),
        arrayCumSum(counts_of(negatives))
    ) / (arraySum(counts_of(positives)) * arraySum(counts_of(negatives))) AS area_of,
    -- Those of an hour came with its sums: with bins to read and to add up it takes three times as long.
    if({window_seconds:UInt32} = 3600, w.latency_middles, middles_of(w.latency)) AS latency_middles,
    if({window_seconds:UInt32} = 3600, w.delay_middles, middles_of(w.delay)) AS delay_middles,
    if(
        {window_seconds:UInt32} = 3600,
        w.areas,
        arrayMap(class -> area_of(w.score_positives[class], w.score_negatives[class]), w.scored_classes)
    ) AS areas,
    -- In the order of streams/nowcast/window.py, in its words.
    multiIf(
        w.is_mature OR NOT w.is_classification OR w.maturity = '', '',
        w.maturity = 'labels_late', 'labels are late',
        w.class_extra != 0, 'sampled labels: their ages do not carry weights',
        w.class_n < 5, 'fewer than 5 labels',
        NOT ifNull(c.all_have_curves, 0), 'no delay curve yet: no mature labels of one of the outcomes',
        NOT c.all_are_reliable, 'delay curves are changing',
        NOT c.deviation <= 0.1, 'too little is known: the standard deviation is above 0.1',
        ''
    ) AS why_no_nowcast,
    w.maturity != '' AND w.is_classification AND why_no_nowcast = '' AS has_nowcast
SELECT
    w.model AS model,
    w.model_version AS model_version,
    w.segment AS segment,
    w.window_start AS window_start,
    w.predictions AS predictions,
    w.failures AS failures,
    w.labelled AS labelled,
    if(w.predictions > w.failures, w.labelled / (w.predictions - w.failures), NULL) AS coverage,
    if(w.has_classes, w.hits_weight / w.class_weight, NULL) AS accuracy,
    if(w.has_classes, macro_of(w.class_weights.4, w.class_weights.3), NULL) AS precision,
    if(w.has_classes, macro_of(w.class_weights.4, w.class_weights.2), NULL) AS recall,
    if(
        w.has_classes,
        2 * macro_of(w.class_weights.4, arrayMap((s, p) -> s + p, w.class_weights.2, w.class_weights.3)),
        NULL
    ) AS f1,
    if(w.has_scores AND notEmpty(areas), arrayAvg(areas), NULL) AS auc,
    if(w.has_scores, w.log_loss_sum / w.score_weight, NULL) AS log_loss,
    if(w.has_scores, w.brier_sum / w.score_weight, NULL) AS brier,
    if(
        w.has_scores,
        arraySum((hits, told) -> abs(told - hits) / 4294967296, w.calibration_hits, w.calibration_p) / w.score_weight,
        NULL
    ) AS ece,
    if(w.has_numbers, w.abs_err_sum / w.reg_weight, NULL) AS mae,
    if(w.has_numbers, sqrt(greatest(0, w.sq_err_sum) / w.reg_weight), NULL) AS rmse,
    if(w.has_numbers AND w.ape_n > 0, w.ape_sum / w.ape_weight, NULL) AS mape,
    -- Equal labels leave squares of the mean's rounding: within four units in its last place they are constant.
    if(
        w.has_numbers
            AND w.reg_n > 1
            AND w.label_m2 > w.reg_weight * pow(8.881784197001252e-16 * w.label_sum / w.reg_weight, 2),
        1 - greatest(0, w.sq_err_sum) / w.label_m2,
        NULL
    ) AS r2,
    if(w.has_numbers, w.err_sum / w.reg_weight, NULL) AS bias,
    if(w.is_classification AND notEmpty(k.right) AND arraySum(w.confidence_all) > 0, arraySum(
        (answers, right) -> answers * right,
        w.confidence_all,
        arrayResize(k.right, length(w.confidence_all))
    ) / arraySum(w.confidence_all), NULL) AS estimated_accuracy,
    duration_of(delay_middles[1], 1.) / 1000 AS label_delay_p50_s,
    duration_of(delay_middles[2], 1.) / 1000 AS label_delay_p95_s,
    duration_of(latency_middles[1], 0.01) AS latency_p50_ms,
    duration_of(latency_middles[2], 0.01) AS latency_p95_ms,
    duration_of(latency_middles[3], 0.01) AS latency_p99_ms,
    if(w.cost_n > 0, w.cost_sum, NULL) AS cost,
    if(w.value_n > 0, w.value_sum, NULL) AS value,
    multiIf(w.is_mature, accuracy, has_nowcast, c.accuracy, NULL) AS accuracy_nowcast,
    multiIf(w.is_mature, accuracy, has_nowcast, c.low, NULL) AS accuracy_nowcast_low,
    multiIf(w.is_mature, accuracy, has_nowcast, c.high, NULL) AS accuracy_nowcast_high,
    w.is_mature AS is_mature,
    if(w.predictions > 0, (w.predictions - w.failures) / w.predictions, NULL) AS success_rate,
    if(w.cost_n > 0, 1000 * w.cost_sum / w.cost_n, NULL) AS cost_per_1000,
    w.predictions / {window_seconds:UInt32} AS predictions_per_s,
    if(w.has_numbers, w.reg_n - w.ape_n, NULL) AS zero_labels,
    if(w.has_numbers AND w.bounds_n > 0, w.bounds_hits_weight / w.bounds_weight, NULL) AS interval_coverage,
    w.corrected AS corrected_labels,
    if(w.is_mature, estimated_accuracy - accuracy, NULL) AS estimated_accuracy_error,
    nullIf(why_no_nowcast, '') AS nowcast_reason
FROM ${database}.window_sums(window_seconds = {window_seconds:UInt32}) AS w
LEFT JOIN ${database}.window_nowcasts(window_seconds = {window_seconds:UInt32}) AS c
    ON c.model = w.model AND c.model_version = w.model_version
    AND c.segment = w.segment AND c.window_start = w.window_start
LEFT JOIN (SELECT model, model_version, right FROM ${database}.calibrations FINAL) AS k
    ON k.model = w.model AND k.model_version = w.model_version
