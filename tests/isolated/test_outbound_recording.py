"""What counts as an outbound attempt, and how a recording is read; needs neither root nor a kernel."""

from __future__ import annotations

import json

import pytest

from .outbound import Attempt, parse_recording, program


def attempt(address: str, port: int = 443, family: int = 2, call: str = "connect") -> Attempt:
    return Attempt(call, 7, "python3", "bash", family, address, port, network=1, processes=2)


def printed(text: str) -> str:
    return json.dumps({"type": "printf", "data": text}) + "\n"


LINE = "attempt\tconnect\t4711\t2\t192.0.2.1\t443\t4026532177\t4026531999\tbash\tpython3\n"


@pytest.mark.parametrize("address", ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1", "0.0.0.0", "::"])
def test_loopback_is_not_outbound(address: str) -> None:
    assert not attempt(address).is_outbound


@pytest.mark.parametrize(
    "address", ["192.0.2.1", "10.0.0.5", "169.254.1.1", "224.0.0.251", "2001:db8::1", "fe80::1"]
)
def test_every_other_address_is_outbound(address: str) -> None:
    assert attempt(address).is_outbound


def test_a_mapped_address_is_judged_by_what_it_maps() -> None:
    assert attempt("::ffff:192.0.2.1", family=10).is_outbound


def test_a_name_server_on_loopback_is_outbound() -> None:
    assert attempt("127.0.0.1", port=53).is_outbound


def test_a_call_whose_peer_cannot_be_read_is_outbound() -> None:
    assert attempt("", port=0, family=0, call="io_uring").is_outbound


def test_a_printed_attempt_is_read_back() -> None:
    recording = parse_recording([printed(LINE)])
    assert recording.attempts == (
        Attempt("connect", 4711, "python3", "bash", 2, "192.0.2.1", 443, 4026532177, 4026531999),
    )
    assert str(recording.attempts[0]) == "connect to 192.0.2.1:443 by python3 (pid 4711, started by bash)"


def test_a_command_with_a_tab_in_its_name_hides_nothing() -> None:
    text = LINE.replace("python3", "py\tthon")
    assert parse_recording([printed(text)]).attempts[0].address == "192.0.2.1"


def test_lost_events_are_added_up() -> None:
    lost = json.dumps({"type": "lost_events", "data": {"events": 3}}) + "\n"
    assert parse_recording([lost, printed(LINE), lost]).lost == 6


def test_a_line_still_being_written_is_left_for_later() -> None:
    assert (
        parse_recording([printed(LINE), printed(LINE)[:40]]).attempts
        == parse_recording([printed(LINE)]).attempts
    )


def test_an_unreadable_recording_is_an_error_and_not_an_empty_one() -> None:
    with pytest.raises(ValueError):
        parse_recording(["what is this\n"])


def test_the_program_watches_every_call_that_names_a_peer_and_leaves_this_machine_out() -> None:
    text = program(own_network=4026531833)
    for call in ("connect", "sendto", "sendmsg", "sendmmsg", "io_uring_setup"):
        assert (
            f"tracepoint:syscalls:sys_enter_{call} /curtask->nsproxy->net_ns->ns.inum != 4026531833/" in text
        )
