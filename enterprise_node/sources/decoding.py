"""Files in another encoding, decoded into memory: raw rows are never written to disk a second time.

DuckDB reads UTF-8. A gb18030 file is decompressed and decoded into an anonymous file of the kernel, read
through /proc; bytes that do not decode become bytes that are not UTF-8 either, so that the line is counted as
broken, not guessed.
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
_ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"


def opened(path: Path) -> IO[bytes]:
    """Open a file, decompressing gzip and zstd."""
    raw = path.open("rb")
    start = raw.read(4)
    if start.startswith(_GZIP_MAGIC):
        raw.close()
        return cast("IO[bytes]", gzip.open(path))
    raw.seek(0)
    if start == _ZSTD_MAGIC:
        import zstandard

        reader = zstandard.ZstdDecompressor().stream_reader(raw, read_across_frames=True, closefd=True)
        return cast("IO[bytes]", reader)
    return raw


def in_memory(session: RawSession) -> tuple[Path, IO[bytes]]:
    """Make an anonymous file for the session's life: the path to read it by, and a stream to write it."""
    descriptor = os.memfd_create("decoded", os.MFD_CLOEXEC)
    session.closing.callback(os.close, descriptor)
    return Path(f"/proc/self/fd/{descriptor}"), os.fdopen(os.dup(descriptor), "wb")


def decoded(session: RawSession, path: Path, encoding: str) -> Path:
    """Decode a file into memory for the session's life; raises Refused when it is larger than the limit."""
    readable, stream = in_memory(session)
    decoder = codecs.getincrementaldecoder(encoding)(errors="surrogateescape")
    written = 0
    with opened(path) as source, stream as target:
        while chunk := source.read(_CHUNK_BYTES):
            written += target.write(_utf8(decoder.decode(chunk)))
            if written > session.memory_bytes_max:
                raise Refused(
                    REASON_QUOTA_EXCEEDED,
                    f"{path.name} is larger than engine.memory_limit_mb when decoded.",
                    remedy="Raise the limit, split the file, or export it as UTF-8.",
                )
        target.write(_utf8(decoder.decode(b"", final=True)))
    return readable


def _utf8(text: str) -> bytes:
    return text.encode("utf-8", errors="surrogatepass")
