-- Each feature of each window against its reference; the figures and tests of streams/references.
WITH
    g -> sign(g) * (1 + ((abs(g) - 1) % 64 + 0.5) / 64) * exp2(intDiv(abs(g) - 1, 64) - 40) AS middle_of,
    -- Counts below each edge, from cells and edges sorted together: an edge comes before the cell that it opens.
    (edges, cells, counts) -> arraySort(arrayConcat(
        arrayMap(e -> (toInt64(e), 0, toInt64(0)), edges), arrayMap((g, c) -> (toInt64(g), 1, c), cells, counts)
    )) AS walk_of,
    walk -> arrayMap(
        step -> step.1, arrayFilter(step -> step.2 = 0, arrayZip(arrayCumSum(s -> s.3, walk), arrayMap(s -> s.2, walk)))
    ) AS below_of,
    (places, steps) -> arraySort(step -> step.1, arrayZip(places, steps)) AS moves_of,
    moves -> arraySum(
        (moved, way) -> abs(moved) * way,
        arrayPopBack(arrayCumSum(s -> s.2, moves)),
        arrayPopFront(arrayDifference(arrayMap(s -> s.1, moves)))
    ) AS way_of,
    -- Upper tail of chi-square with a whole number of degrees of freedom: a finite sum.
    (x, f) -> multiIf(
        x <= 0, 1.,
        f % 2 = 0, arraySum(i -> exp(i * log(x / 2) - x / 2 - lgamma(i + 1)), range(toUInt32(intDiv(f, 2)))),
        erfc(sqrt(x / 2))
            + arraySum(i -> exp((i + 0.5) * log(x / 2) - x / 2 - lgamma(i + 1.5)), range(toUInt32(intDiv(f, 2))))
    ) AS chi_square_of,
    -- Groups are (window, reference) counts.
    (groups, n, m) -> 2 * arraySum(
        g -> if(g.1 > 0, g.1 * log(g.1 / (n * ((g.1 + g.2) / (n + m)))), 0.)
            + if(g.2 > 0, g.2 * log(g.2 / (m * ((g.1 + g.2) / (n + m)))), 0.),
        groups
    ) / (
        1 + ((n + m) / n + (n + m) / m - 1) * (arraySum(g -> (n + m) / (g.1 + g.2), groups) - 1)
            / (6 * (n + m) * (length(groups) - 1))
    ) AS ratio_of,
    (groups, n, m) -> if(
        length(groups) > 1, chi_square_of(ratio_of(groups, n, m), toInt64(length(groups)) - 1), 1.
    ) AS likelihood_ratio,
    -- Neighbours join until they hold enough; what is left over joins the last group.
    (cells, least) -> arrayFold(
        (done, c) -> if(
            done.2 + done.3 + c.1 + c.2 >= least,
            (arrayPushBack(done.1, (done.2 + c.1, done.3 + c.2)), 0., 0.),
            (done.1, done.2 + c.1, done.3 + c.2)
        ),
        cells,
        (CAST([], 'Array(Tuple(Float64, Float64))'), 0., 0.)
    ) AS folded,
    done -> if(
        empty(done.1),
        done.1,
        arrayPushBack(arrayPopBack(done.1), (done.1[-1].1 + done.2, done.1[-1].2 + done.3))
    ) AS groups_of,
    (n, k) -> if(k < 0 OR k > n, -inf, lgamma(n + 1.) - lgamma(k + 1.) - lgamma(n - k + 1.)) AS log_choose,
    -- Mid-p-value of so many among n, if so many of the total are of that kind; a range is made only if it is asked.
    (asked, found, n, together, total) -> least(1., arraySum(
        i -> if(i = found, 0.5, 1.) * exp(
            log_choose(together, i) + log_choose(total - together, n - i) - log_choose(total, n)
        ),
        range(if(asked, toInt64(found), toInt64(0)), if(asked, toInt64(least(toFloat64(together), toFloat64(n))) + 1, toInt64(0)))
    )) AS more_than_before,
    (z, skewness) -> erfc(abs(if(
        abs(skewness) > 1e-4,
        6 / skewness * (pow(greatest(0., 1 + skewness * z / 2), 1 / 3) - 1 + skewness * skewness / 36),
        z
    )) / sqrt(2.)) AS two_sided
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
    if(compared, psi_value, NULL) AS psi,
    if(compared, sqrt(greatest(0., divergence / 2)), NULL) AS jensen_shannon,
    if(compared, sqrt(hellinger_square / 2), NULL) AS hellinger,
    if(compared AND with_numbers, greatest(way, abs(total / numbers - reference_total / reference_numbers)), NULL)
        AS wasserstein,
    if(tested AND compared, least(1., if(empty(p_values), 1., length(p_values) * arrayMin(p_values))), NULL) AS p_value,
    if(tested AND predictions > 0 AND reference_predictions > 0, multiIf(
        missing + reference_missing = 0 OR missing + reference_missing = predictions + reference_predictions, 1.,
        is_common, p_common,
        least(1., 2 * if(is_more, p_more, p_less))
    ), NULL) AS p_value_missing,
    if(
        p_value IS NULL AND p_value_missing IS NULL,
        NULL,
        least(ifNull(p_value, 1.), ifNull(p_value_missing, 1.)) < least(0.05, level_per_s * {window_seconds:UInt32})
    ) AS drifted
FROM
(
    SELECT
        *,
        -- The rarer of the two: missing, or there.
        missing + reference_missing AS all_missing,
        predictions + reference_predictions AS all_predictions,
        least(all_missing, all_predictions - all_missing) AS rarer,
        all_missing > all_predictions - all_missing AS flipped,
        if(flipped, predictions - missing, missing) AS found,
        rarer >= 5. * all_predictions / least(predictions, reference_predictions) AS is_common,
        found * all_predictions >= rarer * predictions AS is_more,
        tested AND rarer > 0 AND NOT is_common AS is_rare,
        likelihood_ratio(
            [
                (toFloat64(missing), toFloat64(reference_missing)),
                (toFloat64(predictions - missing), toFloat64(reference_predictions - reference_missing))
            ],
            toFloat64(predictions),
            toFloat64(reference_predictions)
        ) AS p_common,
        more_than_before(is_rare AND is_more, found, predictions, rarer, all_predictions) AS p_more,
        more_than_before(is_rare AND NOT is_more, rarer - found, reference_predictions, rarer, all_predictions)
            AS p_less,
        -- Half an observation for each cell that is not empty in both, spread like both together.
        length(kept) / 2 AS half,
        arraySum(c -> (
            (c.1 + half * (c.1 + c.2) / (n + reference_n)) / (n + half)
            - (c.2 + half * (c.1 + c.2) / (n + reference_n)) / (reference_n + half)
        ) * log(
            (c.1 + half * (c.1 + c.2) / (n + reference_n)) / (n + half)
            / ((c.2 + half * (c.1 + c.2) / (n + reference_n)) / (reference_n + half))
        ), kept) AS psi_value,
        arraySum(
            c -> if(c.1 > 0, c.1 / n * log2(c.1 / n / ((c.1 / n + c.2 / reference_n) / 2)), 0.)
                + if(c.2 > 0, c.2 / reference_n * log2(c.2 / reference_n / ((c.1 / n + c.2 / reference_n) / 2)), 0.),
            kept
        ) AS divergence,
        arraySum(c -> pow(sqrt(c.1 / n) - sqrt(c.2 / reference_n), 2), kept) AS hellinger_square,
        way_of(moves_of(
            arrayConcat(
                arrayMap(
                    (v, i, c) -> multiIf(
                        c.1 > 0 AND i = 1, low_total / c.1,
                        c.1 > 0 AND i = length(cells), high_total / c.1,
                        v
                    ),
                    reference_values,
                    arrayEnumerate(reference_values),
                    cells
                ),
                reference_values
            ),
            arrayConcat(
                arrayMap(c -> c.1 / numbers, cells), arrayMap(c -> -c.2 / reference_numbers, cells)
            )
        )) AS way,
        -- Ranks of the cells of numbers among both samples, from the middle.
        toFloat64(numbers + reference_numbers) AS all_numbers,
        arrayMap((c, upto) -> (upto - (c.1 + c.2) / 2) / all_numbers - 0.5, cells, arrayCumSum(c -> c.1 + c.2, cells))
            AS ranks,
        toFloat64(numbers) * reference_numbers / (all_numbers - 1)
            * (arraySum((c, u) -> (c.1 + c.2) * (u * u), cells, ranks) / all_numbers) AS rank_variance,
        toFloat64(numbers) * reference_numbers * (reference_numbers - numbers) / ((all_numbers - 1) * (all_numbers - 2))
            * (arraySum((c, u) -> (c.1 + c.2) * (u * u * u), cells, ranks) / all_numbers) AS rank_third,
        total / numbers - reference_total / reference_numbers AS difference,
        m2 + reference_m2 + difference * difference * toFloat64(numbers) * reference_numbers / all_numbers AS squares,
        arrayFilter(
            c -> c.1 + c.2 >= 3 AND c.1 + c.2 < enough,
            arrayConcat(named_cells, [(new, toFloat64(reference_rest))], if(empty(edges), cells, []))
        ) AS rare,
        arrayConcat(
            if(length(groups) > 1, [likelihood_ratio(groups, toFloat64(n), toFloat64(reference_n))], []),
            if(
                with_numbers AND arrayCount(c -> c.1 + c.2 > 0, cells) > 2
                    AND all_numbers - arrayMax(c -> c.1 + c.2, cells)
                        >= 5. * all_numbers / least(numbers, reference_numbers),
                [two_sided(
                    arraySum((c, u) -> c.1 * u, cells, ranks) / sqrt(rank_variance), rank_third / pow(rank_variance, 1.5)
                )],
                []
            ),
            if(
                with_numbers AND length(edges) > 1 AND squares > all_numbers * pow(8.881784197001252e-16 * total / numbers, 2)
                    AND greatest(edges[-1], highest + 1) - least(edges[1], lowest) <= 16,
                [erfc(
                    abs(difference)
                    / sqrt(squares / (all_numbers - 1) * all_numbers / (toFloat64(numbers) * reference_numbers))
                    / sqrt(2.)
                )],
                []
            ),
            if(
                notEmpty(rare),
                [least(1., length(rare) * arrayMin(
                    c -> more_than_before(1, c.1, n, c.1 + c.2, n + reference_n), rare
                ))],
                []
            )
        ) AS p_values
    FROM
    (
        SELECT
            *,
            arrayZip(
                arrayMap(c -> toFloat64(c), arrayPopFront(arrayDifference(arrayConcat(
                    [toInt64(0)], below_of(walk_of(edges, grid.1, grid.2)), [numbers]
                )))),
                arrayMap(c -> toFloat64(c), reference_counts)
            ) AS cells,
            arrayReduce(
                'sumMap',
                [arrayConcat(mapKeys(categories), names)],
                [arrayConcat(mapValues(categories), arrayMap(c -> toInt64(0), names))],
                [arrayConcat(arrayMap(c -> toInt64(0), mapKeys(categories)), name_counts)],
                [arrayConcat(arrayMap(c -> toUInt8(0), mapKeys(categories)), arrayMap(c -> toUInt8(1), names))]
            ) AS named,
            arrayMap(
                c -> (toFloat64(c.1), toFloat64(c.2)),
                arrayFilter(c -> c.3 > 0 OR reference_rest = 0, arrayZip(named.2, named.3, named.4))
            ) AS named_cells,
            -- A category that is new has a cell of its own, unless the reference had too many for that itself.
            toFloat64(other)
                + if(reference_rest > 0, arraySum((c, listed) -> if(listed > 0, 0, c), named.2, named.4), 0) AS new,
            arrayFilter(
                c -> c.1 + c.2 > 0, arrayConcat(cells, named_cells, [(new, toFloat64(reference_rest))])
            ) AS kept,
            if(compared, 5. * (n + reference_n) / least(n, reference_n), 0.) AS enough,
            groups_of(folded(
                arrayConcat(
                    cells,
                    arraySort(
                        (c, i) -> (c.1 + c.2, i),
                        arrayPushBack(named_cells, (new, toFloat64(reference_rest))),
                        arrayEnumerate(arrayPushBack(named_cells, (new, toFloat64(reference_rest))))
                    )
                ),
                enough
            )) AS groups,
            if(empty(edges), [toInt32(0)], edges) AS ends,
            arraySum((g, c) -> if(g < ends[1], middle_of(g) * c, 0.), grid.1, grid.2) AS low_total,
            arraySum((g, c) -> if(g >= ends[-1], middle_of(g) * c, 0.), grid.1, grid.2) AS high_total,
            toInt64(grid.1[1]) AS lowest,
            toInt64(grid.1[-1]) AS highest
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
