"""The problems in Chinese, one sentence a reason; what exactly came, a problem's own message says in English.

A sentence holds wherever its reason is raised, and is fixed text: nothing of a person or a message is in it.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

from protos.v1 import problem_pb2 as wire


class Wording(NamedTuple):
    """What happened, and what to do about it where one advice holds for all; both in Chinese."""

    sentence: str
    remedy: str = ""


REASONS_ZH: Mapping[int, Wording] = MappingProxyType(
    {
        wire.REASON_UNSPECIFIED: Wording("没有说明原因。", "请联系平台运营方。"),
        # The sender fixes it.
        wire.REASON_MALFORMED_MESSAGE: Wording("收到的内容格式不对，无法读取。", "请按详情改正后重新发送。"),
        wire.REASON_MESSAGE_TOO_LARGE: Wording("内容超出大小上限。", "请分几次发送，或确认没有选错文件。"),
        wire.REASON_WRONG_TYPE: Wording(
            "收到的不是这里需要的那类文件或消息。", "请换成正确的文件或消息后重试。"
        ),
        wire.REASON_WRONG_SHAPE: Wording("内容的结构、长度或数量不符合要求。", "请按详情改正后重新发送。"),
        wire.REASON_UNKNOWN_FIELD_VALUE: Wording("有一项取值不在允许范围内。", "请改为允许的取值后重试。"),
        wire.REASON_BODY_TRUNCATED: Wording("附件不完整。", "请把附件完整地重新发送。"),
        wire.REASON_BODY_MISMATCH: Wording("内容与所签署的不一致。", "请完整、按序地发送所签署的内容。"),
        wire.REASON_CONFIGURATION_INVALID: Wording("配置或本地文件有误。", "请按详情改正后重新运行。"),
        wire.REASON_PACK_INVALID: Wording("方法学包不合规范。", "请按详情修改方法学包后重试。"),
        wire.REASON_IDENTIFIER_INVALID: Wording("身份标识的格式不正确。", "请核对后重新输入。"),
        wire.REASON_RECORD_INVALID: Wording("这条行为记录无法采用。", "请按详情改正日期、数量或其他输入。"),
        wire.REASON_PROGRAMME_INVALID: Wording("激励方案不合规范。", "请按详情修改方案后重试。"),
        # Not to be trusted.
        wire.REASON_SIGNATURE_INVALID: Wording(
            "签名无效，或签名数不足。",
            "请勿使用收到的内容；若由您发出，请用已登记的密钥对原文签名。",
        ),
        wire.REASON_KEY_UNKNOWN: Wording("密钥未登记，或不是所需的那一把。", "请核对密钥与最新的信任根。"),
        wire.REASON_KEY_EXPIRED: Wording("签名所用的密钥已不在信任根中。", "请改用现行密钥签名。"),
        wire.REASON_CERTIFICATE_INVALID: Wording(
            "证书缺失、无效或已过期。", "请核对地址与证书，必要时重新申请；核实之前不要信任对方。"
        ),
        wire.REASON_PROOF_INVALID: Wording(
            "密码学证明不成立。", "请勿使用收到的结果，并告知平台运营方与审计方。"
        ),
        wire.REASON_TRUST_ROOT_INVALID: Wording(
            "信任根缺失、不成立，或与本机所知不符。", "请先向信任根的签署方核实，再继续操作。"
        ),
        wire.REASON_CHECKPOINT_INVALID: Wording(
            "日志检查点无效，或见证方不足。", "请等待见证方共签；持续如此请联系平台运营方。"
        ),
        wire.REASON_HISTORY_INCONSISTENT: Wording(
            "历史记录前后不一致。", "请停止操作，原样保留现有文件，并告知平台运营方与审计方。"
        ),
        wire.REASON_BEACON_INVALID: Wording(
            "抽样信标不成立，或未覆盖该承诺。", "请勿据此抽样，并与审计方核实。"
        ),
        # A rule said no.
        wire.REASON_NOT_REGISTERED: Wording("尚未接入，或未列入信任根。", "请先完成接入，并等待信任根列入。"),
        wire.REASON_ROLE_NOT_ALLOWED: Wording("当前身份无权进行这项操作。", "请改用有此权限的身份或证书。"),
        wire.REASON_SEQUENCE_SKIPPED: Wording("序号或版本不连续。", "请先按顺序提交前面的内容。"),
        wire.REASON_WRONG_ORIGIN: Wording("这属于另一个平台的日志。", "请核对日志标识与地址。"),
        wire.REASON_POLICY_NOT_IN_FORCE: Wording(
            "所依据的策略在该周期未生效。", "请读取现行策略后重试，或先发布策略。"
        ),
        wire.REASON_PACK_UNKNOWN: Wording("缺少所需的方法学包。", "请先安装或发布该方法学包。"),
        wire.REASON_BUDGET_EXCEEDED: Wording(
            "超出策略许可的隐私预算。", "该周期不能再计入隐私消耗，请等待下一周期。"
        ),
        wire.REASON_CLAIM_WRONG: Wording(
            "声明的噪声参数或隐私消耗与策略不符。",
            "请按现行策略重新声明；若策略本身有误，请停止发布并告知其签署方。",
        ),
        wire.REASON_ROSTER_WRONG: Wording("名册变更不符合规则。", "请按详情核对登记人数、登记位与生效周期。"),
        wire.REASON_EPOCH_CLOSED: Wording("该周期已结账或已定，不再接受变更。", "请改用尚可变更的周期。"),
        wire.REASON_EPOCH_NOT_READY: Wording("该周期尚未就绪。", "请等周期结束、前面的步骤完成后再试。"),
        wire.REASON_RESERVATION_UNKNOWN: Wording("没有找到对应的预留。", "请核对编号与身份，或先完成预留。"),
        wire.REASON_QUOTA_EXCEEDED: Wording("超出配额或资源上限。", "请减少数量，或申请提高上限。"),
        wire.REASON_RATE_EXCEEDED: Wording("请求过于频繁。", "请稍候再发送同样的请求。"),
        wire.REASON_CEILING_EXCEEDED: Wording("策略超出了设定的上限。", "请调整策略，或由负责人提高上限。"),
        wire.REASON_TOKEN_INVALID: Wording(
            "接入令牌无效、已过期或已被使用。", "请确认复制完整，或向平台运营方索取新的令牌。"
        ),
        wire.REASON_MECHANISM_UNKNOWN: Wording("无法识别所用的加噪机制。", "请使用策略列明的机制。"),
        wire.REASON_SUSPENDED: Wording("该企业已被暂停。", "请联系平台运营方。"),
        wire.REASON_REACH_UNBOUNDED: Wording(
            "无法证明一个人的影响有上限。", "请设置截断，或改用影响有界的公式。"
        ),
        wire.REASON_PROGRAMME_UNKNOWN: Wording(
            "没有这个激励方案，或该版本未生效。", "请重新查看激励方案，按现行版本操作。"
        ),
        wire.REASON_REWARD_UNKNOWN: Wording("激励方案目前没有这项奖励。", "请重新查看方案提供的奖励。"),
        wire.REASON_NOT_ELIGIBLE: Wording("账户尚不符合这项奖励的条件。", "请查看条件，下次结账后再试。"),
        wire.REASON_NOT_ENOUGH_POINTS: Wording("可用的积分或减排量不足。", "请等下次结账入账后再试。"),
        wire.REASON_FUND_EXHAUSTED: Wording(
            "资金暂时不足，或金额与应付不符。", "请等待资金补足，或核对金额。"
        ),
        wire.REASON_ACCOUNT_FROZEN: Wording("碳账户已冻结。", "请向平台运营方了解原因。"),
        wire.REASON_ACCOUNT_CLOSED: Wording("碳账户已注销或已合并。", "请改用仍然有效的碳账户。"),
        wire.REASON_CONTROL_NOT_PROVED: Wording(
            "尚未证明您对该碳账户的控制权。", "请在企业的应用中登录并取得登录凭证后再试。"
        ),
        wire.REASON_TICKET_INVALID: Wording(
            "登录凭证无效或已过期。", "请从企业的应用重新登录，取得新的凭证。"
        ),
        wire.REASON_TICKET_USED: Wording(
            "登录凭证已经用过。", "每张凭证只能用一次，请重新登录取得新的凭证。"
        ),
        wire.REASON_MERGE_TOO_SOON: Wording(
            "碳账户不久前合并过，暂不能再次合并。", "请在详情所示的时间之后再试。"
        ),
        wire.REASON_CAP_REACHED: Wording("已达到每个账户的上限。", "请查看方案规定的上限。"),
        wire.REASON_OUT_OF_STOCK: Wording("奖励或券码的库存不足。", "请减少数量、改选其他奖励，或等待补充。"),
        wire.REASON_RESERVATION_ENDED: Wording(
            "兑换单已结束，或其状态不允许这项操作。", "请先查看兑换单的状态。"
        ),
        wire.REASON_NOTHING_TO_ISSUE: Wording(
            "没有足够的减排量可供签发或处置。", "未签发的仍留在减排池中，请等待后续周期。"
        ),
        wire.REASON_OFFSET_CAP_EXCEEDED: Wording("超出抵销上限。", "请减少用于清缴的吨数。"),
        wire.REASON_NOT_TRANSFERABLE: Wording("该方案的积分不能转赠。"),
        wire.REASON_NOTHING_DUE: Wording(
            "应分的出售所得未达到可领取的最低额。", "请等待减排池的更多批次售出后再领取。"
        ),
        wire.REASON_SELECTION_WRONG: Wording("来源选择与日志不符。", "请按最新日志重新选择后再提交。"),
        wire.REASON_COMMITMENT_MISSING: Wording(
            "日志中还没有发布所需的承诺。", "请先提交承诺，待日志收录后再发布。"
        ),
        wire.REASON_COMMITMENT_CLOSED: Wording(
            "该周期的抽样信标已在生成或已公布，不能再作承诺。", "若因故障错过，请签署无事可报。"
        ),
        # Already there, or two histories.
        wire.REASON_SEQUENCE_REUSED: Wording("该序号或版本已在日志中。", "请从日志读取最新序号后重新签名。"),
        wire.REASON_ALREADY_RELEASED: Wording("该周期已经答复过。", "无须处理；更正请计入以后的周期。"),
        wire.REASON_IDEMPOTENCY_CONFLICT: Wording(
            "同一个幂等键已用于另一项操作。", "新操作请换新的键；重试须与原来完全相同。"
        ),
        wire.REASON_LOG_AHEAD: Wording(
            "日志中有本机没有保存的内容。",
            "请先停止操作，查明是否另有一个实例在运行，或本机是否由旧备份恢复。",
        ),
        wire.REASON_ALREADY_EXISTS: Wording("已经存在，或已经办过。", "请先查看已有的内容，不要重复操作。"),
        wire.REASON_BEACON_KNOWN: Wording("该周期的抽样信标已经公布。", "请直接使用日志中的信标。"),
        # Not now.
        wire.REASON_PEER_UNREACHABLE: Wording(
            "连接不上对方，或对方没有正常应答。", "请检查地址、网络和证书，确认对方在运行，然后重试。"
        ),
        wire.REASON_QUORUM_UNAVAILABLE: Wording(
            "可用的密钥托管方暂时不足。", "请稍后重试，或改请其他托管方。"
        ),
        wire.REASON_BUSY: Wording(
            "暂时繁忙，或所需资源被占用。", "请稍后重试；持续如此请检查端口、内存和磁盘。"
        ),
        wire.REASON_SHUTTING_DOWN: Wording("对方正在停止服务。", "请稍后重新发送同样的内容。"),
        wire.REASON_NOT_FOUND: Wording("没有找到所要的内容。", "请核对名称、编号或路径。"),
        wire.REASON_BODIES_MISSING: Wording("缺少所需的附件。", "请联系平台运营方取得附件。"),
        # Stop.
        wire.REASON_INVARIANT_BROKEN: Wording(
            "程序内部检查未通过，已停止处理。", "请原样保留现有文件，并把此信息告知运营方。"
        ),
    }
)

# What a reason of a later version is called: by its hundred, which says who must act.
_HUNDREDS_ZH: Mapping[int, Wording] = MappingProxyType(
    {
        1: Wording("发送的内容有误。", "请按详情改正后重新发送。"),
        2: Wording("收到的内容不可信。", "请勿使用收到的内容，并查明来源。"),
        3: Wording("规则不允许这项操作。", "请查看现行的策略与信任根。"),
        4: Wording("与已有的内容冲突。", "请先查看已有的内容，再发送其他内容。"),
        5: Wording("暂时无法处理。", "请稍后重试。"),
        9: REASONS_ZH[wire.REASON_INVARIANT_BROKEN],
    }
)


def wording_zh(reason: int) -> Wording:
    """Give a reason's words in Chinese; for a number not known here those of its group."""
    known = REASONS_ZH.get(reason) or _HUNDREDS_ZH.get(reason // 100)
    return known or REASONS_ZH[wire.REASON_UNSPECIFIED]
