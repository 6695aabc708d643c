"""Why a worker refuses to run or stops by itself; each reason is one class, its message one log line.

WorkerError
├── UnpairedAssignmentError   partition p of the two input topics is on different workers
├── PositionLostError         fetched records do not follow what was read before
├── PositionOutOfRangeError   the log no longer holds the offset at which reading should go on
├── LogReplacedError          a log does not hold any more what was read from it
├── PartitionsChangedError    a topic was given partitions while the worker ran
├── StuckError                no assignment, or no progress, for too long
├── UnexpectedError           work failed in a way that nobody foresaw; the log line has its frames
├── StateError                a partition cannot be brought back to where it was
│   └── StateFormatError      a newer version wrote it
├── FencedError               another worker took over what this one was writing
└── SendFailedError           Kafka refused what a partition sent onward
"""

# librdkafka tells these while it connects anew by itself; the watchdog sees whether nothing moves.
PASSING = {"_TRANSPORT", "_ALL_BROKERS_DOWN", "_RESOLVE", "_TIMED_OUT", "NOT_LEADER_FOR_PARTITION"}


class WorkerError(Exception):
    """A worker stops; its supervisor starts it again."""


class UnpairedAssignmentError(WorkerError):
    """The group's assignor separated partition p of one input topic from partition p of the other."""


class PositionLostError(WorkerError):
    """Records came for a partition whose reading position is not known, or not where it should be."""


class PositionOutOfRangeError(WorkerError):
    """Reading should go on at an offset that the log does not hold: expired, or past its end."""


class LogReplacedError(WorkerError):
    """An input log was cut and written on, or made anew, while it was read; a restart tells what is lost."""


class PartitionsChangedError(WorkerError):
    """A topic has another number of partitions than at the start; a restart takes up the new ones."""


class StuckError(WorkerError):
    """The watchdog saw no assignment, or no progress, for longer than it waits."""


class SendFailedError(WorkerError):
    """A message that others rely on could not be delivered."""


class UnexpectedError(WorkerError):
    """Work failed in a way that nobody foresaw; its cause is attached."""


class FencedError(WorkerError):
    """Another worker has claimed what this one works on; what it had not committed is undone."""


class StateError(WorkerError):
    """What a partition of the state topic holds cannot be used, or its inputs cannot be read again."""


class StateFormatError(StateError):
    """A newer version of aftcast wrote the state of a partition."""
