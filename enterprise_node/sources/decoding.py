"""Files in another encoding, decoded into memory: raw rows are never written to disk a second time.

DuckDB reads UTF-8. A gb18030 file is decoded into an anonymous file of the kernel, read through /proc; bytes
that do not decode become bytes that are not UTF-8 either, so that the line is counted as broken, not guessed.
"""

from __future__ import annotations

import codecs
import gzip
import os
from pathlib import Path
from typing import IO, TYPE_CHECKING, cast

from protos.problems import Refused
from protos.v1.problem_pb2 import REASON_QUOTA_EXCEEDED

if TYPE_CHECKING:
    from enterprise_node.sessions import RawSession

_CHUNK_BYTES = 1 << 20
_GZIP_MAGIC = b"\x1f\x8b"


def opened(path: Path) -> IO[bytes]:
    """Open a file, decompressing gzip."""
    raw = path.open("rb")
    if raw.read(2) == _GZIP_MAGIC:
        raw.close()
        return cast("IO[bytes]", gzip.open(path))
    raw.seek(0)
    return raw


def decoded(session: RawSession, path: Path, encoding: str) -> Path:
    """Decode a file into memory for the session's life; raises Refused when it is larger than the limit."""
    descriptor = os.memfd_create("decoded", os.MFD_CLOEXEC)
    session.closing.callback(os.close, descriptor)
    decoder = codecs.getincrementaldecoder(encoding)(errors="surrogateescape")
    written = 0
    with opened(path) as source, os.fdopen(os.dup(descriptor), "wb") as target:
        while chunk := source.read(_CHUNK_BYTES):
            written += target.write(_utf8(decoder.decode(chunk)))
            if written > session.memory_bytes_max:
                raise Refused(
                    REASON_QUOTA_EXCEEDED,
                    f"{path.name} is larger than engine.memory_limit_mb when decoded.",
                    remedy="Raise the limit, split the file, or export it as UTF-8.",
                )
        target.write(_utf8(decoder.decode(b"", final=True)))
    return Path(f"/proc/self/fd/{descriptor}")


def _utf8(text: str) -> bytes:
    return text.encode("utf-8", errors="surrogatepass")
