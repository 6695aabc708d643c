"""The arrays in which features that change are counted: they grow, and close their gaps."""

import numpy as np

from schemas.records import IntArray
from streams.features.layout import (
    CATEGORIES,
    CATEGORY,
    FEATURE,
    FEATURES,
    LONGEST_CATEGORY,
    PAGE,
    PAGE_CELLS,
    PAGES,
    ROWS,
    TEXT,
)
from streams.features.memory import kernels
from streams.features.memory.held import Held

FIRST_SLOTS = 12


class Pools:
    """Rows, features, pages and categories, each in the order in which they came, found by hash tables."""

    def __init__(self) -> None:
        self.used = np.zeros(5, np.int64)
        self.row_keys = np.zeros(64, np.int64)
        self.row_used_at = np.zeros(64, np.int64)
        self.row_table = np.full(128, -1, np.int32)
        self.directory = np.full((64, FIRST_SLOTS), -1, np.int32)
        self.features = np.zeros(256, FEATURE)
        self.pages = np.zeros(1024, PAGE)
        self.cells = np.zeros((1024, PAGE_CELLS), np.int64)
        self.page_table = np.full(2048, -1, np.int32)
        self.categories = np.zeros(1024, CATEGORY)
        self.category_table = np.full(2048, -1, np.int32)
        self.texts = np.zeros(1 << 15, np.uint8)

    def __len__(self) -> int:
        return int(self.used[ROWS])

    @property
    def keys(self) -> IntArray:
        return self.row_keys[: len(self)]

    @property
    def nbytes(self) -> int:
        rows = len(self) * (16 + 4 * self.directory.shape[1]) + int(self.used[FEATURES]) * FEATURE.itemsize
        pages = int(self.used[PAGES]) * (PAGE.itemsize + self.cells.itemsize * PAGE_CELLS)
        texts = int(self.used[CATEGORIES]) * CATEGORY.itemsize + int(self.used[TEXT])
        tables = self.row_table.nbytes + self.page_table.nbytes + self.category_table.nbytes
        return rows + pages + texts + tables

    # -- room ----------------------------------------------------------------------------------------------

    def reserve_slots(self, slots: int) -> None:
        if slots > self.directory.shape[1]:
            wider = np.full((len(self.directory), slots + slots // 2), -1, np.int32)
            wider[:, : self.directory.shape[1]] = self.directory
            self.directory = wider

    def reserve(self, rows: int, features: int, pages: int, categories: int, text: int) -> None:
        """Make room for so many more of each."""
        used = self.used
        if used[ROWS] + rows > len(self.row_keys):
            size = _larger(used[ROWS] + rows)
            self.row_keys, self.row_used_at = _resized(self.row_keys, size), _resized(self.row_used_at, size)
            directory = np.full((size, self.directory.shape[1]), -1, np.int32)
            directory[: len(self)] = self.directory[: len(self)]
            self.directory = directory
            self.row_table = np.empty(2 * size, np.int32)
            kernels.refill_rows(self.row_table, self.row_keys, used)
        if used[FEATURES] + features > len(self.features):
            self.features = _resized(self.features, _larger(used[FEATURES] + features))
        if used[PAGES] + pages > len(self.pages):
            size = _larger(used[PAGES] + pages)
            self.pages, self.cells = _resized(self.pages, size), _resized(self.cells, size)
            self.page_table = np.empty(2 * size, np.int32)
            kernels.refill_pages(self.page_table, self.pages, used)
        if used[CATEGORIES] + categories > len(self.categories):
            size = _larger(used[CATEGORIES] + categories)
            self.categories = _resized(self.categories, size)
            self.category_table = np.empty(2 * size, np.int32)
            kernels.refill_categories(self.category_table, self.categories, used)
        if used[TEXT] + text > len(self.texts):
            self.texts = _resized(self.texts, _larger(used[TEXT] + text))

    def reserve_event(self, values: int) -> None:
        """Make room for one event with so many values in one row."""
        self.reserve(1, values + 1, values + 1, values, values * LONGEST_CATEGORY)

    # -- reading, leaving and coming back ------------------------------------------------------------------

    @property
    def records(self) -> np.ndarray:
        """The records of all features, shape ``(n,)``, dtype FEATURE."""
        return self.features[: int(self.used[FEATURES])]

    def collect(self, chosen: IntArray) -> Held:
        """Return what the chosen features hold, in their order; ``row`` is their row here."""
        cells, categories, size = kernels.count_held(
            chosen, self.features, self.pages, self.cells, self.categories
        )
        held = Held.empty(self.features[chosen], cells, categories, size)
        kernels.collect(
            chosen, self.features, self.pages, self.cells, self.categories, self.texts,
            held.cell_of, held.cell, held.cell_n,
            held.category_of, held.category_n, held.category_ends, held.text,
        )  # fmt: skip
        return held

    def drop(self, rows: IntArray) -> None:
        keep = np.ones(len(self), bool)
        keep[rows] = False
        new_row = np.where(keep, np.cumsum(keep) - 1, -1)
        kernels.close_gaps(
            new_row, self.row_keys, self.row_used_at, self.directory, self.features,
            self.pages, self.cells, self.categories, self.texts, self.used,
        )  # fmt: skip
        kernels.refill_rows(self.row_table, self.row_keys, self.used)
        kernels.refill_pages(self.page_table, self.pages, self.used)
        kernels.refill_categories(self.category_table, self.categories, self.used)

    def put_back(self, key: int, held: Held, now: int) -> None:
        """Make a row of its features as they were collected."""
        self.reserve_slots(int(held.features["slot"].max(initial=0)) + 1)
        n = len(held.features)
        octaves = held.cell_of.astype(np.int64) << 40 | held.octaves()
        texts = len(held.category_n)
        self.reserve(1, n, len(np.unique(octaves)), texts, len(held.text))
        row, first = len(self), int(self.used[FEATURES])
        self.row_keys[row], self.row_used_at[row] = key, now
        self.used[ROWS] += 1
        kernels.refill_rows(self.row_table, self.row_keys, self.used)
        features = self.features[first : first + n]
        features[:] = held.features
        features["row"], features["first_page"], features["first_category"] = row, -1, -1
        self.directory[row, features["slot"]] = np.arange(first, first + n)
        self.used[FEATURES] += n
        kernels.put_cells(
            first, held.cell_of, held.cell, held.cell_n,
            self.features, self.page_table, self.pages, self.cells, self.used,
        )  # fmt: skip
        kernels.put_categories(
            first, held.category_of, held.category_n, held.category_ends, held.text,
            self.features, self.categories, self.texts, self.used,
        )  # fmt: skip
        kernels.refill_categories(self.category_table, self.categories, self.used)


def _larger(needed: int) -> int:
    # A power of two, as the tables' sizes must be; a quarter of room, so that growing is rare.
    return 1 << int(needed + needed // 4).bit_length()


def _resized(array: np.ndarray, size: int) -> np.ndarray:
    larger = np.zeros((size, *array.shape[1:]), array.dtype)
    larger[: len(array)] = array
    return larger
