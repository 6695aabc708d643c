"""Bytes to columns; what cannot be read is set aside with its reason."""

from streams.decode.decoder import Decoder
from streams.decode.reasons import REASONS
from streams.decode.registry import RegisteredSchema, Registry, RegistryUnavailable

__all__ = ["REASONS", "Decoder", "RegisteredSchema", "Registry", "RegistryUnavailable"]
