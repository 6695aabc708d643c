-- What accuracy will be when all labels are there, of windows that are not mature, by the formulas and under the
-- names of docs/maturity.md. Step by step, since an alias is planned anew wherever it stands.
WITH
    curves AS
    (
        SELECT
            model,
            model_version,
            predicted AS class,
            count() AS known,
            min(reliable) AS reliable,
            anyIf(n, hit) AS n_right,
            anyIf(n, NOT hit) AS n_wrong,
            anyIf(spread, hit) AS s_right,
            anyIf(spread, NOT hit) AS s_wrong,
            anyIf(arrived, hit) AS arrived_right,
            anyIf(arrived, NOT hit) AS arrived_wrong
        FROM ${database}.delay_curves FINAL
        GROUP BY model, model_version, class
    ),
    joined AS
    (
        SELECT
            p.*,
            c.*,
            toInt64(p.place) + 1 AS before,
            arrived_right[least(before, length(arrived_right))] AS right_before,
            arrived_wrong[least(before, length(arrived_wrong))] AS wrong_before,
            arrived_right[least(before + 1, length(arrived_right))] AS right_after,
            arrived_wrong[least(before + 1, length(arrived_wrong))] AS wrong_after
        FROM ${database}.unlabelled_answers(window_seconds = {window_seconds:UInt32}) AS p
        LEFT JOIN curves AS c ON c.model = p.model AND c.model_version = p.model_version AND c.class = p.class
    ),
    classes AS
    (
        SELECT
            model,
            model_version,
            segment,
            window_start,
            sum(hits) AS h,
            sum(misses) AS m,
            toBool(any(known) = 2) AS has_curves,
            toBool(any(reliable)) AS is_reliable,
            any(n_right) AS nr,
            any(n_wrong) AS nw,
            any(s_right) AS sr,
            any(s_wrong) AS sw,
            1 - any(arrived_right)[-1] AS never_right,
            1 - any(arrived_wrong)[-1] AS never_wrong,
            groupArrayIf(toFloat64(unlabelled), unlabelled > 0) AS us,
            -- Linear between the ends of two bins of age.
            groupArrayIf(
                if(age_s > 0, greatest(1 - right_before - place % 1 * (right_after - right_before), 1e-9), 1.),
                unlabelled > 0
            ) AS rs,
            groupArrayIf(
                if(age_s > 0, greatest(1 - wrong_before - place % 1 * (wrong_after - wrong_before), 1e-9), 1.),
                unlabelled > 0
            ) AS ws
        FROM joined
        GROUP BY model, model_version, segment, window_start, class
        HAVING max(answered) > 0
    ),
    with_prior AS (SELECT *, nr / (nr + nw) AS prior FROM classes),
    with_q AS
    (
        SELECT
            *,
            -- The likeliest q: 50 halvings of (0, 1).
            arrayFold(
                (low, step) -> low + if(
                    (h + prior) / (low + step) - (m + 1 - prior) / (1 - low - step) + arraySum(
                        (u, r, w) -> u * (r - w) / ((low + step) * r + (1 - low - step) * w), us, rs, ws
                    ) > 0,
                    step,
                    0.
                ),
                arrayMap(i -> pow(2, -i), range(1, 51)),
                0.
            ) + pow(2, -51) AS q
        FROM with_prior
    ),
    with_d AS (SELECT *, arrayMap((r, w) -> q * r + (1 - q) * w, rs, ws) AS ds FROM with_q),
    with_sums AS
    (
        SELECT
            *,
            q * arraySum((u, r, d) -> u * greatest(r - never_right, 0) / d, us, rs, ds) AS x,
            (1 - q) * arraySum((u, w, d) -> u * greatest(w - never_wrong, 0) / d, us, ws, ds) AS y,
            (h + prior) / (q * q) + (m + 1 - prior) / ((1 - q) * (1 - q))
                + arraySum((u, r, w, d) -> u * (r - w) * (r - w) / (d * d), us, rs, ws, ds) AS information,
            sqrt(1 / greatest(nr, 1) + sr)
                * arraySum((u, r, w, d) -> u * w * sqrt(greatest(r * (1 - r), 0)) / (d * d), us, rs, ws, ds) AS a,
            sqrt(1 / greatest(nw, 1) + sw)
                * arraySum((u, r, w, d) -> u * r * sqrt(greatest(w * (1 - w), 0)) / (d * d), us, rs, ws, ds) AS b
        FROM with_d
    ),
    with_n AS (SELECT *, h + m + x + y AS n FROM with_sums),
    windows AS
    (
        SELECT
            model,
            model_version,
            segment,
            window_start,
            min(has_curves) AS all_have_curves,
            min(is_reliable) AS all_are_reliable,
            sum(h + x) / sum(n) AS accuracy,
            sqrt(sum(n * n * (
                greatest(1 / information - q * (1 - q) / greatest(n, 1e-9), 0)
                + (a * a + b * b) / (information * information)
            ))) / sum(n) AS deviation
        FROM with_n
        GROUP BY model, model_version, segment, window_start
    ),
    with_reach AS
    (
        SELECT
            *,
            deviation = 0 OR accuracy <= 0 OR accuracy >= 1 AS is_certain,
            log(accuracy / (1 - accuracy)) AS middle,
            1.959963984540054 * deviation / (accuracy * (1 - accuracy)) AS reach
        FROM windows
    )
SELECT
    model,
    model_version,
    segment,
    window_start,
    all_have_curves,
    all_are_reliable,
    accuracy,
    deviation,
    if(is_certain, accuracy, 1 / (1 + exp(reach - middle))) AS low,
    if(is_certain, accuracy, 1 / (1 + exp(-reach - middle))) AS high
FROM with_reach
