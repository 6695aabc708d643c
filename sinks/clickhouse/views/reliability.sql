-- What scores promised in each window and what came true, over the bins that ece is made of.
SELECT
    model,
    model_version,
    segment,
    window_start,
    (bin - 1) / 10 AS bin_low,
    bin / 10 AS bin_high,
    calibration_n[bin] / 4294967296 AS n,
    calibration_p[bin] / calibration_n[bin] AS predicted,
    calibration_hits[bin] / calibration_n[bin] AS came_true
FROM
(
    SELECT
        model,
        model_version,
        segment,
        toStartOfInterval(pane_start, toIntervalSecond({window_seconds:UInt32})) AS window_start,
        sumForEach(r.calibration_n) AS calibration_n,
        sumForEach(r.calibration_hits) AS calibration_hits,
        sumForEach(r.calibration_p) AS calibration_p
    FROM ${database}.rollups AS r FINAL
    GROUP BY model, model_version, segment, window_start
)
ARRAY JOIN arrayFilter(i -> calibration_n[i] > 0, arrayEnumerate(calibration_n)) AS bin
