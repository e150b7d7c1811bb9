"""The demo from beginning to end: one step after the other, as the parties would take them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from examples.federation import report
from examples.federation.documents import Documents
from examples.federation.founding import Founding, hub_addresses
from examples.federation.incentives import Incentives
from examples.federation.layout import EPOCHS, Layout, open_fresh
from examples.federation.operation import Operation
from examples.federation.prepare import RawData, Scale, prepare
from examples.federation.processes import Process, Supervisor, end_leftovers
from examples.federation.progress import Progress
from examples.federation.sampling import draw_beacons, sample_enterprise


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line asked for."""

    home: Path
    data: Path | None
    scale: Scale
    keep: bool = False
    kill: bool = False


@dataclass(frozen=True, slots=True)
class Federation:
    """A running federation: its files, its hub and custodians."""

    layout: Layout
    founding: Founding
    operation: Operation
    incentives: Incentives
    raw: RawData
    hub: Process
    custodians: list[Process]
    witness: Process


def run(options: Options) -> int:
    """Run the demo; 0 only if all verdicts are PASS and the replayed ledgers are the hub's."""
    progress = Progress()
    end_leftovers(options.home)
    layout = open_fresh(options.home)
    with Supervisor(layout.home) as supervisor:
        raw = prepare_data(layout, options.data, options.scale, progress)
        federation = found(raw, layout, supervisor, options.scale, progress)
        close = release(federation, progress, kill=options.kill)
        paid = incentivise(federation, supervisor, progress)
        verdicts = audit(federation, progress, kill=options.kill)
        verdicts.append(sample(federation, supervisor, progress))
        summary = summarise(federation, close, paid, verdicts, progress)
        report.write(summary, layout.summary)
        print(*report.table(summary), sep="\n", flush=True)
        if options.keep:
            keep_serving(federation)
    is_equal = summary["ledgers"]["equal_to_replay"]
    return 0 if report.is_pass(verdicts) and is_equal else 1


def prepare_data(layout: Layout, data: Path | None, scale: Scale, progress: Progress) -> RawData:
    """Write the enterprises' own files and say which of them are real."""
    with progress.step("data", "Preparing the enterprises' own files 准备企业数据"):
        raw = prepare(layout.raw, data, scale)
    for enterprise, label in raw.data.items():
        progress.say(f"  {enterprise}: {label} data")
    return raw


def found(
    raw: RawData, layout: Layout, supervisor: Supervisor, scale: Scale, progress: Progress
) -> Federation:
    """Set up hub, custodians, nodes, auditor and policy."""
    founding = Founding(layout, supervisor)
    operation = Operation(layout, supervisor, founding, progress)
    with progress.step("hub", "Keys of operator, regulator and auditor; the hub starts 启动平台"):
        founding.make_keys()
        hub = founding.start_hub()
    with progress.step("witness", "A university witnesses the log 第三方见证日志"):
        witness = founding.start_witness()
    with progress.step("custodians", "Three custodians share the pseudonym key, two needed 密钥分持"):
        founding.join_custodians()
        custodians = founding.start_custodians()
    with progress.step("nodes", "Three enterprises and an auditor join 企业与审计方加入"):
        founding.join_nodes(raw)
    with progress.step(
        "policy", "Methodology packs and the policy are signed and published 发布方法学与策略"
    ):
        founding.publish_policy()
    incentives = Incentives(layout, founding, raw, scale, progress)
    with progress.step("programmes", "Two programmes are published, signed by two each 发布激励方案"):
        incentives.publish()
    with progress.step("check", "Each node checks its mapping 检查字段映射"):
        operation.check_nodes()
    return Federation(layout, founding, operation, incentives, raw, hub, custodians, witness)


def release(federation: Federation, progress: Progress, *, kill: bool) -> report.Json:
    """Let the nodes release both epochs and the hub close them; gives the last close."""
    operation = federation.operation
    with progress.step("enrol", "Nodes ingest, enrol with two custodians, preview 企业节点入库与登记"):
        operation.prepare_release()
    with progress.step("consent", "Customers of the utility let their grams be pooled 参与者授权入池"):
        count = federation.incentives.consent()
    progress.say(f"  {count:,} persons consented")
    with progress.step("release", "Nodes release and submit 企业节点发布"):
        nodes = operation.start_nodes()
        if kill:
            operation.kill_each_once(nodes, federation.hub, [federation.witness, *federation.custodians])
        operation.wait_for_nodes(nodes, [federation.hub, federation.witness, *federation.custodians])
    with progress.step("close", "The hub closes both epochs and posts accounts 结账入户"):
        closes = [operation.close(epoch) for epoch in EPOCHS]
    with progress.step("beacon", "Two of three custodians draw the beacons of samples 生成抽样信标"):
        draw_beacons(federation.founding)
    return closes[-1]


def incentivise(federation: Federation, supervisor: Supervisor, progress: Progress) -> report.Json:
    """Redeem rewards of all five kinds, issue, sell, hand out documents; gives all that and the balances."""
    incentives = federation.incentives
    with progress.step("redeem", "Persons redeem rewards of all five kinds 五类激励兑换"):
        incentives.fund()
        redemptions = incentives.redeem()
    with progress.step("issue", "Tonnes are issued from the pool and sold 签发与出售"):
        issuance = incentives.issue()
    documents = Documents(federation.layout, federation.founding, supervisor, incentives)
    with progress.step("documents", "A bank, a donor and a partner check what they were handed 离线核验凭证"):
        checked = documents.check(documents.hand_out(redemptions))
    return {
        "redemptions": redemptions,
        "issuance": issuance,
        "documents": checked,
        "ledgers": incentives.balances(),
    }


def audit(federation: Federation, progress: Progress, *, kill: bool) -> list[report.Json]:
    """Verify from the hub's address and from an exported bundle."""
    operation = federation.operation
    with progress.step("audit", "The auditor verifies from the hub's address 在线核验"):
        if kill:
            operation.kill_auditor_once()
        online = operation.verify_hub()
    with progress.step("export", "The hub exports its log with all bodies 导出日志"):
        operation.export()
    with progress.step("audit-offline", "The auditor verifies the bundle, offline 离线核验"):
        with stopped(federation.hub):
            offline = operation.verify_bundle()
        federation.founding.wait_for_hub(federation.hub)
    return [online, offline]


def sample(federation: Federation, supervisor: Supervisor, progress: Progress) -> report.Json:
    """Sample one enterprise's raw records on its premises."""
    with progress.step("sample", "The auditor samples the bike share on its premises 现场抽样核验"):
        return sample_enterprise(federation.layout, supervisor, federation.founding)


@contextmanager
def stopped(process: Process) -> Iterator[None]:
    """Stop the process for a while, so that nothing can ask it."""
    process.stop()
    yield
    process.start()


def summarise(
    federation: Federation,
    close: report.Json,
    paid: report.Json,
    verdicts: list[report.Json],
    progress: Progress,
) -> report.Json:
    """Ask everybody for their figures and put them together."""
    operation = federation.operation
    with progress.step("figures", "Asking nodes and hub for their figures 汇总"):
        nodes, hub, population = operation.node_figures(), operation.hub_figures(), operation.population()
    seconds = {**progress.seconds, "total": progress.total}
    return report.summarise(
        report.Figures(federation.raw.data, nodes, hub, population, close, paid, verdicts, seconds)
    )


def keep_serving(federation: Federation) -> None:
    """Print where the hub serves and wait for Ctrl-C."""
    grpc, https = hub_addresses(federation.layout)
    print(
        f"The hub serves at https://{https} (gRPC {grpc}); Ctrl-C ends it. 平台持续运行，Ctrl-C 结束。",
        flush=True,
    )
    try:
        federation.operation.serve_until_interrupted(federation.hub)
    except KeyboardInterrupt:
        print("Stopping.", flush=True)
