"""Making a custodian's home, and the program's commands over it."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from custodian.ceremony import Recipient
from custodian.cli import custodian
from custodian.configuration import Home
from custodian.doctor import examine
from custodian.setup import Opened, import_share, init_home
from custodian.status import describe
from privacy.keys import VerifyKey
from protos.problems import Conflict, Malformed, Problem, Refused, Unavailable, Unverified
from protos.v1.problem_pb2 import REASON_TOKEN_INVALID, REASON_TRUST_ROOT_INVALID
from runtime.addresses import parse_address
from runtime.authority import CertificateAuthority
from runtime.identity import Role, SpiffeName
from runtime.joining import JoinRequest, JoinToken, join_response, new_token_secret, verify_join_request
from runtime.problems import http_body, outcome
from tests.unit.custodian.simulators import (
    CUSTODIANS,
    DOMAIN,
    ORIGIN,
    Federation,
    enterprise,
    sealing_key,
    signing_key,
)
from tests.unit.runtime.https_server import HttpsServer


class JoinDesk:
    """The hub's HTTPS face: hands out tokens, takes each once, issues certificates, shows the log."""

    def __init__(self, authority: CertificateAuthority, log: Path) -> None:
        self.authority = authority
        self.log = log
        self.invited: dict[str, tuple[Role, str]] = {}
        self.joined: list[JoinRequest] = []
        identity = authority.issue_identity(SpiffeName(DOMAIN, Role.HUB, "hub"), server_names=("127.0.0.1",))
        self.server = HttpsServer(identity, self.answer)

    def invite(self, party: str, role: Role = Role.CUSTODIAN) -> str:
        secret = new_token_secret()
        self.invited[secret] = (role, party)
        return JoinToken(
            hub=self.server.address,
            ca=self.authority.fingerprint,
            secret=secret,
            role=role,
            id=party,
            origin=ORIGIN,
        ).encode()

    def answer(self, path: str, body: bytes) -> tuple[int, Mapping[str, str], bytes]:
        if path == "/v1/ca":
            return 200, {}, self.authority.ca_pem
        if path == "/v1/join":
            try:
                return 200, {}, json.dumps(self.join(body)).encode()
            except Problem as problem:
                return outcome(problem.reason).http_status, {}, json.dumps(http_body(problem)).encode()
        file = self.log / path.lstrip("/")
        return (200, {}, file.read_bytes()) if file.is_file() else (404, {}, b"")

    def join(self, body: bytes) -> dict[str, Any]:
        request = verify_join_request(body)
        role, party = self.invited.pop(request.token_secret, (None, ""))
        if role is None:
            raise Refused(REASON_TOKEN_INVALID, "The token has been used.")
        self.joined.append(request)
        host = parse_address(request.address).host
        return join_response(
            certificate_pem=self.authority.issue(
                request.csr_pem, SpiffeName(DOMAIN, role, party), server_names=(host,)
            ),
            ca_pem=self.authority.ca_pem,
            grpc_address="127.0.0.1:1",
            https_address=self.server.address,
            origin=ORIGIN,
            trust_root=None,
        )


@pytest.fixture
def desk(authority: CertificateAuthority, tmp_path: Path) -> Iterator[JoinDesk]:
    (tmp_path / "public").mkdir()
    made = JoinDesk(authority, tmp_path / "public")
    with made.server:
        yield made


Run = Callable[..., dict[str, Any]]


@pytest.fixture
def run() -> Run:
    """Run a command of the program and give its JSON."""

    def command(*arguments: str | Path, exit_code: int = 0) -> dict[str, Any]:
        result = CliRunner().invoke(
            custodian, [*map(str, arguments), "--json"], standalone_mode=False, catch_exceptions=False
        )
        assert (result.return_value or 0) == exit_code, result.output
        answer: dict[str, Any] = json.loads(result.output)
        return answer

    return command


def test_init_makes_keys_joins_and_keeps_its_address(desk: JoinDesk, tmp_path: Path) -> None:
    opened = init_home(tmp_path / "home", desk.invite("auditor"), listen="127.0.0.1:0")
    request = desk.joined[0]
    assert request.public_key == opened.home.signing_key().verify_key.public
    assert request.sealing_key == opened.home.sealing_key().public
    assert request.address == opened.settings.listen
    assert parse_address(opened.settings.listen).port > 0
    recipient = Recipient.decode(opened.home.public.read_bytes())
    assert (recipient.id, recipient.key.public) == ("auditor", request.public_key)
    assert Opened.load(tmp_path / "home").settings == opened.settings
    for name in ("signing.key", "sealing.key", "tls.key.pem", "custodian.toml"):
        assert (tmp_path / "home" / name).stat().st_mode & 0o777 == 0o600


def test_init_again_renews_the_certificate_and_nothing_else(desk: JoinDesk, tmp_path: Path) -> None:
    first = init_home(tmp_path / "home", desk.invite("auditor"), listen="127.0.0.1:0")
    certificate, key = first.identity().certificate_pem, first.home.signing_key()
    again = init_home(tmp_path / "home", desk.invite("auditor"), listen="127.0.0.1:0")
    assert again.settings == first.settings
    assert again.home.signing_key() == key
    assert again.identity().certificate_pem != certificate
    with pytest.raises(Conflict):
        init_home(tmp_path / "home", desk.invite("operator"), listen="127.0.0.1:0")


def test_init_that_was_interrupted_goes_on_with_its_keys(desk: JoinDesk, tmp_path: Path) -> None:
    used = desk.invite("auditor")
    desk.invited.clear()
    with pytest.raises(Refused):
        init_home(tmp_path / "home", used, listen="127.0.0.1:0")
    key = Home(tmp_path / "home").signing_key()
    opened = init_home(tmp_path / "home", desk.invite("auditor"), listen="127.0.0.1:0")
    assert opened.home.signing_key() == key


def test_token_of_another_role_is_refused(desk: JoinDesk, tmp_path: Path) -> None:
    with pytest.raises(Refused):
        init_home(tmp_path / "home", desk.invite("bikeshare", Role.NODE), listen="127.0.0.1:0")


def imported(federation: Federation, tmp_path: Path, root: bytes | None = None) -> Opened:
    opened = federation.home("auditor")
    opened.home.share().unlink(missing_ok=True)
    opened.home.trust_root.unlink(missing_ok=True)
    (tmp_path / "a.share").write_bytes(federation.ceremony.sealed_shares["auditor"])
    (tmp_path / "root").write_bytes(root or federation.roots[0])
    import_share(opened.home.folder, tmp_path / "a.share", tmp_path / "root")
    return opened


def test_share_is_imported_and_the_trust_root_pinned(federation: Federation, tmp_path: Path) -> None:
    opened = imported(federation, tmp_path)
    assert opened.resting_share.read().share.index == 2
    assert opened.pinned_trust_root() == federation.roots[0]
    import_share(opened.home.folder, tmp_path / "a.share", tmp_path / "root")


def test_passphrase_file_is_remembered(federation: Federation, tmp_path: Path) -> None:
    opened = imported(federation, tmp_path)
    (tmp_path / "passphrase").write_text("correct horse")
    import_share(
        opened.home.folder,
        tmp_path / "a.share",
        tmp_path / "root",
        passphrase_file=str(tmp_path / "passphrase"),
    )
    again = Opened.load(opened.home.folder)
    assert again.settings.passphrase_file == str(tmp_path / "passphrase")
    assert again.resting_share.read().share.index == 2
    with pytest.raises(Unverified):
        opened.resting_share.read()


def test_trust_root_of_other_hands_is_refused(federation: Federation, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    stranger = Federation.build(other, CertificateAuthority.create(DOMAIN))
    with pytest.raises(Unverified):
        imported(federation, tmp_path, stranger.roots[0])
    with pytest.raises((Malformed, Unverified)):
        imported(federation, tmp_path, federation.roots[0][:-1] + b"\x00")
    with pytest.raises(Malformed):
        imported(federation, tmp_path, b"no envelope")


def test_trust_root_with_another_key_in_this_custodians_place_is_refused(
    federation: Federation, tmp_path: Path
) -> None:
    opened = federation.home("auditor")
    opened.home.write_keys(signing_key("somebody"), opened.home.sealing_key())
    with pytest.raises(Unverified) as caught:
        imported(federation, tmp_path)
    assert caught.value.reason == REASON_TRUST_ROOT_INVALID


def test_another_first_trust_root_is_a_conflict(federation: Federation, tmp_path: Path) -> None:
    opened = imported(federation, tmp_path)
    federation.roots.clear()
    federation.publish_root(enterprise(quota=7))
    (tmp_path / "root").write_bytes(federation.roots[0])
    with pytest.raises(Conflict):
        import_share(opened.home.folder, tmp_path / "a.share", tmp_path / "root")


def test_status_says_quotas_and_counts(federation: Federation) -> None:
    from custodian.store import Batch, Store

    opened = federation.home("auditor")
    store = Store(opened.home.database)
    store.charge(Batch("bikeshare", federation.ceremony.key.key_id, bytes(32), 11), 600)
    store.close()
    found = describe(opened.home.folder)
    assert found["enterprises"] == {"bikeshare": {"used": 11, "granted": 600, "suspended": False}}
    assert (found["index"], found["threshold"], found["unreported"]) == (2, 2, 11)


def test_doctor_names_what_is_wrong(federation: Federation, tmp_path: Path) -> None:
    opened = federation.home("auditor")
    found = {check.name: check for check in examine(opened.home.folder)}
    assert [name for name, check in found.items() if not check.is_good] == ["hub's log"]
    opened.home.share().unlink()
    broken = {check.name: check for check in examine(opened.home.folder)}
    assert not broken["share"].is_good
    assert "import-share" in broken["share"].remedy
    assert "FAIL share" in str(broken["share"])
    assert not examine(tmp_path / "nowhere")[-1].is_good


def test_commands_from_token_to_status(
    desk: JoinDesk, run: Run, tmp_path: Path, authority: CertificateAuthority
) -> None:
    homes = {name: tmp_path / f"home-{name}" for name in CUSTODIANS}
    for name, home in homes.items():
        made = run("init", "--home", home, "--token", desk.invite(name))
        assert made["id"] == name
    recipients = [f"--recipient={name}={home / 'custodian.pub'}" for name, home in homes.items()]
    dealt = run("ceremony", "--threshold", "2", *recipients, "--out", tmp_path / "shares")
    described = json.loads((tmp_path / "shares" / "pseudonym-key.json").read_text())
    assert described["key_id"] == dealt["key_id"]
    _publish(tmp_path, authority, homes, described)
    for name, home in homes.items():
        taken = run(
            *("import-share", "--home", home, tmp_path / "shares" / f"{name}.share"),
            *("--trust-root", tmp_path / "root"),
        )
        assert taken["index"] == CUSTODIANS.index(name) + 1
        assert run("status", "--home", home)["key_id"] == dealt["key_id"]
        checks = run("doctor", "--home", home)
        assert checks["ok"], checks


def _publish(
    tmp_path: Path, authority: CertificateAuthority, homes: dict[str, Path], described: dict[str, Any]
) -> None:
    """Publish a trust root with the ceremony's key and the custodians' real keys, as the hub's signers do."""
    from privacy import codec, envelope
    from privacy.envelope import Kind

    work = tmp_path / "work"
    work.mkdir()
    federation = Federation.build(work, authority)
    message = federation._root_message([enterprise()])
    message.version = 1
    message.pseudonym_key.key_id = bytes.fromhex(described["key_id"])
    del message.pseudonym_key.commitments[:]
    message.pseudonym_key.commitments.extend(bytes.fromhex(item) for item in described["commitments"])
    for entry in message.custodians:
        key: VerifyKey = Home(homes[entry.id]).signing_key().verify_key
        entry.key.CopyFrom(key.to_wire())
    data = envelope.sign(codec.encode(message), Kind.TRUST_ROOT, [signing_key("root")])
    (tmp_path / "root").write_bytes(data)
    federation.hub.folder = tmp_path / "public"
    federation.hub.entries.clear()
    federation.hub.publish(data)


@pytest.mark.parametrize("recipient", ["auditor", "auditor=", "=file"])
def test_bad_recipients_are_a_usage_error(recipient: str, tmp_path: Path) -> None:
    result = CliRunner().invoke(
        custodian, ["ceremony", "--threshold", "1", "--recipient", recipient, "--out", str(tmp_path / "out")]
    )
    assert result.exit_code != 0
    assert not (tmp_path / "out").exists()


def test_home_without_settings_is_named(tmp_path: Path) -> None:
    (tmp_path / "home").mkdir(mode=0o700)
    with pytest.raises(Unavailable) as caught:
        Opened.load(tmp_path / "home")
    assert "custodian.toml" in caught.value.message
    damaged = Home(tmp_path / "home")
    damaged.write_keys(signing_key("x"), sealing_key("x"))
    (tmp_path / "home" / "sealing.key").write_bytes(os.urandom(40))
    with pytest.raises(Malformed):
        damaged.sealing_key()
