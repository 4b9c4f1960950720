"""Waveform records: every clip of a Catalog as int16 samples in TFRecord shards, with a manifest.

A records folder holds::

    shard-00000.tfrecord ...   one tf.train.Example a clip (clip_id, sr, waveform)
    clips.jsonl                one line a clip: metadata, tags, splits, shard, byte offset, length
    manifest.json              settings, counts, sha256 of each file, the fingerprint of the whole
    quarantine.csv             the clips that could not be read, each with its reason

Whole clips are stored once, whatever the windows, the split or the vocabulary: those are chosen when reading. Each
shard's byte offsets are known, so a window is read without reading its clip (`Records.read`).
"""

from tagkit.records.preparing import prepare
from tagkit.records.reading import Records, RecordsError

__all__ = ["Records", "RecordsError", "prepare"]
