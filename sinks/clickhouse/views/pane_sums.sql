-- What panes add up to. Terms of sums are put in order first: the same panes give the same last digit,
-- whoever adds them up, and when.
WITH
    -- As in model_quality, of the sums below.
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
    ) / (arraySum(counts_of(positives)) * arraySum(counts_of(negatives))) AS area_of
SELECT
    r.model AS model,
    r.model_version AS model_version,
    r.segment AS segment,
    toStartOfInterval(r.pane_start, toIntervalSecond({window_seconds:UInt32})) AS starts,
    sum(r.predictions) AS predictions,
    sum(r.failures) AS failures,
    sum(r.duplicates) AS duplicates,
    sum(r.booleans) AS booleans,
    sum(r.doubles) AS doubles,
    sum(r.strings) AS strings,
    sum(r.scored) AS scored,
    sum(r.labelled) AS labelled,
    sum(r.class_n) AS class_n,
    sum(r.hits) AS hits,
    sum(r.reg_n) AS reg_n,
    sum(r.ape_n) AS ape_n,
    sum(r.cost_n) AS cost_n,
    sum(r.value_n) AS value_n,
    sum(r.score_n) AS score_n,
    sum(r.bounds_n) AS bounds_n,
    sum(r.bounds_hits) AS bounds_hits,
    sum(r.corrected) AS corrected,
    sum(r.class_extra) AS class_extra,
    sum(r.hits_extra) AS hits_extra,
    sum(r.reg_extra) AS reg_extra,
    sum(r.ape_extra) AS ape_extra,
    sum(r.score_extra) AS score_extra,
    sum(r.bounds_extra) AS bounds_extra,
    sum(r.bounds_hits_extra) AS bounds_hits_extra,
    arrayReduce('sumKahan', arraySort(groupArrayIf(r.err_sum, r.err_sum != 0))) AS err_sum,
    arrayReduce('sumKahan', arraySort(groupArrayIf(r.abs_err_sum, r.abs_err_sum != 0))) AS abs_err_sum,
    arrayReduce('sumKahan', arraySort(groupArrayIf(r.sq_err_sum, r.sq_err_sum != 0))) AS sq_err_sum,
    arrayReduce('sumKahan', arraySort(groupArrayIf(r.label_sum, r.label_sum != 0))) AS label_sum,
    -- Squares about the mean by the parallel formula, which holds for negated rows too.
    arraySort(groupArrayIf(
        (r.reg_n + r.reg_extra / 4294967296, r.label_sum, r.label_m2), r.reg_n != 0 OR r.label_m2 != 0
    )) AS moments,
    arrayReduce('sumKahan', arraySort(moments.3)) + arraySum(
        (weight, total, mean) -> if(weight = 0, 0., weight * pow(total / weight - mean, 2)),
        moments.1,
        moments.2,
        arrayWithConstant(length(moments), label_sum / (reg_n + reg_extra / 4294967296))
    ) AS label_m2,
    arrayReduce('sumKahan', arraySort(groupArrayIf(r.ape_sum, r.ape_sum != 0))) AS ape_sum,
    arrayReduce('sumKahan', arraySort(groupArrayIf(r.cost_sum, r.cost_sum != 0))) AS cost_sum,
    arrayReduce('sumKahan', arraySort(groupArrayIf(r.value_sum, r.value_sum != 0))) AS value_sum,
    arrayReduce('sumKahan', arraySort(groupArrayIf(r.log_loss_sum, r.log_loss_sum != 0))) AS log_loss_sum,
    arrayReduce('sumKahan', arraySort(groupArrayIf(r.brier_sum, r.brier_sum != 0))) AS brier_sum,
    sumMap(r.confusion) AS confusion,
    sumMap(r.confusion_extra) AS confusion_extra,
    sumForEach(r.latency) AS latency,
    sumForEach(r.delay) AS delay,
    middles_of(latency) AS latency_middles,
    middles_of(delay) AS delay_middles,
    sumForEach(r.calibration_hits) AS calibration_hits,
    sumForEach(r.calibration_p) AS calibration_p,
    sumForEach(r.confidence_all) AS confidence_all,
    sumForEachMap(r.score_positives) AS score_positives,
    sumForEachMap(r.score_negatives) AS score_negatives,
    -- Those with both outcomes: auc is one against rest, over them.
    arraySort(arrayFilter(
        class -> arraySum(score_positives[class]) > 0 AND arraySum(score_negatives[class]) > 0,
        mapKeys(score_positives)
    )) AS scored_classes,
    arrayMap(class -> area_of(score_positives[class], score_negatives[class]), scored_classes) AS areas,
    groupUniqArrayArray(21)(r.long_classes) AS long_classes
FROM ${database}.rollups AS r FINAL
GROUP BY model, model_version, segment, starts
