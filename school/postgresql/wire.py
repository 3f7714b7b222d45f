"""
Prepared statements by libpq itself, several of them in one go.

psycopg prepares statements too, but a cursor for each of them costs more than PostgreSQL's answer, and its pipeline
saves the waiting and not the work: four small questions took 222 µs of processor by cursors, 184 in its pipeline, and
46 here. Values and rows are still adapted by psycopg.
"""

from collections.abc import Sequence
from functools import cache
from itertools import count
from typing import Any

import psycopg
from psycopg import generators
from psycopg.abc import PQGen
from psycopg.abc import Transformer as Reader
from psycopg.adapt import PyFormat, Transformer
from psycopg.errors import error_from_result
from psycopg.pq import ExecStatus, TransactionStatus
from psycopg.pq.abc import PGresult

Row = tuple[Any, ...]
Asked = tuple[str, Sequence[Any]]  # SQL with %s for its values, and these


@cache
def _numbered(sql: str) -> bytes:
    """Return SQL with its values numbered, as PostgreSQL has them."""
    first, *pieces = sql.split("%s")
    text = first + "".join(f"${number}{piece}" for number, piece in enumerate(pieces, 1))
    return text.replace("%%", "%").encode()


class Wire:
    """
    A connection's prepared statements.

    PostgreSQL infers the types of the values from where they stand: they are sent as texts.
    """

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self.connection = connection
        self.names: dict[str, bytes] = {}
        self.readers: dict[str, Reader] = {}
        self.numbers = count()

    def ask(self, asked: Sequence[Asked]) -> list[list[Row]]:
        """
        Run statements one after the other, sent at once; return the rows of each.

        Outside of a transaction they are one. Raise the error of the first that fails: none behind it was run.
        """
        texts = [self._dumped(values) for _sql, values in asked]
        server = self.connection.pgconn
        begins = not self.connection.autocommit and server.transaction_status == TransactionStatus.IDLE
        with self.connection.lock:
            if len(asked) == 1 and not begins and (name := self.names.get(asked[0][0])):
                server.send_query_prepared(name, texts[0])
                results = _good(self.connection.wait(generators.execute(server)))
            else:
                results = self.connection.wait(self._conversation(asked, texts, begins=begins))
        return [self._rows(sql, result) for (sql, _values), result in zip(asked, results, strict=True)]

    def _conversation(
        self, asked: Sequence[Asked], texts: Sequence[Sequence[Any]], *, begins: bool
    ) -> PQGen[list[PGresult]]:
        server = self.connection.pgconn
        unknown = dict.fromkeys(sql for sql, _values in asked if sql not in self.names)
        names = self.names | {sql: b"school_%d" % next(self.numbers) for sql in unknown} if unknown else self.names
        server.enter_pipeline_mode()
        if begins:
            server.send_query_params(self.connection._get_tx_start_command(), None)
        for sql in unknown:
            server.send_prepare(names[sql], _numbered(sql))
        for (sql, _values), each in zip(asked, texts, strict=True):
            server.send_query_prepared(names[sql], each)
        server.pipeline_sync()
        yield from generators.send(server)
        results: list[PGresult] = []
        while found := (yield from generators.fetch_many(server)):
            results += found
            if found[-1].status == ExecStatus.PIPELINE_SYNC:
                server.exit_pipeline_mode()
                answers = _good(results[:-1])[-len(asked) :]
                self.names = names
                return answers
        _good(results)
        raise psycopg.OperationalError("The connection was lost.")

    def _dumped(self, values: Sequence[Any]) -> Sequence[Any]:
        return Transformer(self.connection).dump_sequence(values, [PyFormat.TEXT] * len(values)) if values else ()

    def _rows(self, sql: str, result: PGresult) -> list[Row]:
        reader = self.readers.get(sql)
        if reader is None:
            reader = self.readers[sql] = Transformer(self.connection)
            reader.set_pgresult(result)
        else:
            reader.set_pgresult(result, set_loaders=False)
        rows = reader.load_rows(0, result.ntuples, tuple)
        reader.set_pgresult(None, set_loaders=False)
        return rows


def _good(results: list[PGresult]) -> list[PGresult]:
    """Return results, or raise the error of the first that is one."""
    for result in results:
        if result.status == ExecStatus.FATAL_ERROR:
            raise error_from_result(result)
    return results
