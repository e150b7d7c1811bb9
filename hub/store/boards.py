"""Who lets a board show an account, and under what name."""

from __future__ import annotations

from sqlalchemy import Connection, delete, func, select

from hub.store.dialects import insert_or_replace
from hub.store.reward_schema import board_entry


def put_entry(connection: Connection, programme: str, board: str, account: bytes, alias: str) -> None:
    """Show an account under a name, or under another than before."""
    values = {"programme": programme, "board": board, "account": account, "alias": alias}
    connection.execute(insert_or_replace(connection, board_entry, ["programme", "board", "account"], values))


def remove_entry(connection: Connection, programme: str, board: str, account: bytes) -> None:
    """Show an account no longer."""
    connection.execute(
        delete(board_entry).where(
            board_entry.c.programme == programme,
            board_entry.c.board == board,
            board_entry.c.account == account,
        )
    )


def remove_account(connection: Connection, account: bytes) -> None:
    """Show an account on no board any longer."""
    connection.execute(delete(board_entry).where(board_entry.c.account == account))


def find_alias(connection: Connection, programme: str, board: str, alias: str) -> bytes | None:
    """Find who has a name on a board."""
    query = select(board_entry.c.account).where(
        board_entry.c.programme == programme, board_entry.c.board == board, board_entry.c.alias == alias
    )
    return connection.scalar(query)


def count_entries(connection: Connection, programme: str, board: str) -> int:
    """Count a board's group."""
    query = select(func.count()).where(board_entry.c.programme == programme, board_entry.c.board == board)
    return connection.scalar(query) or 0


def read_entries(connection: Connection, programme: str, board: str) -> list[tuple[bytes, str]]:
    """Give accounts and names of a board's group."""
    query = select(board_entry.c.account, board_entry.c.alias).where(
        board_entry.c.programme == programme, board_entry.c.board == board
    )
    return [(row.account, row.alias) for row in connection.execute(query.order_by(board_entry.c.account))]
