"""Where a sweep's study is kept: a journal in its directory, or a database.

Addresses are shown without their passwords, and errors in one line.
"""

from __future__ import annotations

import contextlib
import re
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus

from undertow._checks import UndertowError, require, unusable
from undertow.sweeps.journal import ADVICE, Journal

HIDDEN = "***"
"""What stands in a file or a message in the place of something that may be a password."""

PATIENCE = 60.0
"""Seconds that a process waits for others to let go of an SQLite database."""

# What the part after `?` may say without being a secret. All else is hidden: drivers have many names for passwords.
_HARMLESS = {
    *("host", "port", "user", "dbname", "database", "unix_socket", "service", "driver", "dialect", "schema"),
    *("sslmode", "ssl", "ssl_mode", "charset", "client_encoding", "application_name", "collation", "gssencmode"),
    *("timeout", "connect_timeout", "read_timeout", "write_timeout", "target_session_attrs", "mode", "cache", "uri"),
}
_TRIES = 5


def import_optuna() -> Any:
    """Optuna, quiet, its messages sent through `logging`. Raises `UndertowError` naming the extra if it is not there."""
    try:
        import optuna
    except Exception as error:
        raise unusable("a sweep needs Optuna", "sweep", error) from error
    if not hasattr(optuna, "create_study"):
        file = getattr(optuna, "__file__", None) or next(iter(getattr(optuna, "__path__", [])), "a folder")
        raise UndertowError(f"a sweep needs Optuna, and {file} is something else of that name; rename it")
    optuna.logging.disable_default_handler()
    optuna.logging.enable_propagation()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna


def open_storage(optuna: Any, folder: Path, address: str | None, *, new: bool, beat: int, silence: int) -> Any:
    """The storage of a study: a directory's journal (`address` is None) or a database; `new`: whether it may be made; `beat`:
    seconds between two heartbeats in a database, `silence`: after which a worker counts as dead.

    **Raises:** `UndertowError` for one that is missing, damaged, or cannot be reached.
    """
    if address is None:
        file = folder / "journal.log"
        journal = Journal(file, new=new)
        try:
            return optuna.storages.JournalStorage(journal)
        except UndertowError:
            raise
        except Exception as error:  # lines that fit their check sums, and are no journal of Optuna's
            raise UndertowError(f"{file} is damaged ({type(error).__name__}); move it away and {ADVICE}") from error
    made = _parsed(address)
    with telling(optuna, address, anything=True):
        options: dict[str, Any] = {"heartbeat_interval": beat, "grace_period": silence}
        return _open_database(optuna, address, made, new, options)


def _open_database(optuna: Any, address: str, made: Any, new: bool, options: dict[str, Any]) -> Any:
    """The database. Of two processes that make its tables at the same time, one fails, and tries again."""
    import sqlalchemy.exc

    if made.get_backend_name() == "sqlite":
        _check_file(made, new)
        if made.get_driver_name() == "pysqlite" and "timeout" not in made.query:
            options["engine_kwargs"] = {"connect_args": {"timeout": PATIENCE}}
    if not new:
        options["skip_table_creation"] = True
    for left in reversed(range(_TRIES)):
        try:
            with warnings.catch_warnings():  # that heartbeats are experimental
                warnings.simplefilter("ignore")
                return optuna.storages.RDBStorage(address, **options)
        except (
            sqlalchemy.exc.OperationalError,
            sqlalchemy.exc.ProgrammingError,
            sqlalchemy.exc.IntegrityError,
        ) as error:
            if not (left and ("exists" in str(error) or isinstance(error, sqlalchemy.exc.IntegrityError))):
                raise
            time.sleep(0.1)
    raise AssertionError  # the last try returns or raises


def _check_file(made: Any, new: bool) -> None:
    """That an SQLite file is there, or may be made. To open it would make an empty one."""
    name = str(made.database or "")
    require(
        name not in ("", ":memory:") and "mode=memory" not in name and made.query.get("mode") != "memory",
        "a database in memory is gone with its process; give --storage a file, such as sqlite:///sweeps.db",
    )
    if name.startswith("file:"):  # SQLite reads this name itself
        return
    file = Path(name)
    require(
        new or file.is_file(), f"there is no database {file.absolute()}; {ADVICE}, or give its address with --storage"
    )
    require(file.absolute().parent.is_dir(), f"there is no directory {file.absolute().parent} for the database")


@contextlib.contextmanager
def telling(
    optuna: Any, address: str | None, gone: Callable[[], bool] = lambda: False, *, anything: bool = False
) -> Iterator[None]:
    """Make one line of what a storage raises. `gone`: asked after a missing record, whether the whole study is; `anything`:
    whether every error comes from the storage, as when it is opened."""
    try:
        yield
    except UndertowError:
        raise
    except KeyError as error:
        if not gone():
            raise
        where = "its journal" if address is None else f"the database {without_password(address)}"
        raise UndertowError(f"the sweep's study is no longer in {where}; {ADVICE}") from error
    except Exception as error:
        if address is None or not (anything or isinstance(error, _errors(optuna))):
            raise
        raise UndertowError(f"the database of --storage cannot be used: {_reason(error, address)}") from None


def _errors(optuna: Any) -> tuple[type[Exception], ...]:
    """What a database may raise: Optuna's own, SQLAlchemy's, or that there is no driver for it."""
    found: list[type[Exception]] = [optuna.exceptions.StorageInternalError, ImportError, RuntimeError, OSError]
    if "sqlalchemy" in sys.modules:
        found.append(sys.modules["sqlalchemy.exc"].SQLAlchemyError)
    return tuple(found)


def _reason(error: BaseException, address: str) -> str:
    """What the driver says, in a line, without secrets."""
    deepest = error
    while deepest.__cause__ is not None:
        deepest = deepest.__cause__
    said = str(deepest).strip().split("\n")[0] or type(deepest).__name__
    if "locked" in said:
        said += " by another process; the same command goes on from here when it is free"
    return scrubbed(said, address)


# --- addresses --------------------------------------------------------------------------------------------------------


def without_password(address: str) -> str:
    """A database's address as it may stand in a file: without the password before `@`, and with `***` for every value after
    `?` that is not known to be harmless.

    **Raises:** `UndertowError` for what is no address.
    """
    return _taken_apart(address)[0]


def scrubbed(text: str, address: str) -> str:
    """A message without the secrets of an address, however they are written in it."""
    plain, secrets = _taken_apart(address)
    text = text.replace(address, plain)
    for secret in sorted(filter(None, secrets), key=len, reverse=True):
        for written in (secret, quote(secret), quote_plus(secret), quote(secret, safe="")):
            text = text.replace(written, HIDDEN)
    return text


def _taken_apart(address: str) -> tuple[str, list[str]]:
    """An address without its secrets, and these."""
    made = _parsed(address)
    secrets = [] if made.password is None else [str(made.password)]
    host, database = made.host, made.database
    if host and "@" in host:  # the password had an @ that should have been written as %40
        rest, _, host = host.rpartition("@")
        secrets.append(rest)
    if database and "@" in database and made.host:
        rest, _, tail = database.rpartition("@")
        secrets += [f"{host}/{rest}", str(host)]
        host, _, database = tail.partition("/")
    query: dict[str, Any] = {}
    for key, value in made.query.items():
        if key.lower() in _HARMLESS:
            query[key] = value
        else:
            query[key if re.fullmatch(r"[A-Za-z][\w .-]{0,40}", key) else HIDDEN] = HIDDEN
            secrets += [value] if isinstance(value, str) else list(value)
    if not secrets:
        return address, []
    plain = made._replace(password=None, host=host, database=database, query={}).set(query=query)
    return str(plain.render_as_string(hide_password=True)).replace(quote_plus(HIDDEN), HIDDEN), secrets


def has_secret(kept: str) -> bool:
    """Whether an address in a file may be one without its password."""
    return ("@" in kept and not kept.startswith("sqlite")) or HIDDEN in kept


def _parsed(address: str) -> Any:
    import_optuna()  # which brings SQLAlchemy
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import ArgumentError

    # The address is never repeated: what cannot be read may be a password in the wrong place.
    said = "--storage is a database's address, such as sqlite:///sweeps.db or postgresql://name@host/sweeps"
    require(isinstance(address, str) and "://" in address, f"{said}; got none of the form SCHEME://...")
    try:
        return make_url(address)
    except (ArgumentError, ValueError, TypeError):
        raise UndertowError(f"{said}; the one given cannot be read as such") from None
