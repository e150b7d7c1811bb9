"""Methodology packs: strict data with a canonical form whose SHA-256 is what policies name.

A pack's folder holds pack.toml and, if it likes, vectors.toml; factor tables lie apart and are named
"factors/<table>/<version>/table.toml" and ".../table.csv" among the files given to `parse_pack`.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping

from pydantic import BaseModel

from accounting.activities import Activity


class Purpose(enum.StrEnum):
    """Whether a pack's figures are credited, or only show a footprint at the enterprise."""

    CREDIT = "credit"
    FOOTPRINT = "footprint"


class Domain(enum.StrEnum):
    """Field of life."""

    LIFE = "life"
    PUBLIC_GOOD = "public_good"
    CONSUMPTION = "consumption"
    TOURISM = "tourism"
    TRAVEL = "travel"


class Pack(BaseModel):
    """One methodology, complete: activity, formula, parameters, factor rows, caps and vectors."""

    id: str
    version: int
    domain: Domain
    purpose: Purpose
    overlap_class: str
    activity: Activity

    @property
    def name_en(self) -> str:
        """Give the English name."""
        raise NotImplementedError

    @property
    def name_zh(self) -> str:
        """Give the Chinese name."""
        raise NotImplementedError

    @property
    def illustrative(self) -> bool:
        """Tell whether any figure is only illustrative: such packs never issue units."""
        raise NotImplementedError

    def canonical_bytes(self) -> bytes:
        """Give the deterministic JSON, factor rows and activity included."""
        raise NotImplementedError

    @property
    def sha256(self) -> bytes:
        """Hash the canonical bytes."""
        raise NotImplementedError


def required_files(pack_toml: bytes) -> tuple[str, ...]:
    """Name the factor files a pack.toml needs besides itself, relative to the packs folder."""
    raise NotImplementedError


def parse_pack(files: Mapping[str, bytes], activities: Mapping[str, Activity]) -> Pack:
    """Read a pack from "pack.toml", optionally "vectors.toml", and the files `required_files` names."""
    raise NotImplementedError


def parse_canonical(data: bytes) -> Pack:
    """Read canonical bytes back; PACK_INVALID unless they are exactly what the pack itself writes."""
    raise NotImplementedError
