-- Weights, ages of labels, confidence and bounds in panes; what is learnt about models; more about a drift.

ALTER TABLE ${database}.rollups
    ADD COLUMN IF NOT EXISTS bounds_n Int64 CODEC(ZSTD(1)) AFTER score_n,
    ADD COLUMN IF NOT EXISTS bounds_hits Int64 CODEC(ZSTD(1)) AFTER bounds_n,
    ADD COLUMN IF NOT EXISTS corrected Int64 CODEC(ZSTD(1)) AFTER bounds_hits,
    -- What pairs weigh beyond 1, in units of 2**-32: 0 unless labels were sampled.
    ADD COLUMN IF NOT EXISTS class_extra Int64 CODEC(ZSTD(1)) AFTER corrected,
    ADD COLUMN IF NOT EXISTS hits_extra Int64 CODEC(ZSTD(1)) AFTER class_extra,
    ADD COLUMN IF NOT EXISTS reg_extra Int64 CODEC(ZSTD(1)) AFTER hits_extra,
    ADD COLUMN IF NOT EXISTS ape_extra Int64 CODEC(ZSTD(1)) AFTER reg_extra,
    ADD COLUMN IF NOT EXISTS score_extra Int64 CODEC(ZSTD(1)) AFTER ape_extra,
    ADD COLUMN IF NOT EXISTS bounds_extra Int64 CODEC(ZSTD(1)) AFTER score_extra,
    ADD COLUMN IF NOT EXISTS bounds_hits_extra Int64 CODEC(ZSTD(1)) AFTER bounds_extra,
    ADD COLUMN IF NOT EXISTS confusion_extra Map(String, Int64) CODEC(ZSTD(1)) AFTER statuses,
    ADD COLUMN IF NOT EXISTS confidence_all Array(Int64) CODEC(ZSTD(1)) AFTER calibration_p,
    ADD COLUMN IF NOT EXISTS confidence_n Array(Int64) CODEC(ZSTD(1)) AFTER confidence_all,
    ADD COLUMN IF NOT EXISTS confidence_hits Array(Int64) CODEC(ZSTD(1)) AFTER confidence_n,
    -- Predicted class -> labelled pairs by the age of their label: right answers, wrong answers.
    ADD COLUMN IF NOT EXISTS age_hits Map(String, Array(Int64)) CODEC(ZSTD(1)) AFTER score_negatives,
    ADD COLUMN IF NOT EXISTS age_misses Map(String, Array(Int64)) CODEC(ZSTD(1)) AFTER age_hits,
    ADD COLUMN IF NOT EXISTS examples Array(String) CODEC(ZSTD(1)) AFTER age_misses;

ALTER TABLE ${database}.drift_events
    ADD COLUMN IF NOT EXISTS change_low Nullable(Float64),
    ADD COLUMN IF NOT EXISTS change_high Nullable(Float64),
    ADD COLUMN IF NOT EXISTS segments Map(String, Float64),
    ADD COLUMN IF NOT EXISTS examples Array(String);

ALTER TABLE ${database}.model_states
    ADD COLUMN IF NOT EXISTS maturity LowCardinality(String) DEFAULT 'ready',
    ADD COLUMN IF NOT EXISTS horizon_s Nullable(Float64),
    ADD COLUMN IF NOT EXISTS expected_coverage Nullable(Float64),
    ADD COLUMN IF NOT EXISTS provable_change Nullable(Float64),
    ADD COLUMN IF NOT EXISTS skipped Array(Tuple(DateTime64(3, 'UTC'), DateTime64(3, 'UTC')));

CREATE TABLE IF NOT EXISTS ${database}.delay_curves
(
    model LowCardinality(String),
    model_version LowCardinality(String),
    predicted String,
    hit Bool,
    n Int64,
    arrived Array(Float64),
    reliable Bool,
    spread Float64,
    as_of DateTime64(3, 'UTC')
)
ENGINE = ReplacingMergeTree(as_of)
ORDER BY (model, model_version, predicted, hit);

CREATE TABLE IF NOT EXISTS ${database}.calibrations
(
    model LowCardinality(String),
    model_version LowCardinality(String),
    n Int64,
    right Array(Float64),
    as_of DateTime64(3, 'UTC')
)
ENGINE = ReplacingMergeTree(as_of)
ORDER BY (model, model_version);
