"""Decoding that waits while a schema registry is away: good records are never set aside for it."""

import asyncio

import structlog

from schemas.records import DecodedBatch, RawBatch
from streams.decode import Decoder, RegistryUnavailable
from streams.worker.alignment import Side

RETRY_FIRST_S, RETRY_LONGEST_S = 0.2, 10.0

log = structlog.get_logger("aftcast.partition")


class PatientDecoding:
    """Decodes the batches of one partition; ``held_by`` says what it waits for, empty for nothing."""

    def __init__(self, partition: int, decoder: Decoder) -> None:
        self._partition = partition
        self._decoder = decoder
        self.held_by = ""

    async def decoded(self, side: Side, raw: RawBatch) -> DecodedBatch:
        pause_s = RETRY_FIRST_S
        while True:
            try:
                decoded = self._once(side, raw)
            except RegistryUnavailable as error:
                if not self.held_by:
                    log.warning("schema registry away, waiting", partition=self._partition, reason=str(error))
                self.held_by = str(error)
                await asyncio.sleep(pause_s)
                pause_s = min(2 * pause_s, RETRY_LONGEST_S)
            else:
                self.held_by = ""
                return decoded

    def _once(self, side: Side, raw: RawBatch) -> DecodedBatch:
        if side == "inference":
            return self._decoder.decode_inference(raw)
        return self._decoder.decode_labels(raw)
