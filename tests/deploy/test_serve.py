"""The server, as a process of its own, under good, bad, large, slow and many uploads."""

import asyncio
import concurrent.futures
import contextlib
import json
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import quote

import numpy as np
import pytest
import requests
import soundfile

from tagkit import audio
from tagkit.deploy import serve
from tagkit.evaluation import familiar
from tagkit.evaluation.familiar import Familiar
from tagkit.evaluation.tag import Tagger
from tagkit.training.runs import Run

SR = 16_000
MEGABYTES, MINUTES, TIMEOUT_S = 3, 1, 60
# Nothing of this kind may be in an answer: folders of this machine, code, or versions.
LEAKS = re.compile(
    "|".join(map(re.escape, ("/tmp", "/var", "/home", "/root", "/usr", str(Path.home()), str(Path.cwd()))))
    + r"|tagkit-|upload\.|Traceback|File \"|site-packages|\.py\b|uvicorn|starlette"
)


class Server:
    """`tagkit serve` in a process of its own."""

    def __init__(self, run: Run, log: Path):
        command = [sys.executable, "-m", "tagkit.cli", "serve", "--run", str(run.root), "--port", "0"]
        command += ["--max-megabytes", str(MEGABYTES), "--max-minutes", str(MINUTES), "--timeout", str(TIMEOUT_S)]
        self.log = log
        with log.open("w") as stderr:
            self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=stderr, text=True)
        self.url = re.search(r"http://\S+", self.process.stdout.readline())[0].rstrip(";")

    def post(self, content, name="song.wav", headers=None, **more) -> requests.Response:
        mark = {"X-Tagkit": "1", "X-File-Name": quote(name)} if headers is None else headers
        return requests.post(f"{self.url}/tag", data=content, headers=mark, timeout=180, **more)

    def raw(self, content: bytes, seconds: float = 30) -> bytes:
        """Send bytes as they are, close the sending side, and read what comes before the server hangs up."""
        host, port = self.url.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port)), timeout=seconds) as connection:
            answer = b""
            with contextlib.suppress(ConnectionResetError, BrokenPipeError):
                connection.sendall(content)
                connection.shutdown(socket.SHUT_WR)
                while part := connection.recv(65_536):
                    answer += part
            return answer


@pytest.fixture(scope="module")
def server(run, tmp_path_factory):
    running = Server(run, tmp_path_factory.mktemp("log") / "stderr.txt")
    yield running
    running.process.send_signal(signal.SIGINT)
    assert running.process.communicate(timeout=60)[0] == "Stopped.\n"
    assert running.process.returncode == 0
    assert "Traceback" not in running.log.read_text(), running.log.read_text()


def encoded(tmp_path, suffix, seconds=5.0, seed=0, sr=SR):
    path = tmp_path / f"{seed}{suffix}"
    audio.save(path, np.random.default_rng(seed).normal(0, 0.1, round(seconds * sr)), sr)
    return path


def test_an_upload_gets_the_scores_of_the_file(server, run, tmp_path):
    path = encoded(tmp_path, ".flac", sr=44_100)
    answer = server.post(path.read_bytes(), "Lied über Äpfel.flac")
    assert answer.status_code == 200
    dots = server.post(path.read_bytes(), "Lied. " + "Äpfel 🍎" * 12)
    assert dots.status_code == 200 and dots.json()["scores"] == answer.json()["scores"]
    content = answer.json()
    tagger = Tagger(run)
    np.testing.assert_allclose([content["scores"][t] for t in tagger.tags], tagger(path).scores, atol=1e-5)
    assert content["name"] == "Lied über Äpfel.flac" and content["duration_s"] == pytest.approx(5)
    fine = tagger(path, hop_s=0.5)
    order = [tagger.tags.index(t) for t in content["taggram"]["tags"]]
    np.testing.assert_allclose(content["taggram"]["scores"], fine.window_scores[:, order].T, atol=6e-4)
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_what_is_unusual_about_a_file_is_said(server, run, tmp_path):
    short = encoded(tmp_path, ".flac", seconds=0.5)
    (remark,) = server.post(short.read_bytes()).json()["remarks"]
    assert remark.startswith("It lasts 0.50 s and is repeated to fill a window of")
    vectors = np.zeros((1, *familiar.embedding(run.model()).shape[1:]), np.float32)
    heard = Familiar(vectors, np.zeros(39), np.array([-30.0, -10.0]), {})  # its clips are one sound, and no noise
    status, body = asyncio.run(ask(serve.create_app(Tagger(run, heard=heard)), encoded(tmp_path, ".wav").read_bytes()))
    assert status == 200 and json.loads(body)["remarks"][0].startswith("It is unlike the 1 clips")


def test_the_page_states_the_calibration_and_the_limits(server):
    about = requests.get(f"{server.url}/about", timeout=60).json()
    assert about["tags"] == ["low", "middle", "high"] and about["megabytes"] == MEGABYTES
    assert "6 clips of the valid part" in about["calibration"]
    assert "Tag your music" in requests.get(server.url, timeout=60).text


def malformed(tmp_path) -> dict[str, tuple]:
    """Twenty uploads that cannot be tagged: what is sent, and the status that must come back."""
    good = encoded(tmp_path, ".wav").read_bytes()
    soundfile.write(tmp_path / "nan.wav", np.full(SR, np.nan), SR, "FLOAT")
    nan = (tmp_path / "nan.wav").read_bytes()
    long = encoded(tmp_path, ".ogg", seconds=MINUTES * 60 + 5, seed=9).read_bytes()
    noise = np.random.default_rng(3).bytes
    return {
        "nothing": (b"", "a.mp3", 400),
        "text": (b"This is no sound.", "a.mp3", 415),
        "noise": (noise(100_000), "a.mp3", 415),
        "zeros": (bytes(100_000), "a.flac", 415),
        "half a WAV": (good[: len(good) // 2], "a.wav", 415),
        "a WAV's head": (good[:44], "a.wav", 415),
        "half an Ogg": (long[: len(long) // 2], "a.ogg", 415),
        "no numbers": (nan, "a.wav", 415),
        "a page": (b"<html><script>alert(1)</script></html>", "<script>alert(1)</script>.html", 415),
        "an archive": (b"PK\x03\x04" + noise(5_000), "a.zip", 415),
        "a picture": (b"\x89PNG\r\n\x1a\n" + noise(5_000), "a.png", 415),
        "a playlist": (b"#EXTM3U\n/etc/passwd\n", "a.m3u8", 415),
        "a script of ffmpeg's": (b"ffconcat version 1.0\nfile '/etc/passwd'\n", "a.ffconcat", 415),
        "a name with folders": (b"x", "../../../../etc/passwd", 415),
        "a name of Windows": (b"x", "C:\\Windows\\system.ini", 415),
        "a name with line breaks": (b"x", "a\r\nX-Evil: 1\r\n.mp3", 415),
        "a very long name": (b"x", "a" * 5_000 + ".mp3", 415),
        "a name without letters": (b"x", "\0\0", 415),
        "too large": (bytes(int(MEGABYTES * 1e6) + 1), "a.wav", 413),
        "too long": (long, "a.ogg", 413),
    }


def test_fifty_at_once_of_which_twenty_are_malformed(server, run, tmp_path):
    """All good ones are tagged right, all bad ones refused in one sentence, and the server lives on."""
    bad = malformed(tmp_path)
    assert len(bad) == 20
    good = [encoded(tmp_path, (".wav", ".flac", ".mp3", ".ogg", ".m4a")[k % 5], 2 + k / 4, 100 + k) for k in range(30)]
    jobs = [(path.read_bytes(), path.name, 200) for path in good] + list(bad.values())
    jobs = [jobs[k] for k in np.random.default_rng(0).permutation(50)]
    with concurrent.futures.ThreadPoolExecutor(50) as pool:
        answers = list(pool.map(lambda job: server.post(job[0], job[1]), jobs))
    tagger = Tagger(run)
    places = {path.name: path for path in good}
    for (_, name, status), answer in zip(jobs, answers, strict=True):
        assert answer.status_code == status, (name[:40], answer.text)
        assert not LEAKS.search(answer.text), answer.text
        if status == 200:
            scores = [answer.json()["scores"][t] for t in tagger.tags]
            np.testing.assert_allclose(scores, tagger(places[name]).scores, atol=1e-5)
        else:
            reason = answer.json()["error"]
            assert len(reason) < 400 and "\n" not in reason
    assert server.process.poll() is None
    assert server.post(good[0].read_bytes()).status_code == 200


def test_what_is_no_http_does_not_stop_it(server):
    head = b"POST /tag HTTP/1.1\r\nHost: localhost\r\nX-Tagkit: 1\r\n"
    for content in (
        b"\x00\x01\x02\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        head + b"Content-Length: 1000000\r\n\r\nonly this",
        head + b"Content-Length: -5\r\n\r\n",
        head + b"Transfer-Encoding: chunked\r\n\r\nZZZ\r\n",
        head + b"X-File-Name: %ff%fe%00\r\nContent-Length: 1\r\n\r\nx",
        b"GET /../../../etc/passwd HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + b"X-Long: " + b"a" * 200_000 + b"\r\n\r\n",
    ):
        answer = server.raw(content).decode(errors="replace")
        assert " 200 " not in answer.partition("\r\n")[0] and not LEAKS.search(answer), (content[:60], answer)
    assert requests.get(server.url, timeout=60).status_code == 200


def test_another_site_cannot_use_it(server):
    wav = b"RIFF"
    assert server.post(wav, headers={}).status_code == 403
    assert requests.get(server.url, headers={"Host": "evil.example"}, timeout=60).status_code == 400
    preflight = requests.options(f"{server.url}/tag", headers={"Origin": "http://evil.example"}, timeout=60)
    assert preflight.status_code == 405 and "access-control-allow-origin" not in preflight.headers


async def ask(app, *bodies: bytes, stall: bool = False) -> tuple[int, bytes]:
    """One upload straight at the application: the status and the answer. It may stall instead of ending."""
    scope = {"type": "http", "method": "POST", "path": "/tag", "query_string": b"", "http_version": "1.1"}
    scope |= {"headers": [(b"host", b"localhost"), (b"x-tagkit", b"1")], "scheme": "http", "root_path": ""}
    messages = [{"type": "http.request", "body": body, "more_body": True} for body in bodies]
    messages += [] if stall else [{"type": "http.request", "body": b"", "more_body": False}]
    sent = []

    async def receive():
        if not messages:
            await asyncio.sleep(3600)
        return messages.pop(0)

    async def send(message):
        sent.append(message)

    await app(scope, receive, send)
    return sent[0]["status"], sent[1]["body"]


def test_a_slow_upload_is_cut_off(run):
    app = serve.create_app(Tagger(run), limits=serve.Limits(upload_s=0.2))
    started = time.monotonic()
    status, body = asyncio.run(ask(app, b"RIFF", stall=True))
    assert status == 408 and b"longer than 0.2 s" in body
    assert time.monotonic() - started < 10


def test_who_waits_too_long_is_told_to_come_back(run, tmp_path):
    app = serve.create_app(Tagger(run), limits=serve.Limits(at_once=1, wait_s=0.01))
    content = encoded(tmp_path, ".flac", seconds=120).read_bytes()

    async def both():
        return await asyncio.gather(ask(app, content), ask(app, content))

    answers = sorted(asyncio.run(both()))
    assert [status for status, _ in answers] == [200, 503]
    assert b"try again" in answers[1][1]


@pytest.mark.parametrize(
    ("header", "name"),
    [("song.mp3", "song.mp3"), ("..%2F..%2Fa%20b.mp3", "a b.mp3"), ("C%3A%5Cx%5Cy.wav", "y.wav"), ("", "The file")],
)
def test_names_are_shown_without_folders(header, name):
    assert serve.file_name(header) == name


def test_a_taken_port_is_one_sentence(run, capsys):
    from tagkit import cli

    with socket.create_server(("127.0.0.1", 0)) as taken:
        assert cli.main(["serve", "--run", str(run.root), "--port", str(taken.getsockname()[1])]) == 1
    assert "in use" in capsys.readouterr().err


@pytest.mark.real_data
def test_thirty_real_recordings_at_once(server, run, real_data):
    clips = [p for p in sorted((real_data / "mini-mtat" / "mp3").rglob("*.mp3")) if p.stat().st_size > 100_000][:30]
    with concurrent.futures.ThreadPoolExecutor(30) as pool:
        answers = list(pool.map(lambda path: server.post(path.read_bytes(), path.name), clips))
    tagger = Tagger(run)
    for path, answer in zip(clips, answers, strict=True):
        assert answer.status_code == 200, answer.text
        np.testing.assert_allclose([answer.json()["scores"][t] for t in tagger.tags], tagger(path).scores, atol=1e-5)
