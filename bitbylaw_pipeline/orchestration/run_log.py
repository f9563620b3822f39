"""Which of a batch's lines go into Dagster's run log.

Every line in the run log is a row in Dagster's database, written by the thread that logs: 5 to 10 ms each on PostgreSQL,
in the middle of the event loop. One line per document there would halve a batch's speed and make an event log of
thousands of rows. So a batch's run log gets its beginning, its end and every warning; all lines, those too, go to standard
error, which Dagster keeps with the run (tab "stderr").
"""

import logging
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from dagster._core.log_manager import DagsterLogHandler

PROJECT_LOGGER = "bitbylaw_pipeline"
_OF_THE_RUN_ITSELF = f"{PROJECT_LOGGER}.orchestration"
_FORMAT = "%(asctime)s level=%(levelname)s logger=%(name)s %(message)s"


@contextmanager
def batch_run_log(level: str) -> Iterator[None]:
    """For the time of a batch: warnings to Dagster's run log, the rest from `level` on to standard error."""
    logger = logging.getLogger(PROJECT_LOGGER)
    of_dagster = [handler for handler in logger.handlers if isinstance(handler, DagsterLogHandler)]
    # Made here, not at import: Dagster redirects the process's standard error for the time of the step. What goes into
    # the run log needs no second line: Dagster's console logger writes it there, too.
    rest = logging.StreamHandler(sys.stderr)
    rest.setFormatter(logging.Formatter(_FORMAT))
    rest.addFilter(lambda record: not _belongs_in_run_log(record))
    ours: list[logging.Handler] = [rest, *(_Selected(handler) for handler in of_dagster)]
    level_before = logger.level
    _exchange(logger, of_dagster, ours)
    logger.setLevel(level.upper())
    try:
        yield
    finally:
        logger.setLevel(level_before)
        _exchange(logger, ours, of_dagster)


def _exchange(
    logger: logging.Logger, out: Sequence[logging.Handler], back: Sequence[logging.Handler]
) -> None:
    for handler in out:
        logger.removeHandler(handler)
    for handler in back:
        logger.addHandler(handler)


class _Selected(logging.Handler):
    """Passes on what belongs in the run log. (Dagster's own handler ignores filters that are added to it.)"""

    def __init__(self, of_dagster: logging.Handler) -> None:
        super().__init__()
        self._of_dagster = of_dagster

    def emit(self, record: logging.LogRecord) -> None:
        if _belongs_in_run_log(record):
            self._of_dagster.handle(record)


def _belongs_in_run_log(record: logging.LogRecord) -> bool:
    return record.levelno >= logging.WARNING or record.name.startswith(_OF_THE_RUN_ITSELF)
