"""Commands of a sample: make the challenge, check on the premises what was opened."""

from __future__ import annotations

from pathlib import Path

import click

from runtime.console import json_option, print_result

_trust_root = click.option(
    "--trust-root",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    required=True,
    help="The first trust root, handed over out of band. 线下取得的信任根。",
)
_identity = click.option(
    "--identity", type=click.Path(path_type=Path), help="Folder made by `join`. 审计方身份目录。"
)


@click.command()
@click.argument("source")
@_trust_root
@_identity
@click.option("--enterprise", "enterprise_id", required=True, help="Whose records. 企业标识。")
@click.option("--epoch", required=True, help="As 2020-12. 周期。")
@click.option("--detect", default="1%", show_default=True, help="Overstated share. 待发现的高报比例。")
@click.option("--confidence", default="95%", show_default=True, help="With what chance. 置信度。")
@click.option("--discrepancies", default=0, show_default=True, help="Found so far: expand. 已发现的不符数。")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="The challenge. 抽样清单文件。")
@json_option
def sample(
    source: str,
    trust_root: Path,
    identity: Path | None,
    enterprise_id: str,
    epoch: str,
    detect: str,
    confidence: str,
    discrepancies: int,
    out: Path,
    *,
    as_json: bool,
) -> None:
    """Draw a sample of an enterprise's commitment in the log at SOURCE, from its beacon. 抽样。"""
    from auditor.app import open_log
    from auditor.sampling import make_challenge
    from privacy.sampling import parse_share
    from protos.epochs import parse_epoch
    from runtime.files import write_atomic

    shares = parse_share(detect), parse_share(confidence)
    with open_log(source, trust_root, identity) as (reader, _):
        challenge = make_challenge(
            reader,
            trust_root,
            enterprise_id,
            parse_epoch(epoch),
            detect=shares[0],
            confidence=shares[1],
            discrepancies=discrepancies,
        )
    write_atomic(out, challenge.encode())
    result = {"draws": len(challenge.draws), "beacon_entry": challenge.beacon_index, "out": str(out)}
    lines = [
        f"{len(challenge.draws)} draws 次抽样, beacon in entry {challenge.beacon_index} 信标条目: {out}",
        "Give it to the enterprise: cgsp-node open CHALLENGE, on its premises. 交企业现场打开。",
    ]
    print_result(result, as_json=as_json, lines=lines)


@click.command(name="check-sample")
@click.argument("folder", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.argument("source")
@_trust_root
@_identity
@click.option(
    "--exact",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="From `cgsp-node exact`, of the same release. 加噪前精确值文件。",
)
@click.option("--expand", type=click.Path(path_type=Path), help="Write the larger challenge here. 扩大样本。")
@json_option
def check_sample(
    folder: Path,
    source: str,
    trust_root: Path,
    identity: Path | None,
    exact: Path | None,
    expand: Path | None,
    *,
    as_json: bool,
) -> int:
    """Check FOLDER, which `cgsp-node open` wrote here, against the log at SOURCE. 核验抽样（仅限现场）。

    Prints what overstatement is excluded, never a record. Exit codes: 0 all holds; 1 findings; 2 wrong use;
    3 something could not be checked.
    """
    from auditor.app import open_log
    from auditor.sample_check import check_sample as check
    from privacy.sampling import Challenge
    from runtime.files import write_atomic

    with open_log(source, trust_root, identity) as (reader, _):
        outcome = check(folder, reader, trust_root, exact)
    if expand is not None and outcome.more:
        asked = outcome.challenge
        larger = Challenge.make(
            asked.origin,
            asked.enterprise_id,
            asked.epoch,
            detect=asked.detect,
            confidence=asked.confidence,
            beacon_index=asked.beacon_index,
            beacon=asked.beacon,
            discrepancies=outcome.hits,
        )
        write_atomic(expand, larger.encode())
    print_result(outcome.to_json(), as_json=as_json, lines=outcome.lines())
    return outcome.verdict.exit_code
