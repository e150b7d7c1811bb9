"""What the state forgets of a person who asked for it."""

from __future__ import annotations

from enterprise_node.store.database import Database


def erase_person(database: Database, number: int) -> None:
    """Forget identifier, contract and pseudonyms of a person; joins the caller's transaction.

    The number and the keyed hash stay, so that raw files read again do not bring the person back; consent
    ends, so that the next roster batch ends the slot.
    """
    database.execute(
        "UPDATE person SET sealed = x'', since_day = NULL, until_day = NULL, registered = 0, consented = 0,"
        " erased = 1 WHERE number = ?",
        (number,),
    )
    for table in ("exclusion", "pooled", "correction"):
        database.execute(f"DELETE FROM {table} WHERE person = ?", (number,))  # noqa: S608 (tables named above)
    if database.value("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'pseudonym'"):
        database.execute("DELETE FROM pseudonym WHERE person = ?", (number,))
