"""Documents people are handed, checked offline: certificates, plantings, statements, exports of their data.

Whoever is handed one needs the trust root and nobody: neither the hub nor the log is asked.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from auditor.exports import check_export
from privacy import checkpoint, codec, envelope, merkle, trust
from privacy.envelope import ENTRY_BYTES_MAX, Kind, Opened
from privacy.exports import EXPORT_BYTES_MAX
from privacy.journal import OPERATION_BYTES_MAX, leaf
from privacy.tlog_proof import TlogProof, parse_proof, verify_proof
from privacy.trust import TrustRoot
from protos.epochs import checked_epoch, format_epoch
from protos.json_text import parse_json
from protos.problems import Malformed, Refused, Unverified
from protos.v1 import ledger_pb2, reward_pb2
from protos.v1.problem_pb2 import (
    REASON_CERTIFICATE_INVALID,
    REASON_MALFORMED_MESSAGE,
    REASON_PROOF_INVALID,
    REASON_WRONG_ORIGIN,
    REASON_WRONG_TYPE,
)
from runtime.files import read_bounded

# An export as the portal answers it: as JSON and, beside that, signed in base64.
DOCUMENT_BYTES_MAX = 3 * EXPORT_BYTES_MAX
STATEMENT_FILE, LINES_FILE = "statement", "lines"
LINES_BYTES_MAX = 64 << 20
LINE_BYTES_MAX = 1_024
ACCOUNT_BYTES, SALT_BYTES = 16, 32
# Whose clock runs behind the hub's need not call it a liar.
CLOCK_SECONDS_MAX = 300
_LENGTH_BYTES = 4


@dataclass(frozen=True, slots=True)
class Document:
    """What a document says, now that it holds: figures for machines, a sentence for people."""

    kind: str
    says: Mapping[str, Any]
    sentence: str

    def to_json(self) -> dict[str, Any]:
        """Give it as JSON."""
        return {"kind": self.kind, **self.says, "sentence": self.sentence}


def read_roots(paths: Sequence[Path]) -> list[TrustRoot]:
    """Read the first trust root and the versions after it that are at hand, in order."""
    first, *later = (read_bounded(path, ENTRY_BYTES_MAX) for path in paths)
    roots = [trust.verify_first(first)]
    for data in later:
        roots.append(trust.verify_update(roots[-1], data))
    return roots


def check_document(path: Path, roots: Sequence[TrustRoot], *, now: int) -> Document:
    """Check a file (or a statement's folder); raises Malformed or Unverified where it does not hold."""
    if path.is_dir():
        statement = read_bounded(path / STATEMENT_FILE, ENTRY_BYTES_MAX)
        return check_settlement(statement, read_bounded(path / LINES_FILE, LINES_BYTES_MAX), roots)
    data = read_bounded(path, DOCUMENT_BYTES_MAX)
    if not data.lstrip().startswith(b"{"):
        return Document(*check_export(data, roots))
    found = _parsed(data)
    if "export" in found:
        return Document(*check_export(_bytes(found, "export", _from_base64), roots))
    if "certificate" in found:
        return check_certificate(found, roots, now=now)
    if "tlog_proof" in found:
        return check_planting(found, roots)
    raise Malformed(
        REASON_WRONG_TYPE,
        "The file is neither a certificate nor a planting nor an export.",
        remedy="Pass the JSON or export as it was handed out, or the folder of a settlement statement.",
    )


def check_certificate(found: Mapping[str, Any], roots: Sequence[TrustRoot], *, now: int) -> Document:
    """Check an honour or attestation and that its holder is the account that comes with it."""
    opened = _signed(_bytes(found, "certificate", _from_base64), Kind.ATTESTATION, roots)
    said = opened.parse(reward_pb2.Attestation)
    _check_origin(said.origin, roots)
    salt, account = _bytes(found, "salt", bytes.fromhex), _bytes(found, "account", bytes.fromhex)
    if (len(salt), len(account)) != (SALT_BYTES, ACCOUNT_BYTES):
        raise _malformed(f"a salt has {SALT_BYTES} bytes, an account {ACCOUNT_BYTES}")
    if hashlib.sha256(salt + account).digest() != said.holder_commitment:
        raise Unverified(
            REASON_CERTIFICATE_INVALID,
            "The certificate is another holder's: salt and account do not open its commitment.",
            remedy="Ask the holder for a fresh certificate.",
        )
    if not said.issued_at - CLOCK_SECONDS_MAX <= now <= said.expires_at:
        raise Unverified(
            REASON_CERTIFICATE_INVALID,
            "The certificate is not valid now: it has run out, or is dated ahead.",
            remedy="Ask the holder for a fresh certificate.",
        )
    says = {
        "programme": f"{said.programme}@{said.programme_version}",
        "reward": said.reward,
        "grams_min": said.grams_min,
        "first_epoch": format_epoch(checked_epoch(said.first_epoch)) if said.grams_min else "",
        "last_epoch": format_epoch(checked_epoch(said.last_epoch)),
        "expires_at": said.expires_at,
        "account": account.hex(),
    }
    return Document("certificate", says, _certified(says))


def check_planting(found: Mapping[str, Any], roots: Sequence[TrustRoot]) -> Document:
    """Check that an operation that plants stands in a journal segment, and that one in the witnessed log."""
    segment_bytes, operation_bytes = (_bytes(found, key, bytes.fromhex) for key in ("segment", "operation"))
    segment = _signed(segment_bytes, Kind.JOURNAL_SEGMENT, roots).parse(ledger_pb2.JournalSegment)
    _check_origin(segment.header.origin, roots)
    hashes, index = found.get("proof"), found.get("segment_index")
    if not isinstance(hashes, list) or not isinstance(index, int) or index < 0:
        raise _malformed("a planting has segment_index and a list of hashes as its proof")
    proof = [_bytes({"proof": one}, "proof", bytes.fromhex) for one in hashes]
    operation = codec.parse(ledger_pb2.Operation, operation_bytes, maximum_bytes=OPERATION_BYTES_MAX)
    merkle.verify_inclusion(
        merkle.leaf_hash(leaf(operation_bytes)), index, segment.count, proof, segment.operations_root
    )
    if operation.WhichOneof("act") != "plant":
        raise Unverified(REASON_PROOF_INVALID, "The operation plants nothing.")
    entry = _logged(_text(found, "tlog_proof").encode(), segment_bytes, roots)
    says = {
        "programme": operation.plant.programme,
        "reward": operation.plant.reward,
        "lots": operation.plant.lots,
        "operation": segment.first + index,
        "at": operation.at,
        "entry": entry.index,
        "witnesses": len(checkpoint.cosigners(entry.note, roots[-1].witness_vkeys)),
    }
    sentence = (
        "{programme} planted {lots} × {reward}: operation {operation}, entry {entry} of the log, cosigned by "
        "{witnesses} witnesses. 已种植，日志可证。"
    )
    return Document("planting", says, sentence.format(**says))


def check_settlement(statement: bytes, lines: bytes, roots: Sequence[TrustRoot]) -> Document:
    """Check a statement over the lines that came with it: their root, number, sum and order."""
    said = _signed(statement, Kind.SETTLEMENT, roots).parse(reward_pb2.SettlementStatement)
    _check_origin(said.origin, roots)
    encoded = _cut(lines)
    parsed = [codec.parse(reward_pb2.SettlementLine, one, maximum_bytes=LINE_BYTES_MAX) for one in encoded]
    numbers = [one.operation for one in parsed]
    if (
        merkle.root(encoded) != said.lines_root
        or len(encoded) != said.count
        or sum(one.fen for one in parsed) != said.fen
        or numbers != sorted(set(numbers))
        or not all(said.first_operation <= one < said.end_operation for one in numbers)
    ):
        raise Unverified(
            REASON_PROOF_INVALID,
            "The lines are not those the statement signs.",
            remedy="Ask the operator for the folder again, whole.",
        )
    says = {
        "partner": said.partner,
        "first_operation": said.first_operation,
        "end_operation": said.end_operation,
        "lines": said.count,
        "fen": said.fen,
    }
    sentence = (
        f"{said.partner} is owed {said.fen:,} fen for {said.count} lines of operations "
        f"{said.first_operation} to {said.end_operation - 1}. 应结金额。"
    )
    return Document("settlement", says, sentence)


def _signed(data: bytes, kind: Kind, roots: Sequence[TrustRoot]) -> Opened:
    opened = envelope.open_kind(data, kind)
    envelope.verify(opened, list({root.hub_key.keyid: root.hub_key for root in roots}.values()))
    return opened


def _check_origin(origin: str, roots: Sequence[TrustRoot]) -> None:
    if origin not in {root.origin for root in roots}:
        raise Refused(REASON_WRONG_ORIGIN, f"It is from {origin}; the trust root is {roots[-1].origin}'s.")


def _logged(data: bytes, segment: bytes, roots: Sequence[TrustRoot]) -> TlogProof:
    proof, newest = parse_proof(data), roots[-1]
    verify_proof(
        proof,
        merkle.leaf_hash(segment),
        trust.log_vkey_of(roots, proof.origin),
        newest.witness_vkeys,
        newest.witness_quorum,
    )
    return proof


def _cut(data: bytes) -> list[bytes]:
    """Cut lines that each follow their length."""
    found, at = [], 0
    while at < len(data):
        end = at + _LENGTH_BYTES + int.from_bytes(data[at : at + _LENGTH_BYTES], "big")
        if end > len(data):
            raise _malformed("the last line is cut off")
        found.append(data[at + _LENGTH_BYTES : end])
        at = end
    return found


def _certified(says: Mapping[str, Any]) -> str:
    whose = f"The holder of account {says['account']}"
    if not says["grams_min"]:
        return f"{whose} has earned {says['reward']} of {says['programme']}. 荣誉属实。"
    return (
        f"{whose} reduced at least {says['grams_min']:,} g CO2e from {says['first_epoch']} to "
        f"{says['last_epoch']}, noise taken off ({says['reward']} of {says['programme']}). 减排证明属实。"
    )


def _parsed(data: bytes) -> dict[str, Any]:
    try:
        found = parse_json(data)
    except ValueError:
        raise _malformed("it is not JSON") from None
    if not isinstance(found, dict):
        raise _malformed("it is not a JSON object")
    return found


def _text(found: Mapping[str, Any], key: str) -> str:
    value = found.get(key)
    if not isinstance(value, str):
        raise _malformed(f"{key} is missing or no text")
    return value


def _bytes(found: Mapping[str, Any], key: str, read: Callable[[str], bytes]) -> bytes:
    try:
        return read(_text(found, key))
    except ValueError:
        raise _malformed(f"{key} cannot be read") from None


def _from_base64(text: str) -> bytes:
    return base64.b64decode(text, validate=True)


def _malformed(what: str) -> Malformed:
    return Malformed(
        REASON_MALFORMED_MESSAGE,
        f"The document is damaged: {what}.",
        remedy="Ask whoever handed it over for the file as the hub answered it.",
    )
