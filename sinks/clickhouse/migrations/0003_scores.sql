-- What scores add up to, for auc, log_loss, brier and ece.

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
