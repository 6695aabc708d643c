-- Hours of rollups added up, for long ranges, and which of them stand for their panes.

CREATE TABLE IF NOT EXISTS ${database}.rollup_hours
(
    model LowCardinality(String),
    model_version LowCardinality(String),
    segment LowCardinality(String),
    hour_start DateTime('UTC') CODEC(Delta, ZSTD(1)),
    built_at DateTime64(3, 'UTC') CODEC(Delta, ZSTD(1)),  -- holds every row that was there by then
    predictions Int64 CODEC(ZSTD(1)),
    failures Int64 CODEC(ZSTD(1)),
    duplicates Int64 CODEC(ZSTD(1)),
    booleans Int64 CODEC(ZSTD(1)),
    doubles Int64 CODEC(ZSTD(1)),
    strings Int64 CODEC(ZSTD(1)),
    scored Int64 CODEC(ZSTD(1)),
    labelled Int64 CODEC(ZSTD(1)),
    class_n Int64 CODEC(ZSTD(1)),
    hits Int64 CODEC(ZSTD(1)),
    reg_n Int64 CODEC(ZSTD(1)),
    ape_n Int64 CODEC(ZSTD(1)),
    cost_n Int64 CODEC(ZSTD(1)),
    value_n Int64 CODEC(ZSTD(1)),
    score_n Int64 CODEC(ZSTD(1)),
    bounds_n Int64 CODEC(ZSTD(1)),
    bounds_hits Int64 CODEC(ZSTD(1)),
    corrected Int64 CODEC(ZSTD(1)),
    class_extra Int64 CODEC(ZSTD(1)),
    hits_extra Int64 CODEC(ZSTD(1)),
    reg_extra Int64 CODEC(ZSTD(1)),
    ape_extra Int64 CODEC(ZSTD(1)),
    score_extra Int64 CODEC(ZSTD(1)),
    bounds_extra Int64 CODEC(ZSTD(1)),
    bounds_hits_extra Int64 CODEC(ZSTD(1)),
    err_sum Float64 CODEC(ZSTD(1)),
    abs_err_sum Float64 CODEC(ZSTD(1)),
    sq_err_sum Float64 CODEC(ZSTD(1)),
    label_sum Float64 CODEC(ZSTD(1)),
    label_m2 Float64 CODEC(ZSTD(1)),
    ape_sum Float64 CODEC(ZSTD(1)),
    cost_sum Float64 CODEC(ZSTD(1)),
    value_sum Float64 CODEC(ZSTD(1)),
    log_loss_sum Float64 CODEC(ZSTD(1)),
    brier_sum Float64 CODEC(ZSTD(1)),
    confusion Map(String, Int64) CODEC(ZSTD(1)),
    confusion_extra Map(String, Int64) CODEC(ZSTD(1)),
    latency Array(Int64) CODEC(ZSTD(1)),
    delay Array(Int64) CODEC(ZSTD(1)),
    calibration_hits Array(Int64) CODEC(ZSTD(1)),
    calibration_p Array(Int64) CODEC(ZSTD(1)),
    confidence_all Array(Int64) CODEC(ZSTD(1)),
    score_positives Map(String, Array(Int64)) CODEC(ZSTD(1)),
    score_negatives Map(String, Array(Int64)) CODEC(ZSTD(1)),
    areas Array(Float64) CODEC(ZSTD(1)),  -- under the curve, by class with both outcomes
    latency_middles Array(UInt32) CODEC(ZSTD(1)),  -- bins of the quantiles 0.5, 0.95 and 0.99
    delay_middles Array(UInt32) CODEC(ZSTD(1)),
    long_classes Array(UInt64) CODEC(ZSTD(1))
)
ENGINE = ReplacingMergeTree(built_at)
PARTITION BY toMonday(hour_start)
ORDER BY (model, segment, hour_start, model_version)
TTL hour_start + INTERVAL 400 DAY
SETTINGS ttl_only_drop_parts = 1, index_granularity = 256;

-- An hour answers from rollup_hours if it was built more than a minute after its last touch, and has every row
-- of its panes then. All times are the server's own.
CREATE TABLE IF NOT EXISTS ${database}.hours
(
    model LowCardinality(String),
    hour_start DateTime('UTC'),
    touched_at SimpleAggregateFunction(max, DateTime64(3, 'UTC')),
    built_at SimpleAggregateFunction(max, DateTime64(3, 'UTC'))
)
ENGINE = AggregatingMergeTree
ORDER BY (model, hour_start)
-- Longer than the panes: an hour that is not named here has none.
TTL hour_start + INTERVAL 430 DAY;

CREATE MATERIALIZED VIEW IF NOT EXISTS ${database}.hours_from_rollups TO ${database}.hours AS
SELECT model, toStartOfHour(pane_start) AS hour_start, now64(3, 'UTC') AS touched_at
FROM ${database}.rollups
GROUP BY model, hour_start;

INSERT INTO ${database}.hours (model, hour_start, touched_at)
SELECT model, toStartOfHour(pane_start) AS hour_start, now64(3, 'UTC')
FROM ${database}.rollups
GROUP BY model, hour_start;
