"""An audit's outcome as one self-contained HTML file that can be filed: findings first, then how.

No script, no link, no outside resource: a content security policy forbids them, and the style sheet is
allowed by its hash. Every value from outside passes through `text`, which escapes it.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from auditor import html_charts
from auditor.findings import MEANINGS, Finding, Result, Verdict
from auditor.html_charts import text
from auditor.report import Report
from auditor.wording import CHECKS_ZH, MEANINGS_ZH
from protos.wording import wording_zh

FINDINGS_MAX = 10_000
# How a finding ends that has a problem's reason: BUDGET_EXCEEDED (306).
_NUMBERED = re.compile(r"\(([0-9]{3})\)$")

_STYLE = """
body{font:15px/1.5 system-ui,"Noto Sans SC","PingFang SC","Microsoft YaHei",sans-serif;color:#1b1f24;
margin:0 auto;max-width:62rem;padding:2rem 1.5rem}
h1{font-size:1.5rem;margin:0}h2{font-size:1.1rem;margin:2.2rem 0 .6rem;border-bottom:1px solid #d0d7de}
table{border-collapse:collapse;width:100%;margin:.4rem 0 1rem}
th,td{text-align:left;vertical-align:top;padding:.3rem .6rem;border-bottom:1px solid #e6eaee;
overflow-wrap:anywhere}
th{font-weight:600;background:#f6f8fa}td.n,th.n{text-align:right;font-variant-numeric:tabular-nums}
.verdict{padding:.8rem 1rem;border-left:.5rem solid;margin:1.2rem 0;font-size:1.15rem;font-weight:600}
.PASS{border-color:#1a7f37;background:#eef8f0}.FINDINGS{border-color:#cf222e;background:#fdf0f0}
.UNCHECKED{border-color:#9a6700;background:#fdf7e7}
.note{color:#57606a;font-size:.9rem}code{font-family:ui-monospace,monospace;font-size:.88em}
svg{max-width:100%;height:auto;display:block;margin:.4rem 0}
svg text{font:12px system-ui,"Noto Sans SC",sans-serif}
@media print{body{padding:0;max-width:none}h2{break-after:avoid}tr{break-inside:avoid}}
"""

_VERDICTS = {
    Verdict.PASS: "通过：全部核验项成立 · PASS: everything that was checked holds",
    Verdict.FINDINGS: "发现问题：有事项无法确认 · FINDINGS: something could not be confirmed",
    Verdict.UNCHECKED: "未完成：有事项未能核验，不视为通过 · UNCHECKED: not everything was checked; no pass",
}
_SHORT = {Verdict.PASS: "成立 holds", Verdict.FINDINGS: "问题 finding", Verdict.UNCHECKED: "未核验 unchecked"}


def render(report: Report, *, made_at: str) -> str:
    """Write the report; `made_at` is the time of the audit as text."""
    parts = [
        *_head(report, made_at),
        *_findings(report.results.findings),
        *_checks(report.results.all()),
        *_log(report),
        *_population(report.figures.get("population") or {}),
        *_accounts(report.figures.get("accounts") or {}),
        *_pseudonyms(report.figures.get("pseudonyms") or {}),
        *_cost(report.figures.get("cost") or {}),
        *_method(),
    ]
    digest = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    return (
        '<!DOCTYPE html>\n<html lang="zh-CN"><head><meta charset="utf-8"/>'
        f'<meta http-equiv="Content-Security-Policy" content="{text(policy)}"/>'
        '<meta name="referrer" content="no-referrer"/>'
        '<meta name="viewport" content="width=device-width, initial-scale=1"/>'
        f"<title>{text(f'CGSP {report.verdict.value} {report.origin}')}</title><style>{_STYLE}</style></head>"
        f"<body>{''.join(parts)}</body></html>\n"
    )


def _head(report: Report, made_at: str) -> Iterator[str]:
    verdict = report.verdict
    yield "<h1>碳普惠平台核验报告 · Audit of a CGSP hub</h1>"
    yield f'<p class="note">{text(report.origin or "—")} · {text(made_at)}</p>'
    yield f'<p class="verdict {verdict.value}">{text(_VERDICTS[verdict])}</p>'


def _findings(findings: Sequence[Finding]) -> Iterator[str]:
    yield f"<h2>发现的问题 · Findings ({len(findings)})</h2>"
    if not findings:
        yield "<p>无。None.</p>"
        return
    heads = ("核验项 check", "对象 object", "内容 what is wrong", "代码 reason")
    rows = ((one.check.value, one.place, one.message, _reason(one)) for one in findings[:FINDINGS_MAX])
    yield _table(heads, rows)
    if len(findings) > FINDINGS_MAX:
        yield f"<p>其余 {len(findings) - FINDINGS_MAX} 项见 JSON 报告。The rest is in the JSON report.</p>"


def _reason(finding: Finding) -> str:
    """Say in Chinese what the reason is called, before its name and number."""
    numbered = _NUMBERED.search(finding.reason)
    return f"{wording_zh(int(numbered[1])).sentence} {finding.reason}" if numbered else finding.reason


def _checks(results: Sequence[Result]) -> Iterator[str]:
    yield "<h2>核验了什么、如何核验 · What was checked, and how</h2>"
    rows = [
        (
            f"{CHECKS_ZH.get(one.check, '')} {one.check.value}",
            _SHORT[one.verdict],
            f"{one.examined:,}",
            f"{MEANINGS_ZH.get(one.check, '')} {MEANINGS[one.check]}",
        )
        for one in results
    ]
    yield _table(("核验项 check", "结论 verdict", "检查数 examined", "含义 meaning"), rows, numbers=(2,))
    yield html_charts.bars(
        "各项检查数（对数） · Things examined (log scale)",
        [(one.check.value, one.examined, one.verdict.value) for one in results],
    )
    left = [(one.check.value, why) for one in results for why in dict.fromkeys(one.unchecked)]
    if left:
        yield "<h2>未能核验 · Not checked</h2>"
        yield _table(("核验项 check", "原因 why"), left)
    remarks = [(one.check.value, remark) for one in results for remark in one.remarks]
    if remarks:
        yield "<h2>说明 · Remarks</h2>"
        yield _table(("核验项 check", "说明 remark"), remarks)


def _log(report: Report) -> Iterator[str]:
    yield "<h2>日志 · The log</h2>"
    yield _table(
        ("项 item", "值 value"),
        [
            ("来源 source", report.source),
            ("名称 origin", report.origin or "—"),
            ("条目数 entries", f"{report.size:,}"),
            ("根 root", report.root.hex() or "—"),
            ("见证方 witnesses", report.witnesses),
        ],
    )


def _population(figures: dict[str, Any]) -> Iterator[str]:
    if not figures:
        return
    yield "<h2>人群总量与 95% 区间 · Population totals with 95 % intervals</h2>"
    heads = ("周期 epoch", "领域 domain", "减排 grams CO2e", "± 95 %", "人次 persons", "± 95 %")
    yield _table(heads, _population_rows(figures), numbers=(2, 3, 4, 5))
    yield html_charts.intervals(
        "减排量（千克，含区间） · Reductions in kg with intervals",
        [(epoch, told["grams"]["total"], told["grams"]["halfwidth_95"]) for epoch, told in figures.items()],
    )


def _population_rows(figures: dict[str, Any]) -> Iterator[tuple[str, ...]]:
    for epoch, told in figures.items():
        domains = {"合计 all": (told["grams"], told["persons"])}
        for name, grams in told["grams"]["domains"].items():
            domains[name] = (grams, told["persons"]["domains"].get(name, {}))
        for name, (grams, persons) in domains.items():
            yield (epoch, name, *_told(grams), *_told(persons))


def _told(figure: dict[str, Any]) -> tuple[str, str]:
    if "total" not in figure:
        return "—", "—"
    return f"{figure['total']:,}", f"{figure['halfwidth_95']:,}"


def _accounts(figures: dict[str, Any]) -> Iterator[str]:
    if not figures:
        return
    yield "<h2>账户重算 · Accounts replayed</h2>"
    yield _table(("项 item", "值 value"), [(name, _figure(value)) for name, value in figures.items()])


def _pseudonyms(figures: dict[str, Any]) -> Iterator[str]:
    if not figures:
        return
    yield "<h2>登记人数与托管方计数 · Persons enrolled and identifiers evaluated</h2>"
    heads = ("企业 enterprise", "登记 enrolled", "计算 evaluated")
    rows = [(name, _figure(one["enrolled"]), _figure(one["evaluated"])) for name, one in figures.items()]
    yield _table(heads, rows, numbers=(1, 2))


def _cost(figures: dict[str, Any]) -> Iterator[str]:
    if not figures:
        return
    yield "<h2>隐私预算 · What a release costs a person</h2>"
    heads = ("企业 enterprise", "人日 person-day", "活跃日 active days", "其人月 their person-month")
    rows = [
        (name, one["person_day"], one["active_days"], one["person_month"]) for name, one in figures.items()
    ]
    yield _table(heads, rows, numbers=(1, 2, 3))


def _method() -> Iterator[str]:
    yield "<h2>方法 · Method</h2>"
    yield (
        "<p>本报告由核验程序从日志与附件独立重算得出，不依赖平台的任何陈述；信任根须由核验方线下取得。"
        "区间仅反映发布时加入的噪声。未能核验的事项不视为通过。</p>"
        "<p>Everything here was recomputed from the log and its bodies, without the hub's word; the "
        "trust root was handed over out of band. Intervals speak of the noise in what was released "
        "alone. What could not be checked is no pass.</p>"
    )


def _figure(value: object) -> str:
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)


def _table(heads: Sequence[str], rows: Iterable[Sequence[object]], *, numbers: Sequence[int] = ()) -> str:
    marks = [' class="n"' if column in numbers else "" for column in range(len(heads))]
    head = "".join(f"<th{mark}>{text(one)}</th>" for mark, one in zip(marks, heads, strict=True))
    body = "".join(
        "<tr>"
        + "".join(f"<td{mark}>{text(one)}</td>" for mark, one in zip(marks, row, strict=True))
        + "</tr>"
        for row in rows
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
