"""PostgreSQL: a server that several gateways may share."""

from __future__ import annotations

import math
import socket
import ssl
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import lru_cache
from importlib import import_module
from typing import Any, cast

from sqlalchemy import URL, Connection, Engine, create_engine, event
from sqlalchemy.engine import Dialect
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.pool import ConnectionPoolEntry, NullPool, QueuePool

from sampan.config.database import Server
from sampan.errors import ConfigError

CONNECT_SECONDS = 5.0
STATEMENT_SECONDS = 30.0
"""How long one statement may take, and how long a transaction may lie idle before the server breaks it off: a node that
was frozen in the middle of a write must not keep the others from writing."""

PATIENCE_SECONDS = 3600.0
"""How long a statement of a migration may take, or wait for that of another node."""

POOL = (5, 10)
"""Connections that stay open, and how many more there may be for a while."""

OLDEST = (13,)
_TURN = 0x53414D50
_NAME = "sampan"
_NUMERIC = 1700  # its oid: SELECT 'numeric'::regtype::oid
_OTHERS = (
    "SELECT count(*) FROM pg_stat_activity "
    f"WHERE datname = current_database() AND application_name = '{_NAME}' AND pid <> pg_backend_pid()"
)
_ATTEMPTS_AT_IDLE = (("TCP_KEEPIDLE", 30), ("TCP_KEEPINTVL", 10), ("TCP_KEEPCNT", 3), ("TCP_USER_TIMEOUT", 10_000))
_MAX_INT = (1 << 63) - 1

# SQLSTATEs: what happened, where the server's own words do not do, and what to do about it.
# https://www.postgresql.org/docs/current/errcodes-appendix.html
_ENDED = frozenset({"57P01", "57P02", "57P03", "57P05", "25P03", "25P04"})
_TELLTALES = frozenset("DWq")  # detail, context and internal query hold values
_ADVICE = {
    "28P01": "Correct user and password in [storage] database.",
    "28000": "Let the user in by the server's pg_hba.conf, or correct [storage] database.",
    "3D000": "Make it first: CREATE DATABASE … OWNER … ENCODING 'UTF8'; or correct its name in [storage] database.",
    "42501": "Make the user the owner of the database: ALTER DATABASE … OWNER TO …",
    "25006": "It is a standby, or set to read only: name the primary server in [storage] database.",
    "53300": "Raise max_connections of the server, or let fewer programs use it.",
    "53100": "Make room on the server's disk.",
    "53200": "Give the server more memory.",
    "55P03": "Another gateway writes, or holds its transaction open; this goes away by itself.",
    "57014": "Look at the load of the server and its disk.",
    "40001": "Another gateway wrote the same; try again.",
    "40P01": "Another gateway wrote the same; try again.",
}


class Postgres:
    """One database of a PostgreSQL server, its own alone."""

    dialect = "postgresql"
    reading = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
    # Writers take turns, over all nodes: what a writer has read stays true until it commits, as it does on SQLite. The
    # lock goes with the transaction. In the same message as BEGIN, it costs no trip of its own.
    writing = f"BEGIN ISOLATION LEVEL READ COMMITTED; SELECT pg_advisory_xact_lock({_TURN})"
    joining = "BEGIN ISOLATION LEVEL READ COMMITTED"

    def __init__(self, server: Server, busy_seconds: float) -> None:
        self._server = server
        self.place = server.place
        self.name = f"The PostgreSQL database {server.place}"
        # 0 would wait for ever there.
        self._lock_ms = max(1, round(busy_seconds * 1000))
        self._most = 0

    def engine(self) -> Engine:
        """Connects when it is first used, not here."""
        self._most = sum(POOL)
        pool: dict[str, Any] = {"poolclass": QueuePool, "pool_size": POOL[0], "max_overflow": POOL[1]}
        return self._engine(STATEMENT_SECONDS, self._lock_ms, pool_timeout=self._lock_ms / 1000, **pool)

    def patient_engine(self) -> Engine | None:
        """What a migration goes through, however long it takes."""
        return self._engine(PATIENCE_SECONDS, round(PATIENCE_SECONDS * 1000), poolclass=NullPool)

    def prepare(self, engine: Engine) -> None:
        """Raises `ConfigError` where the server is too old, or its database cannot hold all of Unicode."""
        with engine.connect().execution_options(sampan_begin="") as connection:
            version = connection.dialect.server_version_info or ()
            encoding = connection.exec_driver_sql("SHOW server_encoding").scalar_one()
        if version < OLDEST:
            raise ConfigError(f"{self.name} is of PostgreSQL {version[0]}; {OLDEST[0]} or later is needed.")
        if encoding != "UTF8":
            raise ConfigError(
                f"{self.name} is encoded in {encoding}, which cannot hold what callers send. Make it anew: "
                "CREATE DATABASE … ENCODING 'UTF8' TEMPLATE template0"
            )

    @contextmanager
    def opening(self) -> Iterator[None]:
        """Nothing to wait for: those who migrate take turns as all writers do."""
        yield

    def seen(self, connection: Connection) -> str:
        """Changes whenever somebody has committed a write: it says which transactions this one can see."""
        return str(connection.exec_driver_sql("SELECT pg_current_snapshot()").scalar_one())

    def take(self, connection: Connection, name: str) -> bool:
        """Whether the session holds the lock of this name, now; it goes with the session."""
        query = "SELECT pg_try_advisory_lock(%s::int, hashtext(%s))"
        return bool(connection.exec_driver_sql(query, (_TURN, name)).scalar_one())

    def others(self, connection: Connection) -> int:
        """The sessions of other programs of ours."""
        return int(connection.exec_driver_sql(_OTHERS).scalar_one())

    def words(self, error: BaseException) -> str:
        """The reason and the way out; never a statement, its values, or the password."""
        reason, advice = self._reason(error)
        return f"{self.name} cannot be used: {reason}. {advice}"

    def _reason(self, error: BaseException) -> tuple[str, str]:
        fields = _fields(error)
        code = fields.get("C", "")
        if code:
            if code.startswith("22"):  # such a message quotes the value
                fields["M"] = "it cannot hold one of the values"
            for more in _TELLTALES & fields.keys():
                del fields[more]
            return f"{fields.get('M', '').rstrip('.')} ({code})", _ADVICE.get(code, "Its log says more.")
        if isinstance(error, PoolTimeoutError):
            return f"all {self._most} connections are in use", "Look at the load of the server and its disk."
        cause = error
        while not isinstance(cause, OSError) and cause.__cause__ is not None:
            cause = cause.__cause__
        if isinstance(cause, ssl.SSLCertVerificationError):
            return (
                f"its certificate is not trusted: {cause.verify_message}",
                "Name its authority with ?sslrootcert=FILE.",
            )
        if isinstance(cause, TimeoutError):
            return "no answer in time", "See whether the server is up and can be reached."
        if isinstance(cause, OSError):
            return cause.strerror or str(cause), "See whether the server is up and can be reached."
        if "refuses SSL" in str(error):
            return "it speaks no TLS", "Turn ssl on at the server, or write ?sslmode=disable."
        return "the connection broke off", "See whether the server is up and can be reached."

    def _engine(self, seconds: float, lock_ms: int, **pool: Any) -> Engine:
        server = self._server
        url = URL.create("postgresql+pg8000", server.user, server.password, server.host, server.port, server.name)
        settings = {
            "client_encoding": "UTF8",
            "statement_timeout": f"{seconds * 1000:.0f}",
            "idle_in_transaction_session_timeout": f"{seconds * 1000:.0f}",
            "lock_timeout": str(lock_ms),
        }
        arguments = {"application_name": _NAME, "startup_params": settings, "ssl_context": _tls(server)}
        engine = create_engine(url, connect_args=arguments, hide_parameters=True, **pool)
        dialect: Any = engine.dialect
        # Many rows to a statement also where nothing is asked back: the driver would send them one by one.
        dialect.use_insertmanyvalues_wo_returning = True
        dialect.do_commit, dialect.do_rollback = _commit, _rollback

        def close(connection: Any) -> None:
            with suppress(dialect.loaded_dbapi.Error):  # where the server has gone nobody hears the goodbye
                connection.close()

        dialect.do_close = close
        dialect.do_execute, dialect.do_executemany = _executions(dialect.loaded_dbapi)

        def connect(
            dialect: Dialect, _: ConnectionPoolEntry, words: tuple[Any, ...], named: dict[str, Any]
        ) -> DBAPIConnection:
            driver: Any = dialect.loaded_dbapi
            sock = None
            try:
                sock = _dial(server, seconds)
                return cast(DBAPIConnection, driver.Connection(*words, **named, sock=sock))
            except BaseException as error:
                if sock is not None:
                    sock.close()
                if isinstance(error, OSError):
                    raise driver.InterfaceError("cannot connect") from error
                raise

        event.listen(engine, "do_connect", connect)
        event.listen(engine, "connect", _connected)
        event.listen(engine, "before_cursor_execute", _fit, retval=True)
        event.listen(engine, "handle_error", _failed)
        return engine


def _tls(server: Server) -> ssl.SSLContext | bool | None:
    """What the driver calls it: None asks for TLS and does without, True wants it and trusts anybody."""
    if server.sslmode in ("disable", "prefer", "require"):
        return {"disable": False, "prefer": None, "require": True}[server.sslmode]
    try:
        context = ssl.create_default_context(cafile=server.sslrootcert or None)
    except OSError as error:
        raise ConfigError(
            f"The certificates in {server.sslrootcert} cannot be read: {error.strerror or error}."
        ) from error
    context.check_hostname = server.sslmode == "verify-full"
    return context


def _dial(server: Server, seconds: float) -> socket.socket:
    """A connection that does not hang for ever: neither when it is made, nor when the server is gone without a word."""
    sock = socket.create_connection((server.host, server.port), CONNECT_SECONDS)
    # The server breaks off by itself what takes longer than that.
    sock.settimeout(seconds + CONNECT_SECONDS)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in _ATTEMPTS_AT_IDLE:
        if hasattr(socket, name):  # not every system has them all
            sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
    return sock


def _executions(driver: Any) -> tuple[Callable[..., None], Callable[..., None]]:
    """How a cursor executes a statement, once and with many parameters.

    The driver's own way looks at every sign of a statement, in Python, each time: for 64 records that took 4 ms. The
    statements are always the same few; what they become is kept.
    """
    convert = import_module("pg8000.legacy").convert_paramstyle
    refusals = {"23505": driver.IntegrityError, "28000": driver.InterfaceError}

    @lru_cache(maxsize=1024)
    def numbered(statement: str) -> str:
        return cast(str, convert("format", statement, ())[0])

    def execute(cursor: Any, statement: str, parameters: Sequence[Any], context: object = None) -> None:
        if not parameters:
            cursor.execute(statement)
            return
        try:
            cursor._context = cursor._c.execute_unnamed(numbered(statement), vals=parameters)
        except driver.DatabaseError as error:
            fields = _fields(error)
            raise refusals.get(fields.get("C", ""), driver.ProgrammingError)(*error.args) from None
        cursor._row_iter = iter(cursor._context.rows or ())

    def executemany(cursor: Any, statement: str, many: Sequence[Sequence[Any]], context: object = None) -> None:
        counts = []
        for parameters in many:
            execute(cursor, statement, parameters)
            counts.append(cursor._context.row_count)
        cursor._context.row_count = -1 if -1 in counts else sum(counts)

    return execute, executemany


def _connected(connection: Any, _: object) -> None:
    # The driver must not open transactions by itself: they begin as the block that wants them says.
    connection.autocommit = True
    # A sum of integers, which has no limit there, is an integer here as on SQLite.
    connection.register_in_adapter(_NUMERIC, lambda text: int(text) if text.lstrip("-").isdecimal() else float(text))


def _commit(connection: Any) -> None:
    connection.execute_simple("COMMIT")  # one trip; the driver would make two of it


def _rollback(connection: Any) -> None:
    if connection._in_transaction:
        connection.execute_simple("ROLLBACK")


def _failed(context: Any) -> Exception | None:
    """Finds lost connections that look like something else: a server that ends a session says why before it hangs up,
    and some errors of the socket come through the driver as they are."""
    error = context.original_exception
    if _fields(error).get("C") in _ENDED or isinstance(error, OSError):
        context.is_disconnect = True
    return DBAPIError(None, None, error, connection_invalidated=True) if isinstance(error, OSError) else None


def _fields(error: BaseException) -> dict[str, str]:
    """The server's words by their letter: C is the code, M the message. Empty where it said none."""
    found = getattr(error, "orig", None) or error
    words = found.args[0] if found.args else None
    return words if isinstance(words, dict) else {}


def _fit(
    connection: Connection, cursor: object, statement: str, parameters: Any, context: object, executemany: bool
) -> tuple[str, Any]:
    """Makes values those that PostgreSQL can hold, or raises as SQLite does.

    Its text cannot hold a NUL: in the place of one stands the sign for what is unreadable. Not-a-number is nothing, as
    on SQLite. The rest has to be found before the driver has sent half of a message: `OverflowError`,
    `UnicodeEncodeError`.
    """
    # Many rows in one statement come as one tuple, too.
    if executemany and parameters and isinstance(parameters[0], tuple | list):
        return statement, [_fitting(each) for each in parameters]
    return statement, _fitting(parameters)


def _fitting(values: Sequence[Any]) -> Sequence[Any]:
    odd = False
    for value in values:
        if isinstance(value, str):
            odd = odd or "\0" in value
            if not value.isascii():
                value.encode()
        elif isinstance(value, float):
            odd = odd or math.isnan(value)
        elif isinstance(value, int) and not -_MAX_INT - 1 <= value <= _MAX_INT:
            raise OverflowError("an integer has more than 64 bits")
    return tuple(_plain(value) for value in values) if odd else values


def _plain(value: Any) -> Any:
    if isinstance(value, str):
        return value.replace("\0", "\ufffd")
    return None if isinstance(value, float) and math.isnan(value) else value
