import re
from pathlib import Path

from tagkit import cli
from tagkit.graph import zoo


def test_a_dry_run_says_what_training_takes_and_keeps_nothing(tone_records, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    command = ["train", "--model", "ds256ra", "--records", str(tone_records.root), "--dry-run", "--steps", "700"]
    assert cli.main([*command, "--eval-every", "350", "--batch-size", "4"]) == 0
    shown = capsys.readouterr().out
    parameters = zoo.describe("ds256ra", 3)["parameters"]
    assert f"ds256ra has {parameters:,} parameters and sees a window of 2.43 s; 23 clips to train on and 6" in shown
    step, validation = map(float, re.search(r"([\d.]+) s a step and ([\d.]+) s a validation", shown).groups())
    hours, minutes, seconds = map(int, re.search(r"(\d+):(\d\d):(\d\d) \(h:mm:ss\)", shown).groups())
    total = 3600 * hours + 60 * minutes + seconds
    assert abs(total - (700 * step + 2 * validation)) < 1 + 700 * 0.0005 + 2 * 0.05
    assert "seed             0" in shown and re.search(r"Memory: \d+\.\d GB of this process", shown)
    assert list(Path(tmp_path).iterdir()) == []


def test_only_a_dry_run_needs_no_folder(tone_records, capsys):
    assert cli.main(["train", "--model", "ds256ra", "--records", str(tone_records.root)]) == 1
    assert "Name the run folder with --out" in capsys.readouterr().err
