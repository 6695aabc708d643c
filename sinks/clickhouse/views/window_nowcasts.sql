-- What accuracy will be when all labels are there, of windows that are not mature, by the formulas and under the
-- names of docs/maturity.md. One row per window in which something was answered; the parts for its reasons.
WITH
    -- The share labelled at an age, from a curve that is linear in 4 log2(age / 1 s).
    (arrived, age_s) -> if(
        age_s <= 0,
        0.,
        arrived[least(length(arrived), 1 + toInt64(floor(4 * log2(greatest(age_s, 1)))))]
            + (4 * log2(greatest(age_s, 1)) - floor(4 * log2(greatest(age_s, 1)))) * (
                arrived[least(length(arrived), 2 + toInt64(floor(4 * log2(greatest(age_s, 1)))))]
                - arrived[least(length(arrived), 1 + toInt64(floor(4 * log2(greatest(age_s, 1)))))]
            )
    ) AS share_arrived
SELECT
    model,
    model_version,
    segment,
    window_start,
    sum(h + m) AS labels,
    min(has_curves) AS all_have_curves,
    min(is_reliable) AS all_are_reliable,
    sum(n) AS in_the_end,
    if(in_the_end > 0, sum(h + x) / in_the_end, NULL) AS accuracy,
    sqrt(sum(n * n * variance)) / in_the_end AS deviation,
    if(
        deviation = 0 OR accuracy <= 0 OR accuracy >= 1,
        accuracy,
        1 / (1 + exp(1.959963984540054 * deviation / (accuracy * (1 - accuracy)) - log(accuracy / (1 - accuracy))))
    ) AS low,
    if(
        deviation = 0 OR accuracy <= 0 OR accuracy >= 1,
        accuracy,
        1 / (1 + exp(-1.959963984540054 * deviation / (accuracy * (1 - accuracy)) - log(accuracy / (1 - accuracy))))
    ) AS high
FROM
(
    SELECT
        model,
        model_version,
        segment,
        window_start,
        h,
        m,
        has_curves,
        is_reliable,
        right_n / (right_n + wrong_n) AS prior,
        -- The likeliest q: 50 halvings of (0, 1).
        arrayFold(
            (low, step) -> low + if(
                (h + prior) / (low + step) - (m + 1 - prior) / (1 - low - step) + arraySum(
                    (u, r, w) -> u * (r - w) / ((low + step) * r + (1 - low - step) * w), u_p, r_p, w_p
                ) > 0,
                step,
                0.
            ),
            arrayMap(i -> pow(2, -i), range(1, 51)),
            0.
        ) + pow(2, -51) AS q,
        arrayMap((r, w) -> q * r + (1 - q) * w, r_p, w_p) AS d_p,
        q * arraySum((u, r, d) -> u * greatest(r - right_never, 0) / d, u_p, r_p, d_p) AS x,
        (1 - q) * arraySum((u, w, d) -> u * greatest(w - wrong_never, 0) / d, u_p, w_p, d_p) AS y,
        h + m + x + y AS n,
        (h + prior) / (q * q) + (m + 1 - prior) / ((1 - q) * (1 - q))
            + arraySum((u, r, w, d) -> u * (r - w) * (r - w) / (d * d), u_p, r_p, w_p, d_p) AS information,
        sqrt(1 / greatest(right_n, 1) + right_spread) * arraySum(
            (u, r, w, d) -> u * w * sqrt(greatest(r * (1 - r), 0)) / (d * d), u_p, r_p, w_p, d_p
        ) AS pull_right,
        sqrt(1 / greatest(wrong_n, 1) + wrong_spread) * arraySum(
            (u, r, w, d) -> u * r * sqrt(greatest(w * (1 - w), 0)) / (d * d), u_p, r_p, w_p, d_p
        ) AS pull_wrong,
        greatest(1 / information - q * (1 - q) / greatest(n, 1e-9), 0)
            + (pull_right * pull_right + pull_wrong * pull_wrong) / (information * information) AS variance
    FROM
    (
        SELECT
            p.model AS model,
            p.model_version AS model_version,
            p.segment AS segment,
            p.window_start AS window_start,
            p.class AS class,
            sum(p.hits) AS h,
            sum(p.misses) AS m,
            toBool(any(ifNull(c.right_n + c.wrong_n, 0)) > 0) AS has_curves,
            toBool(any(ifNull(c.reliable, 0))) AS is_reliable,
            toFloat64(any(ifNull(c.right_n, 0))) AS right_n,
            toFloat64(any(ifNull(c.wrong_n, 0))) AS wrong_n,
            any(ifNull(c.right_spread, 0)) AS right_spread,
            any(ifNull(c.wrong_spread, 0)) AS wrong_spread,
            1 - any(c.right_arrived)[-1] AS right_never,
            1 - any(c.wrong_arrived)[-1] AS wrong_never,
            groupArrayIf(
                (
                    toFloat64(p.unlabelled),
                    greatest(1 - share_arrived(c.right_arrived, p.age_s), 1e-9),
                    greatest(1 - share_arrived(c.wrong_arrived, p.age_s), 1e-9)
                ),
                p.unlabelled > 0
            ) AS left_over,
            left_over.1 AS u_p,
            left_over.2 AS r_p,
            left_over.3 AS w_p
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
                labelled_misses[class] AS misses,
                greatest(answered - hits - misses, 0) AS unlabelled
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
                -- Days that are not wholly mature: only these are read. Then the windows themselves.
                PREWHERE (r.model, r.model_version, toStartOfDay(r.pane_start)) IN (
                    SELECT
                        model,
                        model_version,
                        toStartOfDay(arrayJoin(arrayConcat(
                            arrayMap(
                                day -> toDateTime(mature_until, 'UTC') - {window_seconds:UInt32} + day * 86400,
                                range(toUInt32(greatest(
                                    0, dateDiff('day', mature_until, as_of) + 3 + intDiv({window_seconds:UInt32}, 86400)
                                )))
                            ),
                            arrayFlatten(arrayMap(
                                gap -> arrayMap(
                                    day -> toDateTime(gap.1, 'UTC') - {window_seconds:UInt32} + day * 86400,
                                    range(toUInt32(
                                        dateDiff('day', gap.1, gap.2) + 3 + 2 * intDiv({window_seconds:UInt32}, 86400)
                                    ))
                                ),
                                skipped
                            ))
                        )))
                    FROM ${database}.model_states FINAL
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
            ARRAY JOIN arrayDistinct(
                arrayConcat(mapKeys(predicted), mapKeys(labelled_hits), mapKeys(labelled_misses))
            ) AS class
            WHERE answered > 0 OR hits > 0 OR misses > 0
        ) AS p
        LEFT JOIN
        (
            SELECT
                model,
                predicted AS class,
                anyIf(n, hit) AS right_n,
                anyIf(n, NOT hit) AS wrong_n,
                anyIf(arrived, hit) AS right_arrived,
                anyIf(arrived, NOT hit) AS wrong_arrived,
                anyIf(spread, hit) AS right_spread,
                anyIf(spread, NOT hit) AS wrong_spread,
                toUInt8(min(reliable)) AS reliable
            FROM ${database}.delay_curves FINAL
            GROUP BY model, class
            HAVING count() = 2
        ) AS c ON c.model = p.model AND c.class = p.class
        GROUP BY model, model_version, segment, window_start, class
    )
)
GROUP BY model, model_version, segment, window_start
