"""Tells how far a restore is: a line every few seconds, and one at its end."""

import structlog

EVERY_S = 5.0

log = structlog.get_logger("aftcast.partition")


class RestoreProgress:
    """Watches one partition's restore; times are seconds of any steady clock."""

    def __init__(self, partition: int, epoch: int, began_s: float) -> None:
        self._partition, self._epoch = partition, epoch
        self._began_s = self._told_s = began_s
        self._of = 0
        self._over = False

    def look(self, restored: tuple[int, int], *, restoring: bool, now_s: float) -> None:
        """Say how far it is, if it is time to; ``restored`` are records applied again, and all there are."""
        if self._over:
            return
        done, of = restored
        self._of = max(self._of, of)
        took_s = now_s - self._began_s
        if not restoring:
            self._over = True
            if self._of:
                log.info(
                    "restored", partition=self._partition, epoch=self._epoch, records=self._of,
                    took_s=round(took_s, 1),
                )  # fmt: skip
        elif now_s - self._told_s >= EVERY_S:
            self._told_s = now_s
            left_s = round((of - done) * took_s / done, 1) if done else None
            log.info(
                "restoring", partition=self._partition, records=done, of=of,
                share=round(done / of, 3) if of else 1.0, seconds_left=left_s,
            )  # fmt: skip
