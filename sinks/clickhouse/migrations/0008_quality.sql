-- Scores are counted by weight: panes from before count each pair as 1 instead of as WEIGHT_UNITS and 2**20.

-- Done again it finds none of them: their bins add up to the pairs themselves.
ALTER TABLE ${database}.rollups
    UPDATE
        score_positives = mapApply((class, bins) -> (class, arrayMap(n -> n * 1048576, bins)), score_positives),
        score_negatives = mapApply((class, bins) -> (class, arrayMap(n -> n * 1048576, bins)), score_negatives),
        calibration_hits = arrayMap(n -> n * 4294967296, calibration_hits),
        calibration_n = arrayMap(n -> n * 4294967296, calibration_n)
    WHERE score_n != 0 AND arraySum(calibration_n) = score_n
    SETTINGS mutations_sync = 1;

-- The width of panes: the nowcast takes answers to be as old as the middle of their pane.
ALTER TABLE ${database}.model_states ADD COLUMN IF NOT EXISTS pane_s Float64 DEFAULT 60;
