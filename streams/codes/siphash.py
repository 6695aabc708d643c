"""Keyed 128-bit hashes of a whole column of strings: SipHash-2-4 (Aumasson and Bernstein, 2012).

Two different ids that share a hash would join a prediction to a wrong label. The key is drawn anew in each
process, so nobody outside can look for such a pair, and by chance it takes 2**64 ids.
"""

import numba as nb
import numpy as np
import numpy.typing as npt
import pyarrow as pa

HashArray = npt.NDArray[np.uint64]


@nb.njit(cache=True, inline="always")
def _rotate(x, bits):  # type: ignore[no-untyped-def]
    return (x << np.uint64(bits)) | (x >> np.uint64(64 - bits))


@nb.njit(cache=True, inline="always")
def _round(v0, v1, v2, v3):  # type: ignore[no-untyped-def]
    v0 += v1
    v1 = _rotate(v1, 13) ^ v0
    v0 = _rotate(v0, 32)
    v2 += v3
    v3 = _rotate(v3, 16) ^ v2
    v0 += v3
    v3 = _rotate(v3, 21) ^ v0
    v2 += v1
    v1 = _rotate(v1, 17) ^ v2
    v2 = _rotate(v2, 32)
    return v0, v1, v2, v3


@nb.njit(cache=True, nogil=True)
def _siphash(offsets, data, k0, k1, low, high):  # type: ignore[no-untyped-def]
    for i in range(len(low)):
        # Unsigned: numba would check signed indices for negatives, and load byte by byte.
        start, end = np.uint64(offsets[i]), np.uint64(offsets[i + 1])
        v0 = k0 ^ np.uint64(0x736F6D6570736575)
        v1 = k1 ^ np.uint64(0x646F72616E646F6D) ^ np.uint64(0xEE)
        v2 = k0 ^ np.uint64(0x6C7967656E657261)
        v3 = k1 ^ np.uint64(0x7465646279746573)
        j = start
        while j + np.uint64(8) <= end:
            word = np.uint64(0)
            for k in range(np.uint64(8)):
                word |= np.uint64(data[j + k]) << np.uint64(8) * k
            v3 ^= word
            v0, v1, v2, v3 = _round(v0, v1, v2, v3)
            v0, v1, v2, v3 = _round(v0, v1, v2, v3)
            v0 ^= word
            j += np.uint64(8)
        word = (end - start) << np.uint64(56)
        for k in range(end - j):
            word |= np.uint64(data[j + k]) << np.uint64(8) * k
        v3 ^= word
        v0, v1, v2, v3 = _round(v0, v1, v2, v3)
        v0, v1, v2, v3 = _round(v0, v1, v2, v3)
        v0 ^= word
        v2 ^= np.uint64(0xEE)
        for _ in range(4):
            v0, v1, v2, v3 = _round(v0, v1, v2, v3)
        low[i] = v0 ^ v1 ^ v2 ^ v3
        v1 ^= np.uint64(0xDD)
        for _ in range(4):
            v0, v1, v2, v3 = _round(v0, v1, v2, v3)
        high[i] = v0 ^ v1 ^ v2 ^ v3


def hash_strings(strings: pa.StringArray, key: tuple[int, int]) -> tuple[HashArray, HashArray]:
    """Return the two 64-bit halves of each string's keyed hash, shape ``(n,)`` each.

    Parameters
    ----------
    strings
        Ids without nulls.
    key
        Two 64-bit halves of the key, secret to the process.

    Examples
    --------
    The first test vector of the reference implementation (an empty input, key 00 01 .. 0f):

    >>> low, high = hash_strings(pa.array([""]), (0x0706050403020100, 0x0F0E0D0C0B0A0908))
    >>> (int(low[0]).to_bytes(8, "little") + int(high[0]).to_bytes(8, "little")).hex()
    'a3817f04ba25a8e66df67214c7550293'
    """
    n = len(strings)
    low, high = np.empty(n, np.uint64), np.empty(n, np.uint64)
    _, offset_buffer, data_buffer = strings.buffers()
    offsets = (
        np.frombuffer(offset_buffer, np.int32, n + 1, strings.offset * 4) if n else np.zeros(1, np.int32)
    )
    data = np.frombuffer(data_buffer, np.uint8) if data_buffer is not None else np.zeros(0, np.uint8)
    _siphash(offsets, data, np.uint64(key[0]), np.uint64(key[1]), low, high)
    return low, high


def load() -> None:
    """Hash nothing: the first compiled function of a process makes numba load all that it knows."""
    hash_strings(pa.array([], pa.string()), (0, 0))
