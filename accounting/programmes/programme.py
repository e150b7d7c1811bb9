"""An incentive programme, whole: strict data with a canonical form whose SHA-256 two persons sign.

Every figure is an integer; a maximum of 0 is no maximum. Times within an epoch do not exist here: released
figures come by epoch, and what turns on a day (a cap by day, a streak) is a pack's tariff at the node.
"""

from __future__ import annotations

import enum
import hashlib
import re
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from accounting.documents import Strict
from accounting.programmes.earn_rules import Bracket, EarnRule, Matcher
from accounting.programmes.issue_rules import PARTICIPANTS, IssueRule, OffsetCaps
from accounting.programmes.rewards import Attestation, Fund, Payout, Reward, Source, Tree
from accounting.programmes.words import Amount, AmountOrZero, Cited, EpochNumber, Identifier, Names
from protos.epochs import Epoch, checked_epoch, shift_epoch
from protos.json_text import canonical_json

FORMAT = "cgsp-programme-v1"
RULES_MAX = 200
GROUP_MIN = 20
YEAR_MONTHS = 12

_MONTH_DAY = re.compile(r"(01|03|05|07|08|10|12)-31|(04|06|09|11)-30|02-28")


class Unit(Strict):
    """What the programme's points are called."""

    code: Annotated[str, Field(pattern=r"^[A-Z][A-Z0-9_]{0,30}$")]
    names: Names


class ExpiryKind(enum.StrEnum):
    """Whether points last, end a number of epochs after they were credited, or all end on one day a year."""

    NONE = "none"
    ROLLING = "rolling"
    FIXED_DAY = "fixed_day"


class Expiry(Strict):
    """When points end. On a fixed day, a month's last, end those credited `years` years before or earlier."""

    kind: ExpiryKind = ExpiryKind.NONE
    epochs: Annotated[int, Field(ge=0, le=1_200)] = 0
    day: str = ""
    years: Annotated[int, Field(ge=0, le=10)] = 0

    @model_validator(mode="after")
    def _holds_together(self) -> Self:
        if (self.kind is ExpiryKind.ROLLING) != (self.epochs > 0):
            raise ValueError("a rolling expiry, and no other, says after how many epochs")
        fixed = self.kind is ExpiryKind.FIXED_DAY
        if fixed != bool(self.day) or fixed != (self.years > 0):
            raise ValueError("an expiry on a fixed day, and no other, names the day and the years")
        if fixed and not _MONTH_DAY.fullmatch(self.day):
            raise ValueError("the fixed day is a month's last, as 12-31: books are closed by month")
        return self

    def cutoff(self, epoch: Epoch) -> Epoch | None:
        """Give the last epoch whose credits end with this epoch's close, None if none do."""
        match self.kind:
            case ExpiryKind.ROLLING:
                return shift_epoch(epoch, -self.epochs)
            case ExpiryKind.FIXED_DAY if epoch % 100 == int(self.day[:2]):
                return shift_epoch(epoch, -self.years * YEAR_MONTHS)
            case _:
                return None


class Caps(Strict):
    """The most points a person is credited: of one epoch, of one calendar year, in all.

    What is above an epoch's cap goes to the ledger account capped:{programme}. Caps by year and in all bound
    the position itself (`earning`), as an item's do; caps by day are the packs' at the node.
    """

    epoch_points: AmountOrZero = 0
    year_points: AmountOrZero = 0
    overall_points: AmountOrZero = 0


class Gifts(Strict):
    """Points may go from one account to another, at most so many of one giver an epoch."""

    epoch_points_max: Amount


class BoardOf(enum.StrEnum):
    """Whether a board ranks cells of the population releases, or a group that opted in."""

    POPULATION = "population"
    OPTED_IN = "opted_in"


class Board(Strict):
    """A public ranking; every figure is shown with its ±, and a group below the minimum not at all."""

    names: Names
    of: BoardOf
    by: Literal["region", "domain", "account"]
    group_min: Annotated[int, Field(ge=GROUP_MIN, le=1_000_000)] = GROUP_MIN
    places: Annotated[int, Field(ge=1, le=100)] = 10

    @model_validator(mode="after")
    def _holds_together(self) -> Self:
        if (self.of is BoardOf.OPTED_IN) != (self.by == "account"):
            raise ValueError("accounts are ranked among those that opted in, cells in the population")
        return self


class Programme(Strict):
    """One version of one programme."""

    id: Identifier
    version: Annotated[int, Field(ge=1, le=1_000_000)]
    names: Names
    cited: Cited
    unit: Unit
    first_epoch: EpochNumber
    last_epoch: EpochNumber | None = None
    earn: Annotated[dict[Identifier, EarnRule], Field(min_length=1, max_length=RULES_MAX)]
    caps: Caps = Caps()
    maturity_epochs: Annotated[int, Field(ge=0, le=24)] = 0
    claim_window_epochs: Annotated[int, Field(ge=0, le=120)] = 0
    deficit_epochs_max: Annotated[int, Field(ge=1, le=1_200)] = 24
    expiry: Expiry = Expiry()
    gifts: Gifts | None = None
    funds: Annotated[dict[Identifier, Fund], Field(max_length=RULES_MAX)] = Field(default_factory=dict)
    rewards: Annotated[dict[Identifier, Reward], Field(max_length=RULES_MAX)] = Field(default_factory=dict)
    boards: Annotated[dict[Identifier, Board], Field(max_length=RULES_MAX)] = Field(default_factory=dict)
    issue: Annotated[dict[Identifier, IssueRule], Field(max_length=RULES_MAX)] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _holds_together(self) -> Self:
        if self.last_epoch is not None and self.last_epoch < self.first_epoch:
            raise ValueError("a programme does not end before it begins")
        for name, reward in self.rewards.items():
            for fund in reward.funds:
                if fund not in self.funds:
                    raise ValueError(f"rewards.{name}.funds: [funds] has no {fund}")
        if PARTICIPANTS in self.funds:
            raise ValueError(f"funds.{PARTICIPANTS}: the name is kept for what sales owe to participants")
        for name, rule in self.issue.items():
            self._check_proceeds(name, rule)
        return self

    def _check_proceeds(self, name: str, rule: IssueRule) -> None:
        """Hold that what a sale brings has somewhere to go, and a way out."""
        fund = self.funds.get(rule.proceeds_fund)
        if fund is None:
            raise ValueError(f"issue.{name}.proceeds_fund: [funds] has no {rule.proceeds_fund}")
        if Source.SALE not in fund.sources:
            raise ValueError(f"issue.{name}.proceeds_fund: {rule.proceeds_fund} takes no money from 'sale'")
        pays_out = any(one.payout is not None for one in self.rewards.values())
        if PARTICIPANTS in rule.proceeds_split_bp and not pays_out:
            raise ValueError(f"issue.{name}.proceeds_split_bp: no reward pays the participants out")

    @property
    def ledger(self) -> str:
        """Name the ledger of its points."""
        return f"P:{self.id}"

    def holds(self, epoch: Epoch) -> bool:
        """Tell whether the programme pays for an epoch, newer versions aside."""
        return self.first_epoch <= epoch and (self.last_epoch is None or epoch <= self.last_epoch)

    def canonical_bytes(self) -> bytes:
        """Give the deterministic JSON that is logged."""
        return canonical_json({"format": FORMAT, **self.model_dump(mode="json")})

    @property
    def sha256(self) -> bytes:
        """Hash the canonical bytes."""
        return hashlib.sha256(self.canonical_bytes()).digest()

    @property
    def first(self) -> Epoch:
        """Give the first epoch it pays for."""
        return checked_epoch(self.first_epoch)


MODELS = (
    *(Programme, Unit, Names, Cited, Caps, Expiry, Gifts, Board),
    *(EarnRule, Matcher, Bracket, Fund, Reward, Attestation, Tree, Payout, IssueRule, OffsetCaps),
)
