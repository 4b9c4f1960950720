"""From correlation to cause: what tags and channels hear, shown by experiments on the music and on the network.

`muting` silences one instrument of a rendered piece, or gives its notes to another, and watches what changes.
`probes` asks which stage knows which tags.
`statistics` says what such changes prove.
"""
