"""Commands of the key ceremony: with a dealer in one step, without one in begin, exchange and finish."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from runtime.console import CommandGroup, json_option, print_result

_home = click.option(
    "--home",
    "home",
    type=click.Path(path_type=Path),
    required=True,
    help="The custodian's folder. 托管方目录。",
)
_threshold = click.option("--threshold", type=click.IntRange(1, 255), help="Shares needed. 门限。")
_recipients = click.option(
    "--recipient", "recipients", multiple=True, metavar="ID=FILE", help="Its custodian.pub; repeat. 参与方。"
)
_beacon = click.option(
    "--beacon", is_flag=True, help="The key of sampling beacons, not of pseudonyms. 抽样信标密钥。"
)
_folder = click.argument("folder", type=click.Path(path_type=Path, exists=True, file_okay=False))


@click.group(cls=CommandGroup, name="ceremony", invoke_without_command=True)
@_threshold
@_recipients
@click.option("--out", type=click.Path(path_type=Path), help="A new folder. 新目录。")
@_beacon
@json_option
@click.pass_context
def ceremony(
    context: click.Context,
    threshold: int | None,
    recipients: Sequence[str],
    out: Path | None,
    *,
    beacon: bool,
    as_json: bool,
) -> None:
    """Deal the pseudonym key from this machine, or draw it together: begin, exchange, finish. 密钥仪式。"""
    if context.invoked_subcommand is not None:
        if threshold or recipients or out or beacon:
            raise click.UsageError("Options of the dealer's ceremony do not go with a sub-step.")
        return
    if threshold is None or not recipients or out is None:
        raise click.UsageError("A ceremony with a dealer needs --threshold, --recipient and --out.")
    from custodian.setup import deal_key
    from custodian.share import Purpose

    purpose = Purpose.BEACON if beacon else Purpose.PSEUDONYM
    held = deal_key(threshold, _named(recipients), out, purpose)
    result = {
        "key_id": purpose.key_id(held.key).hex(),
        "threshold": threshold,
        f"{purpose.value}_key": str(out / purpose.key_file),
        "shares": {name: str(out / f"{name}.share") for name in held.sealed_shares},
    }
    print_result(result, as_json=as_json)


@ceremony.command()
@_threshold
@click.option(
    "--refresh",
    "key_file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="pseudonym-key.json of the key whose shares are renewed. 刷新既有密钥的份额。",
)
@_recipients
@click.option("--out", type=click.Path(path_type=Path), required=True, help="A new folder. 新目录。")
@_beacon
@json_option
def begin(
    threshold: int | None,
    key_file: Path | None,
    recipients: Sequence[str],
    out: Path,
    *,
    beacon: bool,
    as_json: bool,
) -> None:
    """Plan a session in a folder that all custodians reach. 发起无分发者仪式。"""
    from custodian import steps
    from custodian.share import Purpose

    if (threshold is None) == (key_file is None) or not recipients:
        raise click.UsageError(
            "Give --recipient, and --threshold for a new key or --refresh for one there is."
        )
    if key_file is not None:
        plan = steps.begin_refresh(_named(recipients), out, key_file=key_file)
    else:
        purpose = Purpose.BEACON if beacon else Purpose.PSEUDONYM
        plan = steps.begin(_named(recipients), out, threshold=threshold or 0, purpose=purpose)
    result = {
        "session": plan.context.hex(),
        "threshold": plan.session.threshold,
        "refresh": plan.session.is_refresh,
        "custodians": {name: index for index, name in sorted(plan.session.participants.items())},
    }
    print_result(result, as_json=as_json)


@ceremony.command()
@_home
@_folder
@json_option
def exchange(home: Path, folder: Path, *, as_json: bool) -> None:
    """Contribute; once everybody has, run it again to check and certify. 交换并核验。"""
    from custodian import steps

    done = steps.exchange(home, folder)
    result = {
        "session": done.session,
        "contributions_missing": done.contributions_missing,
        "certificates_missing": done.certificates_missing,
    }
    print_result(result, as_json=as_json)


@ceremony.command()
@_home
@_folder
@json_option
def finish(home: Path, folder: Path, *, as_json: bool) -> None:
    """Check all certificates; write this custodian's share and the key file. 完成仪式。"""
    from custodian import steps

    done = steps.finish(home, folder)
    result = {
        "key_id": done.share.key_id.hex(),
        "index": done.share.share.index,
        "threshold": done.share.key.threshold,
        f"{done.share.purpose.value}_key": str(done.key_file),
        "share": str(done.share_file),
    }
    print_result(result, as_json=as_json)


def _named(recipients: Sequence[str]) -> dict[str, Path]:
    named = [(name, Path(path)) for name, _, path in (text.partition("=") for text in recipients)]
    if len(dict(named)) != len(named) or not all(path.name for _, path in named):
        raise click.BadParameter("write ID=FILE, each id once.", param_hint="--recipient")
    return dict(named)
