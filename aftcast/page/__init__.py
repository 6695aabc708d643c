"""A page in the browser that shows what stands in ClickHouse: quality, drift, labels, joins, alerts."""
