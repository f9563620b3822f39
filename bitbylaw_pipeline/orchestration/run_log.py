"""Which of a batch's lines go into Dagster's run log.

Every line in the run log is a row in Dagster's database, written by the thread that logs: 5 to 10 ms each on PostgreSQL,
in the middle of the event loop. One line per document there would halve a batch's speed and make an event log of
thousands of rows. So a batch's run log gets its beginning, its end and every warning; all lines, those too, go to standard
error, which Dagster keeps with the run (tab "stderr").
"""

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager

PROJECT_LOGGER = "bitbylaw_pipeline"
_OF_THE_RUN_ITSELF = f"{PROJECT_LOGGER}.orchestration"
_FORMAT = "%(asctime)s level=%(levelname)s logger=%(name)s %(message)s"


@contextmanager
def batch_run_log(level: str) -> Iterator[None]:
    """For the time of a batch: lines from `level` on to standard error, warnings to Dagster's run log."""
    logger = logging.getLogger(PROJECT_LOGGER)
    run_log_handlers = list(logger.handlers)
    # Made here, not at import: Dagster redirects the process's standard error for the time of the step.
    everything = logging.StreamHandler(sys.stderr)
    everything.setFormatter(logging.Formatter(_FORMAT))
    level_before = logger.level
    for handler in run_log_handlers:
        handler.addFilter(_belongs_in_run_log)
    logger.addHandler(everything)
    logger.setLevel(level.upper())
    try:
        yield
    finally:
        logger.setLevel(level_before)
        logger.removeHandler(everything)
        for handler in run_log_handlers:
            handler.removeFilter(_belongs_in_run_log)


def _belongs_in_run_log(record: logging.LogRecord) -> bool:
    return record.levelno >= logging.WARNING or record.name.startswith(_OF_THE_RUN_ITSELF)
