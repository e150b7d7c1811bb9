"""Holds what an enterprise opened on its premises against its commitment, draw by draw.

A draw is discrepant where the leaf it hits is not what its raw records come to by the policy's packs, where
the records are not those committed to, or where the source selection was not obeyed. What is wrong with the
commitment itself, a path, or a statement is a finding of its own: no sample can stand on it.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from pathlib import Path

from accounting.contributions import Measure
from accounting.leaves import WHOLE_MONTH, contract_text, pack_names, record_root, record_text
from accounting.periods import PeriodMeasure
from accounting.quantities import MG_PER_GRAM
from auditor.replay import Replay
from auditor.residuals import Exact, read_exact
from auditor.sample_outcome import Outcome, SampleCheck
from auditor.sample_packs import Amounts, evaluate, planned_measures
from auditor.sampling import sampled, sound_log
from auditor.statements import StatementFiles
from privacy import merkle_sum, sampling
from privacy.commitments import Committed
from privacy.merkle_sum import evidence_hash, open_leaf
from privacy.openings import (
    CHALLENGE_FILE,
    OPENING_BYTES_MAX,
    OPENING_FILE,
    OpenedLeaf,
    Opening,
)
from privacy.sampling import CHALLENGE_BYTES_MAX, Challenge
from protos.epochs import Epoch, first_day
from protos.problems import Problem, Unverified
from protos.v1.problem_pb2 import REASON_BEACON_INVALID
from runtime.files import read_bounded
from runtime.log_reader import LogReader

# Slot and overlap class of what another enterprise records.
Excluded = frozenset[tuple[int, str]]


def check_sample(
    folder: Path,
    reader: LogReader,
    trust_root: Path,
    exact_file: Path | None,
    excluded: Excluded | None = None,
) -> Outcome:
    """Check an opened sample; `excluded` are slots and overlap classes, by default what the log selects."""
    challenge = Challenge.decode(read_bounded(folder / CHALLENGE_FILE, CHALLENGE_BYTES_MAX))
    opening = Opening.decode(read_bounded(folder / OPENING_FILE, OPENING_BYTES_MAX))
    exact = None if exact_file is None else read_exact(exact_file)
    with StatementFiles() as files:
        replayed = sound_log(reader, trust_root, files)
    committed, drawn = sampled(replayed, challenge.enterprise_id, challenge.epoch)
    if not challenge.is_derived(drawn.value):
        raise Unverified(
            REASON_BEACON_INVALID, "The folder's challenge does not follow from the beacon in the log."
        )
    outcome = Outcome(challenge, leaves=len(opening.leaves))
    if excluded is None:
        excluded = selected(replayed, challenge, outcome)
    measures = planned_measures(replayed, committed.policy, challenge.enterprise_id)
    if not _check_commitment(opening, challenge, committed, outcome):
        return outcome
    slots = replayed.state.roster(challenge.enterprise_id).active_slots(challenge.epoch)
    nets = _check_paths(opening, challenge, slots, len(measures), outcome)
    _check_statements(opening, exact, [one.id for one, _ in measures], nets, outcome)
    for number, (_, planned) in enumerate(measures):
        mine = [one for one in opening.leaves if one.leaf.measure == number]
        _check_records(mine, planned, outcome)
        _check_amounts(mine, planned, challenge.epoch, excluded, outcome)
    outcome.hits = _hits(_points(opening, challenge), outcome)
    return outcome


def selected(replayed: Replay, challenge: Challenge, outcome: Outcome) -> Excluded:
    """Give what the log's selection leaves out of the epoch; without its body nothing can be said of it."""
    found = replayed.state.participants.selection(challenge.enterprise_id, challenge.epoch)
    if found is not None and found.selection is None:
        outcome.unchecked.append("selection: the body of the epoch's selection is not at hand")
    if found is None or found.selection is None:
        return frozenset()
    return frozenset((slot, name) for name, slots in found.selection.exclusions.items() for slot in slots)


def _check_commitment(opening: Opening, challenge: Challenge, committed: Committed, outcome: Outcome) -> bool:
    if (opening.enterprise_id, opening.epoch) != (challenge.enterprise_id, challenge.epoch):
        outcome.find(SampleCheck.COMMITMENT, "Another enterprise's or epoch's commitment was opened.")
        return False
    try:
        merkle_sum.check_commitment(committed.commitment, opening.salt, opening.root)
    except Problem as problem:
        outcome.find(SampleCheck.COMMITMENT, f"{problem.message} (entry {committed.index})")
        return False
    return True


def _check_paths(
    opening: Opening, challenge: Challenge, slots: Sequence[int], measures: int, outcome: Outcome
) -> dict[int, int]:
    """Open every leaf at its slot's place; each draw falls into one of them, and none is there besides.

    Gives each leaf's slot's net sum by the leaf's number.
    """
    nets: dict[int, int] = {}
    for one in opening.leaves:
        try:
            opened = open_leaf(one.leaf, one.in_slot, one.in_tree, measures=max(measures, 1))
        except Problem as problem:
            outcome.find(SampleCheck.PATHS, f"leaf {one.number}: {problem.message}")
            continue
        row = one.in_tree.index // measures
        if one.in_tree.size != len(slots) * measures or slots[row] != one.leaf.slot:
            outcome.find(SampleCheck.PATHS, f"leaf {one.number}: the roster has another slot at its place.")
        elif opened.root != opening.root:
            outcome.find(SampleCheck.PATHS, f"leaf {one.number}: its path does not lead to the root.")
        else:
            nets[one.number] = opened.slot_sums.net
            outcome.stretches[one.number] = (opened.before, opened.before + one.leaf.plus + one.leaf.minus)
    hit = _located(_points(opening, challenge), outcome)
    if None in hit:
        outcome.find(SampleCheck.PATHS, f"{hit.count(None)} draws fall into no opened leaf.")
    if idle := outcome.stretches.keys() - set(hit):
        outcome.find(SampleCheck.PATHS, f"{len(idle)} leaves were opened that no draw asks for.")
    return nets


def _check_statements(
    opening: Opening, exact: Exact | None, measures: Sequence[str], nets: Mapping[int, int], outcome: Outcome
) -> None:
    """Compare slots' net sums with the exact figures behind the release, which residuals are tested on."""
    if exact is None:
        outcome.unchecked.append("statements: give --exact, from cgsp-node exact, of the same release")
        return
    if (exact.enterprise_id, exact.epoch) != (opening.enterprise_id, opening.epoch):
        outcome.find(SampleCheck.STATEMENTS, "The exact file is of another release.")
        return
    for one in opening.leaves:
        if one.number not in nets:
            continue
        vector = exact.vectors.get(f"statement/{measures[one.leaf.measure]}")
        row = one.in_tree.index // len(measures)
        expected = None if vector is None or row >= len(vector) else int(vector[row])
        if not nets[one.number] // MG_PER_GRAM == expected == one.exact_grams:
            outcome.find(
                SampleCheck.STATEMENTS, f"leaf {one.number}: its slot's net sum is not its statement's value."
            )


def _check_records(leaves: Sequence[OpenedLeaf], planned: Measure | PeriodMeasure, outcome: Outcome) -> None:
    activities = {one.pack.activity.code: one.pack.activity for one in planned.packs}
    for one in leaves:
        try:
            texts = [record_text(activities[record["activity"]], record) for record in one.records]
        except KeyError:
            outcome.find(SampleCheck.RECORDS, f"leaf {one.number}: a record has no such form.", one.number)
            continue
        if one.contract is not None:
            texts.append(contract_text(*one.contract))
        root = record_root(texts)
        if evidence_hash(one.salt, root, pack_names(planned)) != one.leaf.evidence:
            outcome.find(
                SampleCheck.RECORDS,
                f"leaf {one.number}: {len(one.records)} records were shown, not those committed to.",
                one.number,
            )


def _check_amounts(
    leaves: Sequence[OpenedLeaf],
    planned: Measure | PeriodMeasure,
    epoch: Epoch,
    excluded: Excluded,
    outcome: Outcome,
) -> None:
    by_slot: dict[int, list[str]] = {}
    for slot, name in excluded:
        by_slot.setdefault(slot, []).append(name)
    try:
        amounts = evaluate(leaves, planned, epoch, by_slot)
    except Problem as problem:
        outcome.find(SampleCheck.PACKS, problem.message, *(one.number for one in leaves))
        return
    for one, found in zip(leaves, amounts, strict=True):
        _check_leaf(one, found, epoch, by_slot, outcome)


def _check_leaf(
    one: OpenedLeaf, found: Amounts, epoch: Epoch, excluded: Mapping[int, Sequence[str]], outcome: Outcome
) -> None:
    """Compare one leaf; a late part of an earlier day may be less than the day comes to, never more."""
    if one.leaf.day != WHOLE_MONTH and one.leaf.day < first_day(epoch):
        outcome.late_leaves += 1
        holds = one.leaf.plus <= found.plus
    else:
        holds = (one.leaf.plus, one.leaf.minus) == (found.plus, found.minus)
    if holds:
        return
    is_unselected = found.unselected == (one.leaf.plus, one.leaf.minus) and one.leaf.slot in excluded
    check = SampleCheck.SELECTION if is_unselected else SampleCheck.PACKS
    why = "another enterprise records this class" if is_unselected else "its records come to another amount"
    outcome.find(check, f"leaf {one.number}: {why}.", one.number)


def _points(opening: Opening, challenge: Challenge) -> list[int]:
    total = opening.root.amount
    return [sampling.point(one, total) for one in challenge.draws] if total else []


def _located(points: Sequence[int], outcome: Outcome) -> list[int | None]:
    """Find for each point the opened leaf whose stretch covers it."""
    stretches = sorted((low, high, number) for number, (low, high) in outcome.stretches.items())
    found: list[int | None] = []
    for point in points:
        at = bisect_right(stretches, point, key=lambda stretch: stretch[0]) - 1
        found.append(stretches[at][2] if at >= 0 and point < stretches[at][1] else None)
    return found


def _hits(points: Sequence[int], outcome: Outcome) -> int:
    """Count the draws that fall into a discrepant leaf."""
    return sum(number in outcome.discrepant for number in _located(points, outcome))
