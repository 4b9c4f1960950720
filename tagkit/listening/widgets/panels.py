"""The widgets themselves: dropdowns wired to the functions of `tagkit.listening.widgets.seen`."""

from collections.abc import Callable, Sequence

import ipywidgets
import matplotlib.pyplot as plt
import numpy as np
from IPython.display import Markdown, display

from tagkit import audio, plots
from tagkit.analysis import excerpts, sonify
from tagkit.analysis.signals import CannotPlay
from tagkit.data.catalog import Catalog
from tagkit.listening.network import Network
from tagkit.listening.widgets.seen import (
    MODES,
    SORTINGS,
    channel_choices,
    channel_label,
    compare,
    draw,
    example,
    hear,
    moments,
    nine,
    player,
)

EXAMPLE_SR = 16_000


def explorer(networks: Sequence[Network]) -> ipywidgets.Widget:
    """Choose network, stage, channel, clip and mode; see the channel and hear it.

    Networks with a library also have buttons for the moments of its music that excite the channel most, middling and
    least.
    """
    picker = _Picker(networks)
    clip = ipywidgets.Dropdown(options=networks[0].clips, description="clip")
    mode = ipywidgets.Dropdown(options=MODES, value="carrier", description="mode")
    kind = ipywidgets.ToggleButtons(options=excerpts.KINDS, value=None, description="excites it")

    def show() -> None:
        seen, stage, channel = picker.chosen()
        display(draw(seen, clip.value, stage, channel, mode.value))
        _play(lambda: hear(seen, clip.value, stage, channel, mode.value), seen.maps[clip.value].sr)

    def show_moments() -> None:
        seen, stage, channel = picker.chosen()
        if kind.value and seen.library:
            for words, sound in moments(seen, stage, channel, kind.value):
                display(Markdown(words), sound)

    above = _with_output([picker.box, clip, mode], [picker], [clip, mode], show)
    if not any(each.library for each in networks):
        return above
    return ipywidgets.VBox([above, _with_output([kind], [picker], [kind], show_moments)])


def moment_players(seen: Network, stage: str, channel: int, n: int = 2) -> ipywidgets.Widget:
    """Players for the moments that excite a channel most, middling and least, a column each, of so many pieces.

    Errors as for `moments`.
    """
    columns = []
    for kind in excerpts.KINDS:
        cells = [f"<p>{words}</p>{sound._repr_html_()}" for words, sound in moments(seen, stage, channel, kind, n)]
        columns.append(ipywidgets.HTML(f"<b>{kind}</b>" + "".join(cells)))
    return ipywidgets.GridBox(columns, layout=ipywidgets.Layout(grid_template_columns="repeat(3, 1fr)", grid_gap="1em"))


def ab(networks: Sequence[Network]) -> ipywidgets.Widget:
    """Two channels of the same or of two networks, for one clip, with one gain: which is louder may be heard."""
    left, right = _Picker(networks, "A"), _Picker(networks, "B", start=len(networks) - 1)
    clip = ipywidgets.Dropdown(options=networks[0].clips, description="clip")
    mode = ipywidgets.Dropdown(options=sonify.MAP_MODES, value="carrier", description="mode")

    def show() -> None:
        pair = left.chosen(), right.chosen()
        try:
            sounds = compare(*pair, clip.value, mode.value)
        except CannotPlay as refusal:
            display(Markdown(f"**Not playable:** {refusal}"))
            return
        sr = pair[0][0].maps[clip.value].sr
        for name, (seen, stage, channel), sound in zip("AB", pair, sounds, strict=True):
            display(Markdown(f"**{name}**: {seen.title}, {stage}, {channel_label(seen, stage, channel)}"))
            display(player(sound, sr))

    pickers = ipywidgets.HBox([left.box, right.box])
    return _with_output([pickers, clip, mode], [left, right], [clip, mode], show)


def nine_players(
    seen: Network, clip: str, stage: str, mode: str = "carrier", *, by: str = "energy", max_s: float = 4.0
) -> ipywidgets.Widget:
    """A 3 x 3 grid of players, one for each of `nine` channels; a channel that cannot be played says why.

    Parameters
    ----------
    seen, clip, stage, mode
        As for `hear`.
    by : {"energy", "centre frequency", "tag"}
        As for `nine`.
    max_s : float
        Seconds after which each sound is cut.
    """
    cells = []
    for channel in nine(seen, clip, stage, by):
        try:
            sound = player(hear(seen, clip, stage, channel, mode), seen.maps[clip].sr, max_s=max_s)._repr_html_()
        except CannotPlay as refusal:
            sound = str(refusal)
        cells.append(ipywidgets.HTML(f"<b>{channel_label(seen, stage, channel)}</b>{sound}"))
    return ipywidgets.GridBox(cells, layout=ipywidgets.Layout(grid_template_columns="repeat(3, 1fr)", grid_gap="0.8em"))


def examples(catalog: Catalog, count: int = 5) -> ipywidgets.Widget:
    """Choose a tag and one of `count` clips that carry it; see it and hear it."""
    present = [tag for tag in catalog.tags() if catalog.labels[tag].any()]
    tag = ipywidgets.Dropdown(options=present, description="tag")
    number = ipywidgets.Dropdown(options=[(str(n + 1), n) for n in range(count)], description="example")

    def show() -> None:
        try:
            clip, y = example(catalog, tag.value, number.value, EXAMPLE_SR)
        except audio.AudioError as broken:
            display(Markdown(f"**Not playable:** {broken}"))
            return
        display(plots.log_mel(y, EXAMPLE_SR, title=f"{clip.title}: {', '.join(clip.tags)}").figure)
        plt.close()
        display(player(y, EXAMPLE_SR))

    return _with_output([ipywidgets.HBox([tag, number])], [], [tag, number], show)


class _Picker:
    """Dropdowns for network, stage, sorting and channel that keep each other up to date."""

    def __init__(self, networks: Sequence[Network], name: str = "", start: int = 0):
        self.networks = {seen.title: seen for seen in networks}
        if len(self.networks) < len(networks):
            raise ValueError("Two networks have the same title; give each its own.")
        title = networks[start].title
        self.network = ipywidgets.Dropdown(options=list(self.networks), value=title, description="network")
        self.stage = ipywidgets.Dropdown(description="stage")
        self.sorting = ipywidgets.Dropdown(description="sort by")
        self.channel = ipywidgets.Dropdown(description="channel")
        self._listeners: list[Callable[[], None]] = []
        self._refreshing = False
        self.refresh()
        for each in (self.network, self.stage, self.sorting):
            each.observe(self.refresh, "value")
        self.channel.observe(self._changed, "value")
        heading = [ipywidgets.HTML(f"<b>{name}</b>")] if name else []
        self.box = ipywidgets.VBox([*heading, self.network, self.stage, self.sorting, self.channel])

    def observe(self, listener: Callable[[], None]) -> None:
        """Call `listener` once after every change, also where another stage keeps the channel's number."""
        self._listeners.append(listener)

    def refresh(self, _: object = None) -> None:
        if self._refreshing:  # refreshing changes the dropdowns, which must not start it again
            return
        self._refreshing = True
        try:
            seen = self.networks[self.network.value]
            _offer(self.stage, seen.stages)
            known = self.stage.value in seen.channel_tags
            _offer(self.sorting, [by for by in SORTINGS if by != "tag" or known])
            _offer(self.channel, channel_choices(seen, self.stage.value, self.sorting.value))
        finally:
            self._refreshing = False
        self._changed()

    def _changed(self, _: object = None) -> None:
        if not self._refreshing:
            for listener in self._listeners:
                listener()

    def chosen(self) -> tuple[Network, str, int]:
        return self.networks[self.network.value], self.stage.value, self.channel.value


def _offer(dropdown: ipywidgets.Dropdown, options: list) -> None:
    """Give a dropdown other options and keep its value where it is still there."""
    if list(dropdown.options) == options:
        return
    values = [option[1] if isinstance(option, tuple) else option for option in options]
    kept = dropdown.value if dropdown.value in values else values[0]
    dropdown.options = options
    dropdown.value = kept


def _play(sound: Callable[[], np.ndarray], sr: int) -> None:
    try:
        display(player(sound(), sr))
    except CannotPlay as refusal:
        display(Markdown(f"**Not playable:** {refusal}"))


def _with_output(rows: list, pickers: list[_Picker], inputs: list, show: Callable[[], None]) -> ipywidgets.Widget:
    """The rows above one Output, which is drawn anew whenever a picker or one of the inputs changes."""
    output = ipywidgets.Output()

    def update(_: object = None) -> None:
        with output:
            output.clear_output(wait=True)
            show()

    for picker in pickers:
        picker.observe(update)
    for each in inputs:
        each.observe(update, "value")
    update()
    return ipywidgets.VBox([*rows, output])
