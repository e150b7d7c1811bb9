"""One plain page for each of the three books, in Chinese or English, without scripts or outside resources."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from jinja2 import Environment, StrictUndefined

from hub.book_views import Book

if TYPE_CHECKING:
    from jinja2 import Template

WORDS: dict[str, dict[str, Any]] = {
    "en": {
        "lang": "en",
        "language": "Language",
        "person": "Personal book",
        "enterprise": "Enterprise book",
        "government": "Government book",
        "open": "open epoch",
        "truth": "Three books of one truth: the same ledgers and releases, as each party may see them.",
        "line": "Line",
        "amount": "Amount",
        "unit": "Unit",
        "nothing": "Nothing yet",
        "lines": {
            "available": "held",
            "spendable": "may be spent",
            "claimable": "waits to be collected",
            "pending": "reserved",
            "deficit": "owed to later credits",
            "enrolled": "persons enrolled",
            "sponsor": "passed to sponsors",
            "total": "all domains",
            "contributed": "given to the pool",
            "share": "part of all that was given",
            "proceeds": "part of what sales brought in",
            "persons": "held by persons, net of what they owe",
            "src": "from statements",
            "pool": "in pools",
            "issued": "issued as units",
            "buffer": "in buffers",
            "retired": "retired",
            "expired": "expired",
            "writeoff": "written off",
            "mint": "minted",
            "redeemed": "redeemed",
            "planted": "planted",
            "capped": "above caps",
            "fund": "in funds",
            "refundable": "set aside for orders",
            "payable": "owed to partners",
            "paid": "paid to partners",
            "fee": "fees",
        },
    },
    "zh": {
        "lang": "zh-CN",
        "language": "语言",
        "person": "个人账本",
        "enterprise": "企业账本",
        "government": "政府账本",
        "open": "未结周期",
        "truth": "同一事实的三本账:同样的账本与发布值,各方只见其应见。",
        "line": "项目",
        "amount": "数额",
        "unit": "单位",
        "nothing": "暂无",
        "lines": {
            "available": "持有",
            "spendable": "可用",
            "claimable": "待领取",
            "pending": "预留",
            "deficit": "待后续抵补",
            "enrolled": "登记人数",
            "sponsor": "转给出资方",
            "total": "全部领域",
            "contributed": "投入减排池",
            "share": "占全部投入",
            "proceeds": "对应的出售收益",
            "persons": "个人合计(扣除待抵补)",
            "src": "来自发布值",
            "pool": "减排池",
            "issued": "已签发",
            "buffer": "缓冲",
            "retired": "已注销",
            "expired": "已过期",
            "writeoff": "已核销",
            "mint": "已发放",
            "redeemed": "已兑换",
            "planted": "已种植",
            "capped": "超上限",
            "fund": "资金余额",
            "refundable": "订单预留",
            "payable": "应付合作方",
            "paid": "已付合作方",
            "fee": "费用",
        },
    },
}


def book_page(language: str, book: Book, others: dict[str, str] | None = None) -> str:
    """Render a book; `others` are the query's other parameters, kept when the language changes."""
    kept = f"{urlencode(others)}&" if others else ""
    return _template().render(words=WORDS[language], book=book, others=kept)


@cache
def _template() -> Template:
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=False)
    return environment.from_string(files("hub.web").joinpath("book.html").read_text("utf-8"))
