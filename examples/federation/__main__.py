"""Command line of the demo: python -m examples.federation --home .demo [--data DIR] [--keep] [--kill]."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from examples.federation.federation import Options, run
from examples.federation.prepare import FULL, SMALL
from examples.federation.processes import StepFailed

_SCALES = {scale.name: scale for scale in (FULL, SMALL)}


@click.command()
@click.option("--home", type=click.Path(path_type=Path), required=True, help="Folder of this run. 运行目录。")
@click.option(
    "--data",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Folder with valleybike/ and sgsc_smart_meter10/. 真实数据目录。",
)
@click.option("--scale", type=click.Choice(sorted(_SCALES)), default=FULL.name, help="Size. 规模。")
@click.option("--keep", is_flag=True, help="Leave the hub serving. 结束后平台继续运行。")
@click.option("--kill", is_flag=True, help="Kill each process once and start it again. 逐一杀死并重启进程。")
def main(home: Path, data: Path | None, scale: str, *, keep: bool, kill: bool) -> None:
    """Run a whole federation on this machine; exit code 0 only on PASS."""
    options = Options(
        home.absolute(), data.absolute() if data else None, _SCALES[scale], keep=keep, kill=kill
    )
    try:
        code = run(options)
    except KeyboardInterrupt:
        print("Interrupted; all processes are stopped. 已中断。", file=sys.stderr)
        code = 130
    except (StepFailed, FileExistsError) as failure:
        print(f"FAIL  {failure}", file=sys.stderr)
        code = 1
    sys.exit(code)


if __name__ == "__main__":
    main()
