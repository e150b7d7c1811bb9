"""The checks in Chinese; the English stands with the checks themselves."""

from __future__ import annotations

from auditor.findings import Check

CHECKS_ZH: dict[Check, str] = {
    Check.TRUST_ROOT: "信任根",
    Check.CHECKPOINT: "检查点",
    Check.TREE: "日志树",
    Check.RECEIPTS: "回执",
    Check.DEPOSITS: "存证",
    Check.ENTRIES: "条目",
    Check.BODIES: "附件",
    Check.PACKS: "方法学",
    Check.PROGRAMMES: "激励方案",
    Check.COMPLETENESS: "完整性",
    Check.BUDGETS: "隐私预算",
    Check.COMMITMENTS: "承诺",
    Check.BEACONS: "抽样信标",
    Check.PSEUDONYMS: "假名",
    Check.ERASURES: "个人删除",
    Check.SELECTIONS: "来源选择",
    Check.TICKETS: "登录凭证",
    Check.ACCOUNTS: "碳账户",
    Check.LEDGERS: "总账",
    Check.ISSUANCES: "减排量签发",
    Check.POPULATION: "人群总量",
    Check.DIFFERENCES: "总量与个人之差",
}

MEANINGS_ZH: dict[Check, str] = {
    Check.TRUST_ROOT: "信任根与线下取得的一致，每次变更均有足够签名。",
    Check.CHECKPOINT: "检查点由日志密钥签名，并经法定数的见证方共签。",
    Check.TREE: "仅由条目即可重算出签名的根，所有提供的树块均属同一棵树。",
    Check.RECEIPTS: "平台在回执中承诺的条目按时、按位出现在日志中。",
    Check.DEPOSITS: "凡见证方按期存证的应答，企业未被记为缺报。",
    Check.ENTRIES: "每条消息入日志时，签名、序号、策略、声明、预算与名册规则均成立。",
    Check.BODIES: "每个附件的散列与其已签名条目一致。",
    Check.PACKS: "策略所称影响界不小于方法学所证明的界。",
    Check.PROGRAMMES: "日志中每个激励方案与其记录一致，资格条件可以求值。",
    Check.COMPLETENESS: "每家企业对每个已结周期均有发布或签名的无事可报；设有期限时各方按期应答。",
    Check.BUDGETS: "重算并累计的隐私消耗未超过策略许可。",
    Check.COMMITMENTS: "策略要求承诺时，每次发布均基于期限前入日志的承诺。",
    Check.BEACONS: "每个有承诺的周期按期且仅有一个信标，由足够托管方证明，并覆盖该周期全部承诺。",
    Check.PSEUDONYMS: "托管方计数与登记人数相符。",
    Check.ERASURES: "被清空的行恰为已签名删除令所列，其关联亦已删除。",
    Check.SELECTIONS: "同类行为由谁记录，可由名册、关联与本人选择重算得出。",
    Check.TICKETS: "选择与账户变更均基于本人的有效登录凭证，每张仅用一次。",
    Check.ACCOUNTS: "由声明重算的账户与平台账目逐克一致。",
    Check.LEDGERS: "逐笔重新判定全部操作、逐期重新结算全部账本,所得根值与各期结算一致。",
    Check.ISSUANCES: "签发的吨数可由入池单元、方案规则与以往签发重算得出，且不重复。",
    Check.POPULATION: "人群总量可由已发布单元重算，并附区间。",
    Check.DIFFERENCES: "每家企业的单元合计与个人声明合计之差，不超过噪声与策略约定的比例。",
}
