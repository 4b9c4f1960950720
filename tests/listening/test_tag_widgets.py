import datetime
import html
import json
import re

import numpy as np
import pytest

from tagkit import audio
from tagkit.evaluation.tag import Tagger
from tagkit.listening import tag_widgets, taggram

SR = 16_000


@pytest.fixture(scope="module")
def tagger(run) -> Tagger:
    return Tagger(run, batch_size=8)


def sound(seconds=5.0):
    return (0.1 * np.random.default_rng(0).standard_normal(round(seconds * SR))).astype(np.float32)


def shown(output) -> dict:
    """The numbers in the frame."""
    page = html.unescape(re.search(r'srcdoc="([^"]*)"', output.data)[1])
    return json.loads(page.split('id="data">')[1].split("</script>")[0])


def test_the_frame_holds_the_finer_taggram(tagger):
    y = sound()
    data = shown(tag_widgets.follow(tagger, y, sr=SR, top=2, hop_s=0.5))
    fine = tagger(y, sr=SR, hop_s=0.5)
    order = np.argsort(-fine.window_scores.mean(0))[:2]
    assert data["tags"] == [fine.tags[k] for k in order]
    np.testing.assert_allclose(data["scores"], fine.window_scores[:, order].T, atol=6e-4)
    assert data["duration_s"] == 5.0
    np.testing.assert_allclose(np.diff(data["middles_s"]), 0.5, atol=2e-3)


def test_only_the_beginning_is_embedded(tagger):
    output = tag_widgets.follow(tagger, sound(20), sr=SR, max_s=3)
    assert shown(output)["duration_s"] == 3.0 and len(output.data) < 60_000
    with pytest.raises(ValueError, match="120 s of sound"):
        taggram.taggram_page({}, sound(121), SR)


def test_a_tag_cannot_break_out_of_the_page():
    data = taggram.taggram_data(np.ones((1, 1)), np.zeros(1), 1.0, 1.0, ["</script><b>"])
    page = taggram.taggram_page(data, sound(1), SR, title="<i>")
    assert "</script><b>" not in page and "<i>" not in page
    assert "<\\/script><b>" in page and "&lt;i&gt;" in page


def test_speakers_are_sorted_and_their_shares_are_shares(tagger):
    found = tag_widgets.speakers(tagger, sound(), "middle", channels=4, sr=SR)
    for _, rows in found.groupby("stage"):
        assert len(rows) == 4 and (np.diff(rows["evidence"]) <= 0).all()
        assert rows["share"].between(0, 1).all()
    with pytest.raises(ValueError, match="it knows low, middle, high"):
        tag_widgets.speakers(tagger, sound(), "kazoo", sr=SR)


def test_an_upload_is_shown_or_refused_under_its_own_name(tagger, tmp_path):
    audio.save(tmp_path / "y.ogg", sound(), SR)
    assert "srcdoc" in tag_widgets.uploaded(tagger, "song.ogg", (tmp_path / "y.ogg").read_bytes()).data
    refused = tag_widgets.uploaded(tagger, "song.ogg", b"nothing").data
    assert refused.startswith("**Not playable:** song.ogg ") and "/tmp" not in refused


def test_the_chooser_shows_what_was_uploaded(tagger, tmp_path, capsys):
    audio.save(tmp_path / "y.wav", sound(1), SR)
    upload, _ = tag_widgets.chooser(tagger).children
    content = memoryview((tmp_path / "y.wav").read_bytes())
    today = datetime.datetime.now(datetime.UTC)
    upload.value = ({"name": "y.wav", "type": "audio/wav", "size": 1, "content": content, "last_modified": today},)
    assert "HTML" in capsys.readouterr().out  # without a kernel, what is displayed is printed
