-- Panes count no features yet, so this gives no rows; its columns are the contract's.
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
WHERE false
