"""ClickHouse: migrations, views, and the writers that fill the tables."""
