"""A page in the browser that shows what stands in ClickHouse: models, quality, drift, labels, joins, alerts."""
