"""libsodium through ctypes: the machine's own library, else the copy inside the Python package rbcl.

ctypes releases the interpreter's lock during each call, so threads work side by side.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import importlib.util
import re
import tempfile
from functools import cache
from pathlib import Path

from protos.problems import Unavailable
from protos.v1.problem_pb2 import REASON_NOT_FOUND

_SYSTEM_NAMES = ("libsodium.so.26", "libsodium.so.23", "libsodium.dylib")
_BUNDLED_HEX = re.compile(rb"bytes\.fromhex\('([0-9a-f]+)'\)")
_RESULT, _INPUT = ctypes.c_void_p, ctypes.c_char_p
_SIGNATURES: dict[str, tuple[list[type], type | None]] = {
    "crypto_scalarmult_ristretto255": ([_RESULT, _INPUT, _INPUT], ctypes.c_int),
    "crypto_scalarmult_ristretto255_base": ([_RESULT, _INPUT], ctypes.c_int),
    "crypto_core_ristretto255_add": ([_RESULT, _INPUT, _INPUT], ctypes.c_int),
    "crypto_core_ristretto255_from_hash": ([_RESULT, _INPUT], ctypes.c_int),
    "crypto_core_ristretto255_is_valid_point": ([_INPUT], ctypes.c_int),
    "crypto_core_ristretto255_scalar_reduce": ([_RESULT, _INPUT], None),
    "crypto_core_ristretto255_scalar_add": ([_RESULT, _INPUT, _INPUT], None),
    "crypto_core_ristretto255_scalar_sub": ([_RESULT, _INPUT, _INPUT], None),
    "crypto_core_ristretto255_scalar_mul": ([_RESULT, _INPUT, _INPUT], None),
    "crypto_core_ristretto255_scalar_invert": ([_RESULT, _INPUT], ctypes.c_int),
    "sodium_version_string": ([], ctypes.c_char_p),
}


def library() -> ctypes.CDLL:
    """Give libsodium, loaded once; raises Unavailable if the machine has none."""
    return _loaded()[0]


def provider() -> str:
    """Name the library in use and its version, for logs and doctors."""
    loaded, name = _loaded()
    return f"libsodium {loaded.sodium_version_string().decode('ascii')} ({name})"


@cache
def _loaded() -> tuple[ctypes.CDLL, str]:
    loaded = load_system() or load_bundled()
    if loaded is None:
        raise Unavailable(
            REASON_NOT_FOUND,
            "libsodium with ristretto255 was not found on this machine.",
            remedy="Install libsodium 1.0.18 or later, or the Python package rbcl.",
        )
    return loaded


def load_system() -> tuple[ctypes.CDLL, str] | None:
    """Load the machine's own library; None if there is none, or one without ristretto255."""
    for name in (*_SYSTEM_NAMES, ctypes.util.find_library("sodium") or ""):
        try:
            loaded = _declared(ctypes.CDLL(name)) if name else None
        except OSError:
            continue
        if loaded is not None:
            return loaded, name
    return None


def load_bundled() -> tuple[ctypes.CDLL, str] | None:
    """Load the copy inside rbcl without importing rbcl, which would leave a file behind at every start."""
    spec = importlib.util.find_spec("rbcl")
    if spec is None or spec.origin is None:
        return None
    held = _BUNDLED_HEX.search(Path(spec.origin).with_name("_sodium.py").read_bytes())
    if held is None:
        return None
    # The folder is the owner's alone; the file may go as soon as it is mapped.
    with tempfile.TemporaryDirectory(prefix="cgsp-sodium-", ignore_cleanup_errors=True) as folder:
        path = Path(folder) / "libsodium.so"
        path.write_bytes(bytes.fromhex(held[1].decode("ascii")))
        loaded = _declared(ctypes.CDLL(str(path)))
    return (loaded, "bundled with rbcl") if loaded is not None else None


def _declared(loaded: ctypes.CDLL) -> ctypes.CDLL | None:
    """Declare what is used; None if this build lacks a part of it."""
    if not all(hasattr(loaded, name) for name in _SIGNATURES) or loaded.sodium_init() < 0:
        return None
    for name, (arguments, result) in _SIGNATURES.items():
        function = getattr(loaded, name)
        function.argtypes, function.restype = arguments, result
    return loaded
