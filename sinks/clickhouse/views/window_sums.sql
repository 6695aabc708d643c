-- What each window adds up to, with what is known about its model. Every figure is made of this.
SELECT
    w.*,
    ifNull(s.maturity, '') AS maturity,  -- ifNull: whoever asks may have set join_use_nulls
    -- Until the task is recorded it is told from the window itself.
    multiIf(
        s.task = 'regression', false,
        s.task IN ('binary', 'multiclass'), true,
        w.scored > 0 OR w.strings > 0 OR w.booleans > 0, true,
        w.doubles > 0, false,
        w.few_classes
    ) AS is_classification,
    is_classification AND w.class_n > 0 AS has_classes,
    NOT is_classification AND w.reg_n > 0 AS has_numbers,
    is_classification AND w.score_n > 0 AS has_scores,
    -- (classes, support, predicted, true positives) over labelled pairs: their number, then what they weigh
    arrayMap(pair -> substring(pair, 1, position(pair, '\x1f') - 1), mapKeys(w.confusion)) AS labels,
    arrayMap(pair -> substring(pair, position(pair, '\x1f') + 1), mapKeys(w.confusion)) AS predicted_classes,
    mapValues(w.confusion) AS counts,
    arrayReduce(
        'sumMap',
        [arrayConcat(labels, predicted_classes)],
        [arrayConcat(counts, arrayMap(n -> 0, counts))],
        [arrayConcat(arrayMap(n -> 0, counts), counts)],
        [arrayConcat(
            arrayMap((l, p, n) -> if(l = p, n, 0), labels, predicted_classes, counts),
            arrayMap(n -> 0, counts)
        )]
    ) AS class_counts,
    arrayConcat(mapKeys(w.confusion), mapKeys(w.confusion_extra)) AS weighted_pairs,
    arrayMap(pair -> substring(pair, 1, position(pair, '\x1f') - 1), weighted_pairs) AS weighted_labels,
    arrayMap(pair -> substring(pair, position(pair, '\x1f') + 1), weighted_pairs) AS weighted_predictions,
    arrayConcat(
        CAST(mapValues(w.confusion) AS Array(Float64)),
        arrayMap(extra -> extra / 4294967296, mapValues(w.confusion_extra))
    ) AS weights,
    arrayReduce(
        'sumMap',
        [arrayConcat(weighted_labels, weighted_predictions)],
        [arrayConcat(weights, arrayMap(n -> 0., weights))],
        [arrayConcat(arrayMap(n -> 0., weights), weights)],
        [arrayConcat(
            arrayMap((l, p, n) -> if(l = p, n, 0.), weighted_labels, weighted_predictions, weights),
            arrayMap(n -> 0., weights)
        )]
    ) AS class_weights,
    -- Those with both outcomes: auc is one against rest, over them.
    arraySort(arrayFilter(
        class -> arraySum(w.score_positives[class]) > 0 AND arraySum(w.score_negatives[class]) > 0,
        mapKeys(w.score_positives)
    )) AS scored_classes,
    toBool(ifNull(
        s.task != ''
            AND s.maturity != 'learning'
            AND w.window_start + toIntervalSecond({window_seconds:UInt32}) <= s.mature_until
            AND NOT arrayExists(
                gap -> gap.1 < w.window_start + toIntervalSecond({window_seconds:UInt32}) AND gap.2 > w.window_start,
                s.skipped
            ),
        0
    )) AS is_mature
FROM
(
    SELECT
        r.model AS model,
        r.model_version AS model_version,
        r.segment AS segment,
        toStartOfInterval(r.starts, toIntervalSecond({window_seconds:UInt32})) AS window_start,
        sum(r.predictions) AS predictions,
        sum(r.failures) AS failures,
        sum(r.booleans) AS booleans,
        sum(r.doubles) AS doubles,
        sum(r.strings) AS strings,
        sum(r.scored) AS scored,
        length(groupUniqArrayArray(21)(r.long_classes)) <= 20 AS few_classes,
        sum(r.labelled) AS labelled,
        sum(r.class_n) AS class_n,
        sum(r.hits) AS hits,
        sum(r.reg_n) AS reg_n,
        sum(r.ape_n) AS ape_n,
        sum(r.cost_n) AS cost_n,
        sum(r.value_n) AS value_n,
        sum(r.score_n) AS score_n,
        sum(r.bounds_n) AS bounds_n,
        sum(r.corrected) AS corrected,
        -- What pairs weigh: their number, and what sampled ones weigh beyond 1.
        sum(r.class_extra) AS class_extra,
        class_n + class_extra / 4294967296 AS class_weight,
        hits + sum(r.hits_extra) / 4294967296 AS hits_weight,
        reg_n + sum(r.reg_extra) / 4294967296 AS reg_weight,
        ape_n + sum(r.ape_extra) / 4294967296 AS ape_weight,
        score_n + sum(r.score_extra) / 4294967296 AS score_weight,
        bounds_n + sum(r.bounds_extra) / 4294967296 AS bounds_weight,
        sum(r.bounds_hits) + sum(r.bounds_hits_extra) / 4294967296 AS bounds_hits_weight,
        -- In order, so that the same rows give the same last digit.
        arrayReduce('sumKahan', arraySort(groupArrayIf(r.err_sum, r.err_sum != 0))) AS err_sum,
        arrayReduce('sumKahan', arraySort(groupArrayIf(r.abs_err_sum, r.abs_err_sum != 0))) AS abs_err_sum,
        arrayReduce('sumKahan', arraySort(groupArrayIf(r.sq_err_sum, r.sq_err_sum != 0))) AS sq_err_sum,
        arrayReduce('sumKahan', arraySort(groupArrayIf(r.label_sum, r.label_sum != 0))) AS label_sum,
        arrayReduce('sumKahan', arraySort(groupArrayIf(r.ape_sum, r.ape_sum != 0))) AS ape_sum,
        arrayReduce('sumKahan', arraySort(groupArrayIf(r.cost_sum, r.cost_sum != 0))) AS cost_sum,
        arrayReduce('sumKahan', arraySort(groupArrayIf(r.value_sum, r.value_sum != 0))) AS value_sum,
        arrayReduce('sumKahan', arraySort(groupArrayIf(r.log_loss_sum, r.log_loss_sum != 0))) AS log_loss_sum,
        arrayReduce('sumKahan', arraySort(groupArrayIf(r.brier_sum, r.brier_sum != 0))) AS brier_sum,
        -- Squares about the window's mean by the parallel formula, which holds for negated rows too.
        arraySort(groupArrayIf(
            (r.reg_n + r.reg_extra / 4294967296, r.label_sum, r.label_m2), r.reg_n != 0 OR r.label_m2 != 0
        )) AS moments,
        arrayReduce('sumKahan', arraySort(moments.3)) + arraySum(
            (weight, total, mean) -> if(weight = 0, 0., weight * pow(total / weight - mean, 2)),
            moments.1,
            moments.2,
            arrayWithConstant(length(moments), label_sum / reg_weight)
        ) AS label_m2,
        sumMap(r.confusion) AS confusion,
        sumMap(r.confusion_extra) AS confusion_extra,
        sumForEach(r.latency) AS latency,
        sumForEach(r.delay) AS delay,
        sumForEach(r.calibration_hits) AS calibration_hits,
        sumForEach(r.calibration_p) AS calibration_p,
        sumForEach(r.confidence_all) AS confidence_all,
        sumForEachMap(r.score_positives) AS score_positives,
        sumForEachMap(r.score_negatives) AS score_negatives,
        -- Of windows of an hour, which have one row.
        groupArrayArray(r.areas) AS areas,
        groupArrayArray(r.latency_middles) AS latency_middles,
        groupArrayArray(r.delay_middles) AS delay_middles
    FROM ${database}.window_rows(window_seconds = {window_seconds:UInt32}) AS r
    GROUP BY model, model_version, segment, window_start
    HAVING sum(r.predictions) > 0 OR sum(r.duplicates) > 0
) AS w
LEFT JOIN (
    SELECT model, model_version, task, maturity, mature_until, as_of, skipped FROM ${database}.model_states FINAL
) AS s
    ON s.model = w.model AND s.model_version = w.model_version
