"""From correlation to cause: what tags and channels hear, shown by experiments on the music and on the network.

`muting` silences one instrument of a rendered piece, or gives its notes to another, and watches what changes.
`ablation` silences channels in the middle of a network, and watches which tags miss them.
`faithfulness` plays a channel's sound to the network again, and `sounds` does so for every stage.
`probes` asks which stage knows which tags.
`statistics` says what such changes prove.
"""
