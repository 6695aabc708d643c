"""How values of one feature are spread over the cells of its reference: now, and in the reference."""

DISTRIBUTION = """
WITH
    r AS (
        SELECT edges, counts, values, categories, category_counts, rest
        FROM $database.feature_references FINAL
        WHERE model = {model:String} AND model_version = {version:String} AND segment = {segment:String}
            AND signal = 'feature' AND feature = {feature:String}
        ORDER BY as_of DESC LIMIT 1
    ),
    w AS (
        SELECT sumMap(f.cells, f.cell_counts) AS grid, sumMap(f.categories) AS names, sum(f.other) AS others
        FROM $database.feature_rollups AS f FINAL
        WHERE f.model = {model:String} AND f.model_version = {version:String}
            AND f.segment = {segment:String} AND f.signal = 'feature' AND f.feature = {feature:String}
            AND f.pane_start >= {full_start:DateTime('UTC')} AND f.pane_start < {full_end:DateTime('UTC')}
    )
SELECT
    cell.1 AS bin,
    cell.2 / nullIf(sum(cell.2) OVER (), 0) AS now,
    cell.3 / nullIf(sum(cell.3) OVER (), 0) AS reference
FROM (
    SELECT arrayConcat(
        arrayMap(
            i -> (
                toString(toFloat32(r.values[i])),
                toFloat64(arraySum(
                    (g, c) -> if(arrayCount(e -> e <= g, r.edges) = i - 1, c, 0), w.grid.1, w.grid.2
                )),
                toFloat64(r.counts[i])
            ),
            if(arraySum(r.counts) > 0, arrayEnumerate(r.counts), [])
        ),
        arrayMap(
            (name, held) -> (name, toFloat64(w.names[name]), toFloat64(held)), r.categories, r.category_counts
        ),
        if(empty(r.categories), [], [(
            '(others)',
            toFloat64(
                w.others + arraySum(mapValues(mapFilter((name, c) -> NOT has(r.categories, name), w.names)))
            ),
            toFloat64(r.rest)
        )])
    ) AS cells, arrayJoin(arrayEnumerate(cells)) AS at, cells[at] AS cell
    FROM r CROSS JOIN w
)
WHERE cell.2 + cell.3 > 0
ORDER BY at
"""
