"""What people see of long work, and how they stop it: a progress bar, and signals that wait for a good moment."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import signal
import sys
import threading
from collections.abc import Mapping
from types import FrameType
from typing import TYPE_CHECKING, Any, Self

from undertow._checks import printable

if TYPE_CHECKING:
    from rich.console import Console


def terminal(**options: Any) -> Console:
    """What everything goes through that is drawn on a terminal: a console of rich's in which control characters out of names,
    files and messages are shown and not obeyed. `options` are the console's."""
    from rich.console import Console
    from rich.segment import Segment

    class Terminal(Console):
        def render_str(self, text: str, **more: Any) -> Any:
            return super().render_str(printable(text), **more)  # before anything is measured

        def render(self, *arguments: Any, **more: Any) -> Any:
            for text, style, control in super().render(*arguments, **more):
                yield Segment(text if control else printable(text), style, control)

    return Terminal(**options)


class Display:
    """A progress bar on standard error, or below the cell of a notebook that has `ipywidgets`. Where standard error is not a
    terminal, or with `quiet`, it shows nothing.

    A context manager; `stage` says what is done now, `advance` how far it has come. `label` stands before every stage.
    """

    label = ""

    def __init__(self, *, quiet: bool = False):
        # Not at the top: `import undertow` need not draw.
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

        console = terminal(stderr=True)
        # Without `ipywidgets` rich can only warn in a notebook.
        shown = console.is_terminal or (console.is_jupyter and importlib.util.find_spec("ipywidgets") is not None)
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TextColumn("{task.fields[values]}"),
            TimeRemainingColumn(),
            console=console,
            disable=quiet or not shown,
            refresh_per_second=4,
            transient=True,
        )
        self._task: TaskID | None = None

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def stage(self, description: str, total: int | None = None) -> None:
        """Begin something new; without a total the bar only shows that something is going on."""
        if self._task is not None:
            self._bar.remove_task(self._task)
        self._task = self._bar.add_task(f"{self.label}{description}", total=total, values="")

    def advance(self, done: int, values: Mapping[str, Any] | None = None) -> None:
        """So many of the stage's total are done; `values` are shown beside the bar."""
        if self._task is not None:
            text = "  ".join(f"{name} {value:.4g}" for name, value in (values or {}).items())
            self._bar.update(self._task, completed=done, values=text)


def _is_foreign(number: int, handler: Any) -> bool:
    """Whether a signal has a handler that was not installed from Python, which could not be put back.

    Python tells of one that was there before Python was (None). Of a later one it knows nothing and says that there is none;
    Linux knows which signals are caught.
    """
    if handler is None:
        return True
    if handler is not signal.SIG_DFL:
        return False
    with contextlib.suppress(OSError, ValueError, StopIteration):
        with open("/proc/self/status", encoding="ascii", errors="replace") as status:
            caught = next(line for line in status if line.startswith("SigCgt:"))
        return bool(int(caught.split()[1], 16) >> (number - 1) & 1)
    return False


class StopRequest:
    """Ctrl-C (SIGINT) and SIGTERM as a request that the work itself looks at, when it can stop and leave good files.

    A context manager. `signal` is None until one arrives. A second one interrupts at once (`KeyboardInterrupt`).
    In another thread than the main one, where Python delivers no signals, it never gets any; nor a signal that is ignored, or
    that something other than Python handles.
    """

    def __init__(self) -> None:
        self.signal: int | None = None
        self._before: dict[int, Any] = {}

    def __bool__(self) -> bool:
        return self.signal is not None

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                before = signal.getsignal(number)
                # What is ignored stays so, as nohup and a shell's background jobs want it.
                if before is not signal.SIG_IGN and not _is_foreign(number, before):
                    self._before[number] = signal.signal(number, self._receive)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _receive(self, number: int, frame: FrameType | None) -> None:
        if self.signal is not None:
            raise KeyboardInterrupt
        self.signal = number
        if sys.stderr is not None and sys.stderr.isatty():
            # Not `print`: a signal may arrive in the middle of one.
            os.write(2, b"\nstopping as soon as the running updates are done; once more to stop at once\n")
