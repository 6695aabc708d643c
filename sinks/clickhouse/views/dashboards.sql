-- Charts for the page /dashboard of ClickHouse's own server, which asks: SELECT title, query FROM ${database}.dashboards
-- A chart's query gives seconds since 1970, a name, and a figure; the page fills in what stands in braces.
SELECT
    'aftcast' AS dashboard,
    chart.1 AS title,
    concat(
        'SELECT toUInt32(window_start) AS t, concat(model, '' '', model_version) AS name, toFloat64(',
        chart.2,
        ') AS figure\nFROM ${database}.model_quality(window_seconds = greatest(60, intDiv({rounding:UInt32}, 60) * 60))\n',
        'WHERE window_start >= now() - {seconds:UInt32} AND segment = {segment:String}',
        ' AND ({model:String} = '''' OR model = {model:String})',
        if(chart.3, ' AND is_mature', ''),
        ' AND figure IS NOT NULL\nORDER BY t, name'
    ) AS query
FROM
(
    SELECT arrayJoin([
        ('Predictions per second', 'predictions_per_s', false),
        ('Failed share of calls', '1 - success_rate', false),
        ('Latency, 95th percentile, ms', 'latency_p95_ms', false),
        ('Latency, 99th percentile, ms', 'latency_p99_ms', false),
        ('Accuracy of mature windows', 'accuracy', true),
        ('Accuracy as it will be when labels have come', 'accuracy_nowcast', false),
        ('Relative error of mature windows', 'mape', true),
        ('Labelled share of answers', 'coverage', false),
        ('Label delay, 95th percentile, s', 'label_delay_p95_s', false),
        ('Cost per 1,000 predictions', 'cost_per_1000', false)
    ]) AS chart
)
