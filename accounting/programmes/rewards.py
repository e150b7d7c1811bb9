"""What points buy and who pays: rewards of the five kinds, and the funds behind them."""

from __future__ import annotations

import enum
from typing import Annotated, Self

from pydantic import Field, model_validator

from accounting.documents import Strict
from accounting.factors import Title
from accounting.programmes.words import Amount, AmountOrZero, EpochNumber, Identifier, Names

QUANTITY_MAX = 1_000
ELIGIBILITY_CHARACTERS_MAX = 512
TIMEOUT_SECONDS_MAX = 90 * 86_400
RESERVED_SECONDS = 72 * 3_600


class RewardKind(enum.StrEnum):
    """The five incentives of the field."""

    COMMERCIAL = "commercial"
    POLICY = "policy"
    TRADING = "trading"
    CHARITY = "charity"
    HONOUR = "honour"


class Claim(enum.StrEnum):
    """What becomes of the person's claim on the grams when a reward is confirmed."""

    STAYS = "stays"
    TO_SPONSOR = "to_sponsor"
    TO_POOL = "to_pool"
    RETIRED = "retired"


class Source(enum.StrEnum):
    """Who may pay into a fund; sale is what sold units bring."""

    GOVERNMENT = "government"
    ENTERPRISE = "enterprise"
    BANK = "bank"
    SALE = "sale"


class WhenEmpty(enum.StrEnum):
    """What a reservation meets that the fund cannot pay: it waits for money, or it is refused."""

    QUEUE = "queue"
    REFUSE = "refuse"


class Fund(Strict):
    """Money for rewards, in fen; ceilings of 0 are none. A queue is served by ascending priority."""

    names: Names
    sources: Annotated[tuple[Source, ...], Field(min_length=1, max_length=len(Source))]
    priority: Annotated[int, Field(ge=0, le=1_000)] = 0
    epoch_fen_max: AmountOrZero = 0
    overall_fen_max: AmountOrZero = 0
    when_empty: WhenEmpty = WhenEmpty.REFUSE


class Attestation(Strict):
    """A signed sentence that a person reduced at least so much in so many months; no history goes with it."""

    grams_min: Amount
    months: Annotated[int, Field(ge=1, le=120)]


class Tree(Strict):
    """A charity's lot: so many points planted together are one tree."""

    points: Amount
    names: Names


class Payout(Strict):
    """The partner pays a person all that sales owe to their grams, once it is so much."""

    fen_min: Amount = 1


class Reward(Strict):
    """One thing a person may have. 0 means none in every figure with a maximum or a stock.

    `funds` pay in their order, the first that can; `claim_grams` is what of the claim passes for each unit
    taken, `sponsor` the enterprise it passes to.
    """

    names: Names
    kind: RewardKind
    cost_points: AmountOrZero = 0
    funds: Annotated[tuple[Identifier, ...], Field(max_length=8)] = ()
    unit_cost_fen: AmountOrZero = 0
    partner: Identifier | None = None
    claim: Claim = Claim.STAYS
    claim_grams: AmountOrZero = 0
    sponsor: Identifier | None = None
    stock: AmountOrZero = 0
    voucher_codes: bool = False
    quantity_max: Annotated[int, Field(ge=1, le=QUANTITY_MAX)] = 1
    epoch_account_max: AmountOrZero = 0
    overall_account_max: AmountOrZero = 0
    timeout_seconds: Annotated[int, Field(ge=60, le=TIMEOUT_SECONDS_MAX)] = RESERVED_SECONDS
    eligible: Annotated[str, Field(max_length=ELIGIBILITY_CHARACTERS_MAX)] = ""
    attestation: Attestation | None = None
    tree: Tree | None = None
    payout: Payout | None = None
    since: EpochNumber | None = None
    until: EpochNumber | None = None
    source: Title | None = None
    illustrative: bool = False

    @property
    def fund(self) -> str | None:
        """Name the fund that pays first, None where no money is behind the reward."""
        return self.funds[0] if self.funds else None

    @model_validator(mode="after")
    def _holds_together(self) -> Self:
        if bool(self.unit_cost_fen) != bool(self.funds):
            raise ValueError("a reward that costs money names its fund, and no other does")
        if bool(self.unit_cost_fen) and self.partner is None:
            raise ValueError("a reward that costs money names the partner who is paid")
        if (self.claim is Claim.TO_SPONSOR) != (self.sponsor is not None):
            raise ValueError("a sponsor is named where the claim passes to one, and nowhere else")
        if (self.claim is Claim.STAYS) != (self.claim_grams == 0):
            raise ValueError("claim_grams says how much passes, where the claim does not stay")
        if self.since is not None and self.until is not None and self.until < self.since:
            raise ValueError("a reward does not end before it begins")
        self._check_kind()
        return self

    def _check_kind(self) -> None:
        kind = self.kind
        if kind is RewardKind.HONOUR and (self.cost_points or self.funds or self.claim is not Claim.STAYS):
            raise ValueError("an honour costs nothing, spends no fund and moves no claim")
        if (kind is RewardKind.CHARITY) != (self.tree is not None):
            raise ValueError("a charity says what is planted, and no other kind does")
        if kind is RewardKind.CHARITY and self.claim is not Claim.RETIRED:
            raise ValueError("what is given to charity is retired")
        if self.payout is not None and kind is not RewardKind.TRADING:
            raise ValueError("a payout is a trading reward")
        if kind is RewardKind.TRADING:
            self._check_trading()
        if self.attestation is not None and (kind is not RewardKind.POLICY or self.cost_points or self.funds):
            raise ValueError("an attestation is a policy reward that costs nothing")
        if self.voucher_codes and (kind is not RewardKind.COMMERCIAL or not self.stock):
            raise ValueError("voucher codes belong to a commercial reward with a stock")
        if kind is RewardKind.COMMERCIAL and self.partner is None:
            raise ValueError("a commercial reward names the partner who delivers it")

    def _check_trading(self) -> None:
        """Hold the two halves of trading: what is given to the pool, and what is paid for it later."""
        if self.funds:
            raise ValueError("a trading reward spends no fund: what sales bring is what it pays")
        if (self.claim is Claim.TO_POOL) == (self.payout is not None):
            raise ValueError("a trading reward passes the claim to the pool, or is the payout for it")
        if self.payout is not None and (self.claim is not Claim.STAYS or self.cost_points):
            raise ValueError("a payout costs nothing")
        if self.payout is not None and (self.partner is None or self.quantity_max != 1 or self.stock):
            raise ValueError("a payout names the partner who pays, and has no quantity and no stock")
