"""Every statement of the product against the schema it was written for."""

import re

import asyncpg
import pytest

from posthouse.store.queries import QUERIES, parse


async def test_every_statement_fits_the_schema(database: str) -> None:
    """PREPARE finds every table, column, function and type that a statement names."""
    connection = await asyncpg.connect(database)
    await connection.execute(QUERIES["begin_import"])  # take_import reads a table of its session
    refused = {}
    for name, sql in QUERIES.items():
        try:
            statement = await connection.prepare(sql)
        except asyncpg.PostgresError as error:
            refused[name] = str(error)
        else:
            numbers = {int(number) for number in re.findall(r"\$(\d+)", sql)}
            assert numbers == set(range(1, len(statement.get_parameters()) + 1)), name
    await connection.close()
    assert refused == {}


def test_a_file_of_statements_is_read_by_name() -> None:
    text = "-- A file.\n\n-- name: one\nSELECT 1;\n\n-- name: two\n-- why\nSELECT\n    2;\n"
    assert parse(text) == {"one": "SELECT 1", "two": "-- why\nSELECT\n    2"}


def test_no_statement_is_written_twice() -> None:
    assert len(set(QUERIES.values())) == len(QUERIES)


def test_no_name_is_given_twice() -> None:
    with pytest.raises(ValueError, match="one"):
        parse("-- name: one\nSELECT 1;\n\n-- name: one\nSELECT 2;\n")
