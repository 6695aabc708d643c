-- Of windows that are not mature, what each pane answered by class, and how much of it has a label already.
SELECT
    *,
    greatest(answered - hits - misses, 0) AS unlabelled,
    4 * log2(greatest(age_s, 1)) AS place  -- of the pane's age among the ends of age bins
FROM
(
    SELECT
        model,
        model_version,
        segment,
        window_start,
        age_s,
        class,
        predicted[class] AS answered,
        labelled_hits[class] AS hits,
        labelled_misses[class] AS misses
    FROM
    (
        SELECT
            r.model AS model,
            r.model_version AS model_version,
            r.segment AS segment,
            toStartOfInterval(r.pane_start, toIntervalSecond({window_seconds:UInt32})) AS window_start,
            any(toUnixTimestamp64Milli(s.as_of) / 1000 - toUnixTimestamp(r.pane_start) - s.pane_s / 2) AS age_s,
            sumMap(r.predicted) AS predicted,
            sumMap(mapApply((class, bins) -> (class, arraySum(bins)), r.age_hits)) AS labelled_hits,
            sumMap(mapApply((class, bins) -> (class, arraySum(bins)), r.age_misses)) AS labelled_misses
        FROM ${database}.rollups AS r FINAL
        INNER JOIN (SELECT * FROM ${database}.model_states FINAL) AS s
            ON s.model = r.model AND s.model_version = r.model_version
        -- Only days that are not wholly mature are read. Which windows it is, is decided below.
        PREWHERE (r.model, r.model_version, toStartOfDay(r.pane_start)) IN (
            SELECT
                model,
                model_version,
                toStartOfDay(first - {window_seconds:UInt32}) + toIntervalDay(arrayJoin(range(toUInt32(days))))
            FROM
            (
                SELECT
                    model,
                    model_version,
                    toDateTime(span.1, 'UTC') AS first,
                    greatest(0, dateDiff('day', span.1, span.2) + 2 + 2 * intDiv({window_seconds:UInt32} + 86399, 86400))
                        AS days
                FROM ${database}.model_states FINAL
                ARRAY JOIN arrayConcat([(mature_until, as_of)], skipped) AS span
            )
        )
        WHERE s.task != 'regression' AND (
            s.maturity = 'learning'
            OR window_start + toIntervalSecond({window_seconds:UInt32}) > s.mature_until
            OR arrayExists(
                gap -> gap.1 < window_start + toIntervalSecond({window_seconds:UInt32}) AND gap.2 > window_start,
                s.skipped
            )
        )
        GROUP BY model, model_version, segment, window_start, r.pane_start
    )
    ARRAY JOIN mapKeys(predicted) AS class
)
