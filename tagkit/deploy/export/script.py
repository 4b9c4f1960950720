"""The script of a package: it tags music files with numpy, soundfile, soxr and a runtime, and without tagkit."""

_OPEN = {
    "keras": ("import keras", 'keras.saving.load_model(HERE / "model.keras")', "net.predict_on_batch(x)"),
    "savedmodel": ("import tensorflow as tf", 'tf.saved_model.load(HERE / "savedmodel")', "net.serve(x).numpy()"),
    "onnx": (
        "import onnxruntime",
        'onnxruntime.InferenceSession(HERE / "model.onnx")',
        'net.run(None, {"waveform": x})[0]',
    ),
    "litert": (
        "from ai_edge_litert.interpreter import Interpreter",
        'Interpreter(str(HERE / "model.tflite")).get_signature_runner()',
        'net(waveform=x)["output_0"]',
    ),
}

_SCRIPT = '''\
"""Tag a music file with the network in this folder: python tag.py SONG."""

import contextlib
import json
import re
import shutil
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import soundfile
import soxr
IMPORT

HERE = Path(__file__).resolve().parent
ABOUT = json.loads((HERE / "model.json").read_text(encoding="utf-8"))
SR, WINDOW, TAGS = ABOUT["sample_rate"], ABOUT["window"], ABOUT["tags"]
CENTRE, REAR = 0.5**0.5, 0.5**1.5
SURROUND = {  # ITU-R BS.775, in the order of channels that WAV and FLAC have
    3: (0.5, 0.5, CENTRE),
    4: (0.5, 0.5, REAR, REAR),
    5: (0.5, 0.5, CENTRE, REAR, REAR),
    6: (0.5, 0.5, CENTRE, 0, REAR, REAR),
    7: (0.5, 0.5, CENTRE, 0, 0.5, REAR, REAR),
    8: (0.5, 0.5, CENTRE, 0, REAR, REAR, REAR, REAR),
}


class Unusable(Exception):
    """The file cannot be tagged."""


def read(path):
    """All of a file as mono int16 at the network's rate, block by block."""
    if not Path(path).is_file():
        raise Unusable("is not a file; check the path")
    with open(path, "rb") as file:
        try:
            with soundfile.SoundFile(file) as sound:
                frames = [0]
                for declared, held in re.findall(r"(?:data|SSND) : (\\d+) \\(should be (\\d+)\\)", sound.extra_info):
                    if int(held) + 8 < int(declared) < 0x7FFF0000:
                        raise Unusable(f"is truncated: {held} of {declared} bytes of sound are there; fetch it again")
                y = mono(counted(sound.blocks(1 << 16, dtype="float32", always_2d=True), frames), sound.samplerate)
                left = Path(path).stat().st_size - file.tell()
                if frames[0] < sound.frames - sound.samplerate // 10 and sound.format != "MP3":
                    raise Unusable(f"is truncated: {frames[0]} of {sound.frames} samples are there; fetch it again")
                if left <= 1 << 14:
                    return y
        except soundfile.LibsndfileError as error:
            reason = error.error_string.removeprefix("Error : ").rstrip(".")
        else:
            reason = f"is longer than its header says: {left} bytes are left"
    with by_ffmpeg(path, reason) as (blocks, sr):
        return mono(blocks, sr)


def counted(blocks, frames):
    for block in blocks:
        frames[0] += len(block)
        yield block


@contextlib.contextmanager
def by_ffmpeg(path, reason):
    ffmpeg = shutil.which("ffmpeg")
    if ffmpeg is None:
        raise Unusable(f"cannot be read ({reason}), and ffmpeg, which might, is not installed; convert it to FLAC")
    command = [ffmpeg, "-nostdin", "-v", "error", "-i", f"file:{path}", "-map", "0:a:0", "-c:a", "pcm_f32be"]
    with subprocess.Popen([*command, "-f", "au", "-"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        head = process.stdout.read(24)
        if len(head) < 24:
            raise Unusable(f"is no audio file that can be decoded ({reason})")
        offset, _, _, sr, channels = struct.unpack(">4x5I", head)
        process.stdout.read(offset - 24)
        size = 4 * channels << 16
        data = iter(lambda: process.stdout.read(size), b"")
        whole = (d[: len(d) - len(d) % (4 * channels)] for d in data)
        yield (np.frombuffer(d, ">f4").astype("f4").reshape(-1, channels) for d in whole), sr
    if process.returncode:
        raise Unusable("is damaged; fetch it again")


def mono(blocks, sr):
    """Mixed down, resampled, rounded to 16 bits, without an offset."""
    resample = soxr.ResampleStream(sr, SR, 1, dtype="float32", quality="HQ")
    pieces, before, after = [], 0.0, 0.0
    for block in blocks:
        peak = np.abs(block).max(initial=0)
        if not np.isfinite(peak):
            raise Unusable("holds NaN or infinity among its samples; export it again")
        if peak > 100:
            raise Unusable(f"has samples up to {peak:.4g} where full scale is 1; scale it, or fetch it again")
        channels = block.shape[1]
        mixed = block @ np.array(SURROUND.get(channels, [1 / channels] * channels), "f4")
        before, after = before + np.square(block).sum(axis=0).max(), after + np.square(mixed).sum()
        y = mixed if sr == SR else resample.resample_chunk(np.ascontiguousarray(mixed))
        pieces.append(np.rint(y * 32768).clip(-32768, 32767).astype("i2"))
    if sr != SR:
        y = resample.resample_chunk(np.zeros(0, "f4"), last=True)
        pieces.append(np.rint(y * 32768).clip(-32768, 32767).astype("i2"))
    if not sum(map(len, pieces)):
        raise Unusable("holds no audio")
    if after < 0.01 * before:
        raise Unusable("has channels that cancel each other when they are mixed; keep one of them")
    y = np.concatenate(pieces)
    offset = round(float(y.mean(dtype="f8")))
    return y if abs(offset) <= 32.768 else (y.astype("i4") - offset).clip(-32768, 32767).astype("i2")


def score(y):
    """The mean over the windows that cover the file, a batch at a time."""
    net = OPEN
    starts = np.linspace(0, max(len(y) - WINDOW, 0), -(-len(y) // WINDOW)).round().astype(int)
    total = 0.0
    for k in range(0, len(starts), 32):
        x = np.zeros((len(starts[k : k + 32]), WINDOW), "f4")
        for row, start in zip(x, starts[k : k + 32]):
            row[:] = np.resize(y[start : start + WINDOW], WINDOW).astype("f4") / 32768  # short: repeated
        total += np.asarray(SCORES).sum(axis=0, dtype="f8")
    return total / len(starts)


def main(path):
    try:
        y = read(path)
    except (Unusable, OSError) as error:
        sys.exit(f"{path} {error}.")
    if np.abs(y.astype("i4")).max() <= 3:
        print("silence")
        return
    if len(y) < WINDOW:
        print(f"{path} lasts {len(y) / SR:.2f} s and is repeated to fill a window.", file=sys.stderr)
    scores = score(y)
    for k in np.argsort(-scores, kind="stable"):
        print(f"{scores[k]:.6f} {TAGS[k]}")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("Use: python tag.py SONG")
    main(sys.argv[1])
'''


def script(form: str) -> str:
    """Python that tags a file with a package of this format, wherever it is called from."""
    module, network, scores = _OPEN[form]
    return _SCRIPT.replace("IMPORT", module, 1).replace("net = OPEN", f"net = {network}").replace("SCORES", scores)
