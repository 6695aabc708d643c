-- The views that people query: windows of any multiple of the pane, aligned to 1970, as merges of panes.

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
        sumKahan(r.err_sum) AS err_sum,
        sumKahan(r.abs_err_sum) AS abs_err_sum,
        sumKahan(r.sq_err_sum) AS sq_err_sum,
        sumKahan(r.label_sum) AS label_sum,
        sumKahan(r.ape_sum) AS ape_sum,
        sumKahan(r.cost_sum) AS cost_sum,
        sumKahan(r.value_sum) AS value_sum,
        -- Squares about the window's mean by the parallel formula, which holds for negated rows too.
        sumKahan(r.label_m2) + arraySum(
            row -> row.1 * pow(row.2 / row.1 - label_sum / reg_n, 2),
            groupArrayIf((r.reg_n, r.label_sum), r.reg_n != 0)
        ) AS label_m2,
        sumMap(r.confusion) AS confusion,
        sumForEach(r.latency) AS latency,
        sumForEach(r.delay) AS delay
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
    (part, whole) -> arrayAvg((p, n) -> if(n = 0, 0., p / n), part, whole) AS macro_of
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
    CAST(NULL AS Nullable(Float64)) AS auc,
    CAST(NULL AS Nullable(Float64)) AS log_loss,
    CAST(NULL AS Nullable(Float64)) AS brier,
    CAST(NULL AS Nullable(Float64)) AS ece,
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

CREATE OR REPLACE VIEW ${database}.class_quality AS
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
    class_counts.4 AS true_positives;

-- Panes count no features yet, so this gives no rows; its columns are the contract's.
CREATE OR REPLACE VIEW ${database}.feature_drift AS
SELECT
    model,
    model_version,
    segment,
    toStartOfInterval(pane_start, toIntervalSecond({window_seconds:UInt32})) AS window_start,
    '' AS feature,
    toInt64(0) AS n,
    toInt64(0) AS reference_n,
    '' AS reference_version,
    CAST(NULL AS Nullable(Float64)) AS missing_share,
    CAST(NULL AS Nullable(Float64)) AS psi,
    CAST(NULL AS Nullable(Float64)) AS jensen_shannon,
    CAST(NULL AS Nullable(Float64)) AS hellinger,
    CAST(NULL AS Nullable(Float64)) AS wasserstein,
    CAST(NULL AS Nullable(Float64)) AS p_value,
    CAST(NULL AS Nullable(Float64)) AS p_value_missing,
    CAST(NULL AS Nullable(Bool)) AS drifted
FROM ${database}.rollups
WHERE false;
