"""The vectors of RFC 9497 as values."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from privacy.ciphersuite import Mode

_FILE = Path(__file__).parents[2] / "conformance" / "rfc9497" / "vectors.json"


@dataclass(frozen=True)
class Vector:
    """One test vector with the figures of its suite; columns of a batch are packed."""

    name: str
    mode: Mode
    seed: bytes
    key_info: bytes
    secret: bytes
    public: bytes
    inputs: tuple[bytes, ...]
    blinds: bytes
    blinded: bytes
    evaluated: bytes
    outputs: tuple[bytes, ...]
    proof: bytes
    nonce: bytes


def vectors() -> list[Vector]:
    """Read every vector."""
    found = []
    for suite in json.loads(_FILE.read_text()):
        for place, vector in enumerate(suite["vectors"]):
            proof = vector.get("Proof", {"proof": "", "r": ""})
            found.append(
                Vector(
                    name=f"mode{suite['mode']}-{place}-batch{vector['Batch']}",
                    mode=Mode(suite["mode"]),
                    seed=bytes.fromhex(suite["seed"]),
                    key_info=bytes.fromhex(suite["keyInfo"]),
                    secret=bytes.fromhex(suite["skSm"]),
                    public=bytes.fromhex(suite.get("pkSm", "")),
                    inputs=_column(vector["Input"]),
                    blinds=b"".join(_column(vector["Blind"])),
                    blinded=b"".join(_column(vector["BlindedElement"])),
                    evaluated=b"".join(_column(vector["EvaluationElement"])),
                    outputs=_column(vector["Output"]),
                    proof=bytes.fromhex(proof["proof"]),
                    nonce=bytes.fromhex(proof["r"]),
                )
            )
    return found


def _column(text: str) -> tuple[bytes, ...]:
    return tuple(bytes.fromhex(part) for part in text.split(","))
