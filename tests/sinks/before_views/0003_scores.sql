-- What scores add up to, for auc, log_loss, brier and ece; the views on it.

ALTER TABLE ${database}.rollups ADD COLUMN IF NOT EXISTS score_n Int64 CODEC(ZSTD(1)) AFTER value_n;

ALTER TABLE ${database}.rollups ADD COLUMN IF NOT EXISTS log_loss_sum Float64 CODEC(ZSTD(1)) AFTER value_sum;

ALTER TABLE ${database}.rollups ADD COLUMN IF NOT EXISTS brier_sum Float64 CODEC(ZSTD(1)) AFTER log_loss_sum;

ALTER TABLE ${database}.rollups
    ADD COLUMN IF NOT EXISTS calibration_n Array(Int64) CODEC(ZSTD(1)) AFTER delay,
    ADD COLUMN IF NOT EXISTS calibration_hits Array(Int64) CODEC(ZSTD(1)) AFTER calibration_n,
    -- In units of 2**-32: integers add up to the same in any order.
    ADD COLUMN IF NOT EXISTS calibration_p Array(Int64) CODEC(ZSTD(1)) AFTER calibration_hits,
    -- Class -> count and summed position (in sixteenths) of each bin of its score, in turn.
    ADD COLUMN IF NOT EXISTS score_positives Map(String, Array(Int64)) CODEC(ZSTD(1)) AFTER calibration_p,
    ADD COLUMN IF NOT EXISTS score_negatives Map(String, Array(Int64)) CODEC(ZSTD(1)) AFTER score_positives;

-- What each window adds up to, with what is known about its model. Every figure below is made of this.
CREATE OR REPLACE VIEW ${database}.window_sums AS
SELECT
    w.*,
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
    -- (classes, support, predicted, true positives) over labelled pairs
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
    -- Those with both outcomes: auc is one against rest, over them.
    arrayFilter(
        class -> arraySum(w.score_positives[class]) > 0 AND arraySum(w.score_negatives[class]) > 0,
        mapKeys(w.score_positives)
    ) AS scored_classes,
    -- ifNull: whoever asks may have set join_use_nulls.
    toBool(
        ifNull(s.task != '' AND w.window_start + toIntervalSecond({window_seconds:UInt32}) <= s.mature_until, 0)
    ) AS is_mature
FROM
(
    SELECT
        r.model AS model,
        r.model_version AS model_version,
        r.segment AS segment,
        toStartOfInterval(r.pane_start, toIntervalSecond({window_seconds:UInt32})) AS window_start,
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
        sumKahan(r.err_sum) AS err_sum,
        sumKahan(r.abs_err_sum) AS abs_err_sum,
        sumKahan(r.sq_err_sum) AS sq_err_sum,
        sumKahan(r.label_sum) AS label_sum,
        sumKahan(r.ape_sum) AS ape_sum,
        sumKahan(r.cost_sum) AS cost_sum,
        sumKahan(r.value_sum) AS value_sum,
        sumKahan(r.log_loss_sum) AS log_loss_sum,
        sumKahan(r.brier_sum) AS brier_sum,
        -- Squares about the window's mean by the parallel formula, which holds for negated rows too.
        sumKahan(r.label_m2) + arraySum(
            row -> row.1 * pow(row.2 / row.1 - label_sum / reg_n, 2),
            groupArrayIf((r.reg_n, r.label_sum), r.reg_n != 0)
        ) AS label_m2,
        sumMap(r.confusion) AS confusion,
        sumForEach(r.latency) AS latency,
        sumForEach(r.delay) AS delay,
        sumForEach(r.calibration_hits) AS calibration_hits,
        sumForEach(r.calibration_p) AS calibration_p,
        sumForEachMap(r.score_positives) AS score_positives,
        sumForEachMap(r.score_negatives) AS score_negatives
    FROM ${database}.rollups AS r FINAL
    GROUP BY model, model_version, segment, window_start
    HAVING sum(r.predictions) > 0 OR sum(r.duplicates) > 0
) AS w
LEFT JOIN (SELECT model, model_version, task, mature_until FROM ${database}.model_states FINAL) AS s
    ON s.model = w.model AND s.model_version = w.model_version;


CREATE OR REPLACE VIEW ${database}.model_quality AS
WITH
    -- The q-quantile is the ceil(q n)-th smallest: the geometric middle of its bin, bins growing by 1.035.
    (bins, q) -> arrayFirstIndex(
        c -> c >= greatest(1, ceil(q * arraySum(bins) - 1e-9)), arrayCumSum(bins)
    ) AS bin_of,
    (bins, q, lowest) -> multiIf(
        arraySum(bins) <= 0, NULL,
        bin_of(bins, q) = 1, 0.,
        lowest * exp((bin_of(bins, q) - 2.5) * log(1.035))
    ) AS quantile_of,
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
    ) / (arraySum(counts_of(positives)) * arraySum(counts_of(negatives))) AS area_of
SELECT
    w.model AS model,
    w.model_version AS model_version,
    w.segment AS segment,
    w.window_start AS window_start,
    w.predictions AS predictions,
    w.failures AS failures,
    w.labelled AS labelled,
    if(w.predictions > w.failures, w.labelled / (w.predictions - w.failures), NULL) AS coverage,
    if(w.has_classes, w.hits / w.class_n, NULL) AS accuracy,
    if(w.has_classes, macro_of(w.class_counts.4, w.class_counts.3), NULL) AS precision,
    if(w.has_classes, macro_of(w.class_counts.4, w.class_counts.2), NULL) AS recall,
    if(
        w.has_classes,
        2 * macro_of(w.class_counts.4, arrayMap((s, p) -> s + p, w.class_counts.2, w.class_counts.3)),
        NULL
    ) AS f1,
    if(w.has_scores AND notEmpty(w.scored_classes), arrayAvg(
        class -> area_of(w.score_positives[class], w.score_negatives[class]), w.scored_classes
    ), NULL) AS auc,
    if(w.has_scores, w.log_loss_sum / w.score_n, NULL) AS log_loss,
    if(w.has_scores, w.brier_sum / w.score_n, NULL) AS brier,
    if(
        w.has_scores,
        arraySum((hits, told) -> abs(told / 4294967296 - hits), w.calibration_hits, w.calibration_p) / w.score_n,
        NULL
    ) AS ece,
    if(w.has_numbers, w.abs_err_sum / w.reg_n, NULL) AS mae,
    if(w.has_numbers, sqrt(greatest(0, w.sq_err_sum) / w.reg_n), NULL) AS rmse,
    if(w.has_numbers AND w.ape_n > 0, w.ape_sum / w.ape_n, NULL) AS mape,
    -- Equal labels leave squares of the mean's rounding: within four units in its last place they are constant.
    if(
        w.has_numbers AND w.reg_n > 1 AND w.label_m2 > w.reg_n * pow(8.881784197001252e-16 * w.label_sum / w.reg_n, 2),
        1 - greatest(0, w.sq_err_sum) / w.label_m2,
        NULL
    ) AS r2,
    if(w.has_numbers, w.err_sum / w.reg_n, NULL) AS bias,
    CAST(NULL AS Nullable(Float64)) AS estimated_accuracy,
    quantile_of(w.delay, 0.5, 1.) / 1000 AS label_delay_p50_s,
    quantile_of(w.delay, 0.95, 1.) / 1000 AS label_delay_p95_s,
    quantile_of(w.latency, 0.5, 0.01) AS latency_p50_ms,
    quantile_of(w.latency, 0.95, 0.01) AS latency_p95_ms,
    quantile_of(w.latency, 0.99, 0.01) AS latency_p99_ms,
    if(w.cost_n > 0, w.cost_sum, NULL) AS cost,
    if(w.value_n > 0, w.value_sum, NULL) AS value,
    if(w.is_mature, accuracy, NULL) AS accuracy_nowcast,
    accuracy_nowcast AS accuracy_nowcast_low,
    accuracy_nowcast AS accuracy_nowcast_high,
    w.is_mature AS is_mature
FROM ${database}.window_sums(window_seconds = {window_seconds:UInt32}) AS w;
