-- The interval that a predicted number came with.

ALTER TABLE ${database}.predictions
    ADD COLUMN IF NOT EXISTS prediction_lower Nullable(Float64) CODEC(ZSTD(1)) AFTER trace_id,
    ADD COLUMN IF NOT EXISTS prediction_upper Nullable(Float64) CODEC(ZSTD(1)) AFTER prediction_lower;
