-- Each feature of each window against its reference; the figures and tests of streams/references.
-- What a lambda reads comes from the query inside: an alias of its own query would be computed for every element.
-- No figure is an argument of if or multiIf: those compute theirs row by row, ten times slower.
WITH
    g -> sign(g) * (1 + ((abs(g) - 1) % 64 + 0.5) / 64) * exp2(intDiv(abs(g) - 1, 64) - 40) AS middle_of,
    -- Likelihood ratio of (window, reference) counts by group, as Williams corrects it.
    (groups, n, m) -> 2 * arraySum(
        g -> if(g.1 > 0, g.1 * log(g.1 / (n * ((g.1 + g.2) / (n + m)))), 0.)
            + if(g.2 > 0, g.2 * log(g.2 / (m * ((g.1 + g.2) / (n + m)))), 0.),
        groups
    ) / (
        1 + ((n + m) / n + (n + m) / m - 1) * (arraySum(g -> (n + m) / (g.1 + g.2), groups) - 1)
            / (6. * (n + m) * (length(groups) - 1))
    ) AS ratio_of,
    (n, k) -> if(k < 0 OR k > n, -inf, lgamma(n + 1.) - lgamma(k + 1.) - lgamma(n - k + 1.)) AS log_choose,
    -- Chance of i among n where so many of the total are of that kind, half of it for what was found.
    (i, found, n, together, total) -> if(i = found, 0.5, 1.) * exp(
        log_choose(together, i) + log_choose(total - together, n - i) - log_choose(total, n)
    ) AS chance_of
SELECT
    model,
    model_version,
    segment,
    window_start,
    feature,
    n,
    if(known, reference_n, NULL) AS reference_n,
    if(known, reference_version, NULL) AS reference_version,
    if(predictions > 0, (predictions - n) / predictions, NULL) AS missing_share,
    psi_value + if(compared, 0, NULL) AS psi,
    sqrt(greatest(0., divergence / 2)) + if(compared, 0, NULL) AS jensen_shannon,
    sqrt(hellinger_square / 2) + if(compared, 0, NULL) AS hellinger,
    [greatest(way, abs(difference)), abs(difference)][1 + is_close] + if(compared AND with_numbers, 0, NULL)
        AS wasserstein,
    least(1., length(p_values) * arrayMin(arrayPushBack(p_values, 1.))) + if(empty(p_values), 1, 0)
        + if(tested AND compared, 0, NULL) AS p_value,
    [1., erfc(sqrt(greatest(0., missing_ratio) / 2)), least(1., 2 * least(1., missing_tail))][
        multiIf(rarer = 0, 1, is_common, 2, 3)
    ] + if(tested AND predictions > 0 AND reference_predictions > 0, 0, NULL) AS p_value_missing,
    if(
        p_value IS NULL AND p_value_missing IS NULL,
        NULL,
        toBool(least(ifNull(p_value, 1.), ifNull(p_value_missing, 1.)) < least(0.05, level_per_s * {window_seconds:UInt32}))
    ) AS drifted
FROM
(
    SELECT
        *,
        arrayFilter((p, made) -> made, [
            -- Upper tail of chi-square with a whole number of degrees of freedom: a finite sum.
            [
                erfc(sqrt(half_ratio)) + arraySum(
                    i -> exp((i + 0.5) * log(half_ratio) - half_ratio - lgamma(i + 1.5)), range(intDiv(freedom, 2))
                ),
                arraySum(i -> exp(i * log(half_ratio) - half_ratio - lgamma(i + 1.)), range(intDiv(freedom, 2)))
            ][2 - freedom % 2],
            erfc(abs([
                z,
                6 / skewness * (pow(greatest(0., 1 + skewness * z / 2), 1 / 3) - 1 + skewness * skewness / 36)
            ][if(abs(skewness) > 1e-4, 2, 1)]) / sqrt(2.)),
            erfc(
                abs(difference)
                / sqrt(squares / (all_numbers - 1) * all_numbers / (toFloat64(numbers) * reference_numbers))
                / sqrt(2.)
            ),
            least(1., length(rare_p) * arrayMin(rare_p))
        ], [freedom > 0, is_ranked, is_narrow, notEmpty(rare_p)]) AS p_values
    FROM
    (
        SELECT
            *,
            arraySum(c -> (
                (c.1 + half * (c.1 + c.2) / (n + reference_n)) / (n + half)
                - (c.2 + half * (c.1 + c.2) / (n + reference_n)) / (reference_n + half)
            ) * log(
                (c.1 + half * (c.1 + c.2) / (n + reference_n)) / (n + half)
                / ((c.2 + half * (c.1 + c.2) / (n + reference_n)) / (reference_n + half))
            ), kept) AS psi_value,
            arraySum(
                (moved, to_next) -> abs(moved) * to_next,
                arrayPopBack(arrayCumSum(s -> s.2, moves)),
                arrayPopFront(arrayDifference(arrayMap(s -> s.1, moves)))
            ) AS way,
            greatest(ratio_of(groups, toFloat64(n), toFloat64(reference_n)) / 2, 1e-300) AS half_ratio,
            toUInt32(greatest(1, length(groups)) - 1) AS freedom,
            arraySum((c, u) -> c.1 * u, cells, ranks) / sqrt(rank_variance) AS z,
            rank_third / pow(rank_variance, 1.5) AS skewness,
            with_numbers AND arrayCount(c -> c.1 + c.2 > 0, cells) > 2
                AND all_numbers - arrayMax(c -> c.1 + c.2, cells) >= 5. * all_numbers / least(numbers, reference_numbers)
                AS is_ranked,
            m2 + reference_m2 + difference * difference * toFloat64(numbers) * reference_numbers / all_numbers AS squares,
            length(edges) > 1 AND greatest(edges[-1], highest + 1) - least(edges[1], lowest) <= 16 AS is_close,
            with_numbers AND is_close
                AND squares > all_numbers * pow(8.881784197001252e-16 * total / numbers, 2) AS is_narrow,
            arrayMap(
                c -> least(1., arraySum(
                    i -> chance_of(i, c.1, n, c.1 + c.2, n + reference_n),
                    range(toInt64(c.1), toInt64(least(c.1 + c.2, toFloat64(n))) + 1)
                )),
                rare
            ) AS rare_p
        FROM
        (
            SELECT
                *,
                -- Half an observation for each cell that is not empty in both, spread like both together.
                length(kept) / 2 AS half,
                arraySum(
                    c -> if(c.1 > 0, c.1 / n * log2(c.1 / n / ((c.1 / n + c.2 / reference_n) / 2)), 0.)
                        + if(c.2 > 0, c.2 / reference_n * log2(c.2 / reference_n / ((c.1 / n + c.2 / reference_n) / 2)), 0.),
                    kept
                ) AS divergence,
                arraySum(c -> pow(sqrt(c.1 / n) - sqrt(c.2 / reference_n), 2), kept) AS hellinger_square,
                arraySort(move -> move.1, arrayConcat(
                    arrayMap((v, c) -> (v, c.1 / numbers), window_values, cells),
                    arrayMap((v, c) -> (v, -c.2 / reference_numbers), reference_values, cells)
                )) AS moves,
                -- Neighbours join until they hold enough; what is left over joins the last group.
                arrayFold(
                    (done, c) -> if(
                        done.2 + done.3 + c.1 + c.2 >= enough,
                        (arrayPushBack(done.1, (done.2 + c.1, done.3 + c.2)), 0., 0.),
                        (done.1, done.2 + c.1, done.3 + c.2)
                    ),
                    arrayConcat(cells, arraySort((c, i) -> (c.1 + c.2, i), others, arrayEnumerate(others))),
                    (CAST([], 'Array(Tuple(Float64, Float64))'), 0., 0.)
                ) AS folded,
                if(
                    empty(folded.1),
                    folded.1,
                    arrayPushBack(arrayPopBack(folded.1), (folded.1[-1].1 + folded.2, folded.1[-1].2 + folded.3))
                ) AS groups,
                toFloat64(numbers) * reference_numbers / (all_numbers - 1)
                    * (arraySum((c, u) -> (c.1 + c.2) * (u * u), cells, ranks) / all_numbers) AS rank_variance,
                toFloat64(numbers) * reference_numbers * (reference_numbers - numbers) / ((all_numbers - 1) * (all_numbers - 2))
                    * (arraySum((c, u) -> (c.1 + c.2) * (u * u * u), cells, ranks) / all_numbers) AS rank_third,
                arrayFilter(
                    c -> c.1 + c.2 >= 3 AND c.1 + c.2 < enough, arrayConcat(others, if(empty(edges), cells, []))
                ) AS rare,
                ratio_of(
                    [
                        (toFloat64(missing), toFloat64(reference_missing)),
                        (toFloat64(predictions - missing), toFloat64(reference_predictions - reference_missing))
                    ],
                    toFloat64(predictions),
                    toFloat64(reference_predictions)
                ) AS missing_ratio,
                -- Exact, of the side on which it was found; a range is made only where it is read.
                arraySum(
                    i -> chance_of(i, tail_found, tail_n, rarer, all_predictions),
                    range(
                        if(is_rare, tail_found, toInt64(0)), if(is_rare, least(rarer, tail_n) + 1, toInt64(0))
                    )
                ) AS missing_tail
            FROM
            (
                SELECT
                    *,
                    arrayFilter(c -> c.1 + c.2 > 0, arrayConcat(cells, others)) AS kept,
                    arrayMap(
                        (v, i, c) -> multiIf(c.1 > 0 AND i = 1, low_total / c.1, c.1 > 0 AND i = last_cell, high_total / c.1, v),
                        reference_values,
                        arrayEnumerate(reference_values),
                        cells
                    ) AS window_values,
                    -- Ranks of the cells of numbers among both samples, from the middle.
                    arrayMap((c, upto) -> (upto - (c.1 + c.2) / 2) / all_numbers - 0.5, cells, arrayCumSum(c -> c.1 + c.2, cells))
                        AS ranks,
                    rarer >= 5. * all_predictions / least(predictions, reference_predictions) AS is_common,
                    tested AND rarer > 0 AND NOT is_common AS is_rare,
                    found * all_predictions >= rarer * predictions AS is_more,
                    if(is_more, found, rarer - found) AS tail_found,
                    if(is_more, predictions, reference_predictions) AS tail_n
                FROM
                (
                    SELECT
                        *,
                        arrayPushBack(
                            arrayMap(
                                c -> (toFloat64(c.1), toFloat64(c.2)),
                                arrayFilter(c -> c.3 > 0 OR reference_rest = 0, arrayZip(named.2, named.3, named.4))
                            ),
                            -- A category that is new has a cell of its own, unless the reference had too many for that itself.
                            (
                                toFloat64(other)
                                    + if(reference_rest > 0, arraySum((c, listed) -> if(listed > 0, 0, c), named.2, named.4), 0),
                                toFloat64(reference_rest)
                            )
                        ) AS others,
                        arraySum((g, c) -> if(g < first_edge, middle_of(g) * c, 0.), grid.1, grid.2) AS low_total,
                        arraySum((g, c) -> if(g >= last_edge, middle_of(g) * c, 0.), grid.1, grid.2) AS high_total,
                        total / numbers - reference_total / reference_numbers AS difference,
                        -- The rarer of the two: missing, or there.
                        least(all_missing, all_predictions - all_missing) AS rarer,
                        if(all_missing > all_predictions - all_missing, predictions - missing, missing) AS found
                    FROM
                    (
                        SELECT
                            *,
                            -- Counts below each edge, from edges and cells sorted together: an edge comes before the cell that it opens.
                            arraySort(arrayConcat(
                                arrayMap(e -> (toInt64(e), 0, toInt64(0)), edges),
                                arrayMap((g, c) -> (toInt64(g), 1, c), grid.1, grid.2)
                            )) AS walk,
                            arrayMap(
                                step -> step.1,
                                arrayFilter(step -> step.2 = 0, arrayZip(arrayCumSum(s -> s.3, walk), arrayMap(s -> s.2, walk)))
                            ) AS below,
                            arrayMap(
                                (c, held) -> (toFloat64(c), toFloat64(held)),
                                arrayPopFront(arrayDifference(arrayConcat([toInt64(0)], below, [numbers]))),
                                reference_counts
                            ) AS cells,
                            length(reference_counts) AS last_cell,
                            arrayReduce(
                                'sumMap',
                                [arrayConcat(mapKeys(categories), names)],
                                [arrayConcat(mapValues(categories), arrayMap(c -> toInt64(0), names))],
                                [arrayConcat(arrayMap(c -> toInt64(0), mapKeys(categories)), name_counts)],
                                [arrayConcat(arrayMap(c -> toUInt8(0), mapKeys(categories)), arrayMap(c -> toUInt8(1), names))]
                            ) AS named,
                            if(empty(edges), toInt32(0), edges[1]) AS first_edge,
                            if(empty(edges), toInt32(0), edges[-1]) AS last_edge,
                            toInt64(grid.1[1]) AS lowest,
                            toInt64(grid.1[-1]) AS highest,
                            toFloat64(numbers + reference_numbers) AS all_numbers,
                            if(compared, 5. * (n + reference_n) / least(n, reference_n), 0.) AS enough,
                            missing + reference_missing AS all_missing,
                            predictions + reference_predictions AS all_predictions
                        FROM
                        (
                            SELECT
                                f.model AS model,
                                f.model_version AS model_version,
                                f.segment AS segment,
                                f.feature AS feature,
                                f.window_start AS window_start,
                                f.n AS n,
                                f.numbers AS numbers,
                                f.total AS total,
                                f.m2 AS m2,
                                f.grid AS grid,
                                f.categories AS categories,
                                f.other AS other,
                                ifNull(w.predictions, 0) AS predictions,
                                predictions - f.n AS missing,
                                ifNull(r.reference_version, '') != '' AS known,
                                known AND f.n > 0 AND r.n > 0 AS compared,
                                known AND f.numbers > 0 AND r.numbers > 0 AS with_numbers,
                                known AND ifNull(
                                    f.window_start >= r.until
                                        OR f.window_start + toIntervalSecond({window_seconds:UInt32}) <= r.since,
                                    1
                                ) AS tested,
                                r.reference_version AS reference_version,
                                ifNull(r.predictions, 0) AS reference_predictions,
                                ifNull(r.n, 0) AS reference_n,
                                reference_predictions - reference_n AS reference_missing,
                                ifNull(r.numbers, 0) AS reference_numbers,
                                ifNull(r.sum, 0.) AS reference_total,
                                ifNull(r.m2, 0.) AS reference_m2,
                                r.edges AS edges,
                                if(known, r.counts, [toInt64(0)]) AS reference_counts,
                                if(known, r.values, [0.]) AS reference_values,
                                r.categories AS names,
                                r.category_counts AS name_counts,
                                ifNull(r.rest, 0) AS reference_rest,
                                ifNull(r.level_per_s, 0.) AS level_per_s
                            FROM
                            (
                                SELECT
                                    model,
                                    model_version,
                                    segment,
                                    feature,
                                    window_start,
                                    sum(p.n) AS n,
                                    sum(p.numbers) AS numbers,
                                    sumKahan(p.sum) AS total,
                                    -- Squares about the window's mean by the parallel formula.
                                    sumKahan(p.m2) + arraySum(
                                        row -> row.1 * pow(row.2 / row.1 - total / numbers, 2),
                                        groupArrayIf((p.numbers, p.sum), p.numbers != 0)
                                    ) AS m2,
                                    sumMap(p.cells, p.cell_counts) AS grid,
                                    sumMap(p.categories) AS categories,
                                    sum(p.other) AS other
                                FROM
                                (
                                    SELECT
                                        model,
                                        model_version,
                                        segment,
                                        feature,
                                        toStartOfInterval(pane_start, toIntervalSecond({window_seconds:UInt32})) AS window_start,
                                        n,
                                        numbers,
                                        sum,
                                        m2,
                                        cells,
                                        cell_counts,
                                        categories,
                                        other
                                    FROM ${database}.feature_rollups FINAL
                                    WHERE signal = 'feature'
                                    UNION ALL
                                    -- A feature of the reference that nobody sent any more is missing everywhere.
                                    SELECT
                                        w.model,
                                        w.model_version,
                                        w.segment,
                                        r.feature,
                                        w.window_start,
                                        toInt64(0),
                                        toInt64(0),
                                        0.,
                                        0.,
                                        CAST([], 'Array(Int32)'),
                                        CAST([], 'Array(Int64)'),
                                        CAST(map(), 'Map(String, Int64)'),
                                        toInt64(0)
                                    FROM
                                    (
                                        SELECT DISTINCT
                                            model,
                                            model_version,
                                            segment,
                                            toStartOfInterval(pane_start, toIntervalSecond({window_seconds:UInt32})) AS window_start
                                        FROM ${database}.rollups FINAL
                                        WHERE predictions > 0
                                    ) AS w
                                    INNER JOIN
                                    (
                                        SELECT DISTINCT model, model_version, segment, feature
                                        FROM ${database}.feature_references
                                        WHERE signal = 'feature'
                                    ) AS r
                                        ON r.model = w.model AND r.model_version = w.model_version AND r.segment = w.segment
                                ) AS p
                                GROUP BY model, model_version, segment, feature, window_start
                            ) AS f
                            LEFT JOIN
                            (
                                SELECT
                                    model,
                                    model_version,
                                    segment,
                                    toStartOfInterval(pane_start, toIntervalSecond({window_seconds:UInt32})) AS window_start,
                                    sum(predictions) AS predictions
                                FROM ${database}.rollups FINAL
                                GROUP BY model, model_version, segment, window_start
                            ) AS w
                                ON w.model = f.model AND w.model_version = f.model_version AND w.segment = f.segment
                                    AND w.window_start = f.window_start
                            LEFT JOIN
                            (
                                SELECT *
                                FROM ${database}.feature_references FINAL
                                WHERE signal = 'feature'
                                ORDER BY as_of DESC, reference_version
                                LIMIT 1 BY model, model_version, segment, feature
                            ) AS r
                                ON r.model = f.model AND r.model_version = f.model_version AND r.segment = f.segment
                                    AND r.feature = f.feature
                        )
                    )
                )
            )
        )
    )
)
