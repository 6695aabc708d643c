"""Hash tables of rows, bins and cells."""
