"""A person's exports, checked offline: an account's by the hub's keys, an enterprise's by its own.

They are signed JSON; what they say is for the person, and nothing in it is held against the log here.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from privacy import codec
from privacy.exports import ACCOUNT, EXPORT_BYTES_MAX, PERSON, open_export
from privacy.trust import TrustRoot
from protos.problems import Malformed, Unverified
from protos.v1.envelope_pb2 import Envelope
from protos.v1.problem_pb2 import REASON_WRONG_ORIGIN, REASON_WRONG_TYPE

_KINDS = {ACCOUNT: "account export", PERSON: "person export"}
_SENTENCES = {
    ACCOUNT: "The hub signed this account: {account}, after {epoch}, {balance_mg} mg. 平台签名的碳账户数据。",
    PERSON: "{enterprise} signed what it keeps of this person: {count} records. 企业签名的个人数据。",
}


def check_export(data: bytes, roots: Sequence[TrustRoot]) -> tuple[str, Mapping[str, Any], str]:
    """Give an export's kind, what it says, and that in a sentence; raises Malformed or Unverified."""
    kind = codec.parse(Envelope, data, maximum_bytes=EXPORT_BYTES_MAX).payload_type
    if kind not in _SENTENCES:
        raise Malformed(
            REASON_WRONG_TYPE,
            "The file is no export of an account or a person.",
            remedy="Pass the file as `account export` or `person export` wrote it.",
        )
    if kind == ACCOUNT:
        keys = [root.hub_key for root in roots]
    else:
        keys = [one.key for root in roots for one in root.enterprises]
    found = open_export(data, kind, keys)
    if not isinstance(found, dict):
        raise Malformed(REASON_WRONG_TYPE, "The export is not a JSON object.")
    if found.get("origin") not in {root.origin for root in roots}:
        raise Unverified(
            REASON_WRONG_ORIGIN,
            "The export is of another federation than the trust root's.",
            remedy="Pass the trust root of the federation that it names.",
        )
    if kind == PERSON:
        _check_signer(data, found, roots)
    said = defaultdict(str, {**found, "count": len(found.get("records", []))})
    return _KINDS[kind], found, _SENTENCES[kind].format_map(said)


def _check_signer(data: bytes, found: Mapping[str, Any], roots: Sequence[TrustRoot]) -> None:
    """Refuse an export that names another enterprise than the one that signed it."""
    mine = [one.key for root in roots for one in root.enterprises if one.id == found.get("enterprise")]
    open_export(data, PERSON, mine)
