"""Tasks in this process."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from ..errors import GristmillError
from .base import Function, Observer, OnResult, Resources, Silent, Task, call, failed, said

log = logging.getLogger("gristmill")


class InlineRunner:
    """Runs every task in this process, in order. For debugging, tests and small files."""

    workers = 1

    def __init__(self, retries: int = 0) -> None:
        self.retries = retries

    def map(
        self,
        function: Function,
        tasks: Sequence[Task],
        *,
        step: str,
        on_result: OnResult,
        resources: Resources = Resources(),  # noqa: B008  frozen
        observer: Observer | None = None,
    ) -> None:
        watch = observer or Silent()
        for task in tasks:
            for attempt in range(self.retries + 1):
                watch.on_start(task)
                try:
                    result = call(function, task.payload)
                    break
                except GristmillError:
                    raise
                except Exception as error:
                    if attempt == self.retries:
                        raise failed(step, task, attempt + 1, said(error)) from error
                    log.warning("step '%s', task '%s': %s; trying again", step, task.name, error)
                    watch.on_retry(task, said(error))
            on_result(task, result)

    def __enter__(self) -> InlineRunner:
        return self

    def __exit__(self, *exc: object) -> None:
        return None
