"""What an alert is about, as one number: Alertmanager's fingerprint of its labels."""

from collections.abc import Mapping
from hashlib import sha256

_OFFSET_BASIS, _PRIME, _MASK = 0xCBF29CE484222325, 0x100000001B3, 0xFFFFFFFFFFFFFFFF


def fnv1a_64(data: bytes) -> int:
    """Return the 64-bit FNV-1a hash of ``data`` (Fowler, Noll and Vo, RFC 9923).

    Examples
    --------
    >>> hex(fnv1a_64(b"foobar"))
    '0x85944171f73967e8'
    """
    value = _OFFSET_BASIS
    for byte in data:
        value = (value ^ byte) * _PRIME & _MASK
    return value


def fingerprint(labels: Mapping[str, str]) -> str:
    """Return 16 hex digits over the labels, sorted by name, name and value each ended by 0xFF.

    It depends on what is wrong only. An empty set gives FNV's offset basis, as in Alertmanager.
    """
    pairs = b"".join(name.encode() + b"\xff" + labels[name].encode() + b"\xff" for name in sorted(labels))
    return f"{fnv1a_64(pairs):016x}"


def event_id(of: str, status: str, window_end_ms: int, earlier: int) -> str:
    """Return the id of one change of state, so that a consumer can drop what it has seen.

    Parameters
    ----------
    of
        The alert's fingerprint.
    earlier
        How many events with the same fingerprint, status and window end came before.
    """
    return sha256(f"{of}|{status}|{window_end_ms}|{earlier}".encode()).hexdigest()[:32]
