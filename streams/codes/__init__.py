"""Columns to codes: names, classes and segments become small integers, ids become 128-bit hashes."""
