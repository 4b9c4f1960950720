"""From tables to Keras layers: every layer named `{stage}_{op}` and seeded by the network's seed and its own name."""

import zlib
from collections.abc import Sequence
from string import ascii_lowercase

import keras
from keras import KerasTensor, layers

from tagkit.graph import specs
from tagkit.graph.fast.conv import Conv1D
from tagkit.graph.fast.norm import BatchNormalization
from tagkit.graph.fast.order import pools_first
from tagkit.graph.fast.pooling import MaxPooling1D
from tagkit.graph.layers import banks, features, own
from tagkit.graph.layers.pooling import StochasticPooling

# Quiet music gives the first layer variances around 1e-4, which Keras' own epsilon of 1e-3 would drown; a momentum of
# .9 lets the moving statistics follow a training of a few hundred steps.
NORM_EPSILON = 1e-5
NORM_MOMENTUM = 0.9


class Blocks:
    """The layers of one row. Most methods take maps and a name and return maps.

    Maps `x` are (batch, frames, channels) or, behind a spectrogram as an image, (batch, frames, bands, channels);
    `name` is what the names of the layers begin with.

    Parameters
    ----------
    synchronized
        Compute batch statistics over all replicas of a tf.distribute strategy.
    """

    def __init__(self, row: specs.Row, seed: int = 0, synchronized: bool = False):
        self.row, self.seed, self.synchronized = row, seed, synchronized

    def __call__(self, table: specs.Table, x: KerasTensor, name: str) -> KerasTensor:
        """Apply one table of a row.

        Raises
        ------
        ValueError
            It is not a table of a stage, or asks for a kind of pooling that does not exist.
        """
        if isinstance(table, specs.Conv):
            return self.conv_block(table, x, name)
        if isinstance(table, specs.Residual):
            return self.residual(table, x, name)
        if isinstance(table, specs.Pool):
            return self.pool(x, table.size, table.kind, name)
        if isinstance(table, specs.Gru):
            return self.gru(table, x, name)
        if isinstance(table, specs.Parallel):
            lettered = zip(ascii_lowercase, table.branches, strict=False)
            ends = [self.chain(branch, x, f"{name}_{letter}") for letter, branch in lettered]
            return layers.Concatenate(name=f"{name}_concat")(ends)
        if isinstance(table, specs.Chain):
            return self.chain(table.tables, x, name)
        raise ValueError(f"{name} of {self.row.name} is no stage: {table!r}")

    def chain(self, chain: Sequence[specs.Table], x: KerasTensor, name: str) -> KerasTensor:
        """Apply several tables one after the other; they are numbered if there is more than one."""
        for i, table in enumerate(chain, start=1):
            x = self(table, x, name if len(chain) == 1 else f"{name}_{i}")
        return x

    def conv_block(self, table: specs.Conv, x: KerasTensor, name: str) -> KerasTensor:
        """Convolution, norm, activation, pooling and what else `table` asks for."""
        y = self.conv(x, table, name)
        if self.row.norm_last or table.skip:
            for step in (self.activate, self.norm) if self.row.norm_last else (self.norm, self.activate):
                y = step(y, name)
            if table.skip:
                y = layers.Add(name=f"{name}_add")([y, x])
            y = self.pool(y, table.pool, table.pooling, name, table.pool_stride)
        else:
            y = self.activate_and_pool(self.norm(y, name), table, name, table.pool_stride)
        if table.squeeze:
            y = self.squeeze(y, table.squeeze, name)
        return self.dropout(y, table.dropout, name)

    def residual(self, table: specs.Residual, x: KerasTensor, name: str) -> KerasTensor:
        """Two convolutions with a shortcut, in Kim 2018's order; see `specs.Residual`."""
        common = {"dilation": table.dilation, "padding": table.padding}
        first = specs.Conv(table.width, table.kernel, stride=table.stride, **common)
        second = specs.Conv(table.width, table.kernel, **common)
        y = self.activate(self.norm(self.conv(x, first, f"{name}_1"), f"{name}_1"), f"{name}_1")
        y = self.dropout(y, table.dropout, name)
        y = self.norm(self.conv(y, second, f"{name}_2"), f"{name}_2")
        if table.squeeze:
            y = self.squeeze(y, table.squeeze, name)
        if x.shape[-1] != table.width or table.stride not in (1, (1, 1)):
            shortcut = specs.Conv(table.width, table.shortcut, stride=table.stride, padding=table.padding)
            x = self.norm(self.conv(x, shortcut, f"{name}_skip"), f"{name}_skip")
        return self.activate_and_pool(layers.Add(name=f"{name}_add")([y, x]), table, name)

    def activate_and_pool(
        self, x: KerasTensor, table: specs.Conv | specs.Residual, name: str, stride: specs.Size | None = None
    ) -> KerasTensor:
        """Activation, then pooling; the other way round where that is the same and faster."""
        if pools_first(table.pooling, self.row.activation):
            return self.activate(self.pool(x, table.pool, table.pooling, name, stride), name)
        return self.pool(self.activate(x, name), table.pool, table.pooling, name, stride)

    def conv(self, x: KerasTensor, table: specs.Conv, name: str) -> KerasTensor:
        """Convolution alone, one- or two-dimensional as `x` is."""
        padding = table.padding or self.row.padding
        kernel = table.kernel
        if padding == "time":
            taps = kernel[0]
            x = layers.ZeroPadding2D((((taps - 1) // 2, taps // 2), (0, 0)), name=f"{name}_pad")(x)
            padding = "valid"
        if padding == "half":
            x = layers.ZeroPadding1D(kernel // 2, name=f"{name}_pad")(x)
            padding = "valid"
        kind, options = layers.Conv2D, {}
        if len(x.shape) == 3:
            kind, options = Conv1D, {"bias_learns": self.row.norm_last}  # else the norm comes next
        return kind(
            table.width,
            kernel,
            strides=table.stride,
            dilation_rate=table.dilation,
            padding=padding,
            use_bias=self.row.bias,
            kernel_initializer=self.initializer(f"{name}_conv"),
            name=f"{name}_conv",
            **options,
        )(x)

    def norm(self, x: KerasTensor, name: str, scale: bool | None = None, center: bool = True) -> KerasTensor:
        """Batch norm over the last axis; `scale` None takes the row's `gamma`."""
        return BatchNormalization(
            scale=self.row.gamma if scale is None else scale,
            center=center,
            momentum=NORM_MOMENTUM,
            epsilon=NORM_EPSILON,
            synchronized=self.synchronized,
            name=f"{name}_norm",
        )(x)

    def activate(self, x: KerasTensor, name: str, activation: str | None = None) -> KerasTensor:
        """Activation by its Keras name, the row's if None; "linear" adds no layer."""
        activation = activation or self.row.activation
        if activation == "linear":
            return x
        return layers.Activation(activation, name=f"{name}_{activation}")(x)

    def pool(
        self, x: KerasTensor, size: specs.Size | str, kind: str, name: str, stride: specs.Size | None = None
    ) -> KerasTensor:
        """Pooling, 'valid'; size 1 adds no layer.

        Parameters
        ----------
        size
            Frames, or (frames, bands). "bands" pools over all bands and drops their axis.
        kind
            "max", "mean" or "stochastic"; ValueError for any other, and for a stride with the last.
        stride
            None: no overlap.
        """
        if size == "bands":
            x = self.pool(x, (1, x.shape[2]), kind, name)
            return layers.Reshape((-1, x.shape[3]), name=f"{name}_frames")(x)
        if size in (1, (1, 1)):
            return x
        name = f"{name}_pool"
        if kind == "stochastic" and stride is None:
            return StochasticPooling(size, seed=self.seed_of(name), name=name)(x)
        flat = len(x.shape) == 3
        if kind == "max":
            return (MaxPooling1D if flat else layers.MaxPooling2D)(size, stride, name=name)(x)
        if kind == "mean":
            return (layers.AveragePooling1D if flat else layers.AveragePooling2D)(size, stride, name=name)(x)
        raise ValueError(f"{name} of {self.row.name}: no pooling is called {kind!r}; take max, mean or stochastic.")

    def squeeze(self, x: KerasTensor, ratio: int, name: str) -> KerasTensor:
        """Squeeze-and-excitation of `x`, (batch, frames, channels): a gate per channel, from the maps' means.

        The hidden layer has `ratio` times as many units as there are channels.
        """
        width = x.shape[-1]
        gate = layers.GlobalAveragePooling1D(keepdims=True, name=f"{name}_squeeze_mean")(x)
        for step, units, activation in (("1", ratio * width, "relu"), ("2", width, "sigmoid")):
            gate = self.dense(gate, units, f"{name}_squeeze_{step}", init="glorot_uniform")
            gate = layers.Activation(activation, name=f"{name}_squeeze_{activation}")(gate)
        return layers.Multiply(name=f"{name}_scale")([x, gate])

    def gru(self, table: specs.Gru, x: KerasTensor, name: str) -> KerasTensor:
        """Recurrence over time; behind a spectrogram, each frame's bands and channels become one vector.

        Returns
        -------
        tensor (batch, frames, units), or (batch, units) of the last state
            Twice the units where the table is bidirectional.
        """
        if len(x.shape) == 4:
            x = layers.Reshape((-1, x.shape[2] * x.shape[3]), name=f"{name}_frames")(x)
        layer = self.cell(table, f"{name}_gru")
        if table.bidirectional:
            backward = self.cell(table, f"{name}_gru_back", go_backwards=True)
            layer = layers.Bidirectional(layer, backward_layer=backward, name=f"{name}_gru")
        return self.dropout(layer(x), table.dropout, name)

    def cell(self, table: specs.Gru, name: str, go_backwards: bool = False) -> keras.Layer:
        """The recurrent layer alone, in one direction."""
        return layers.GRU(
            table.units,
            return_sequences=not table.last,
            go_backwards=go_backwards,
            reset_after=table.reset_after,
            kernel_initializer=self.initializer(name, "glorot_uniform"),
            recurrent_initializer=keras.initializers.Orthogonal(seed=self.seed_of(f"{name}/recurrent")),
            seed=self.seed_of(name),
            name=name,
        )

    def dense(
        self,
        x: KerasTensor,
        units: int,
        name: str,
        init: str | None = None,
        dtype: str | None = None,
        seeded_as: str | None = None,
    ) -> KerasTensor:
        """Fully connected layer alone, over the last axis.

        Parameters
        ----------
        init
            Keras name of the initialiser; None takes the row's.
        dtype
            None takes Keras' default.
        seeded_as
            Give it the initial weights of the layer with this name.
        """
        kernel = self.initializer(f"{seeded_as or name}_dense", init)
        return layers.Dense(units, kernel_initializer=kernel, dtype=dtype, name=f"{name}_dense")(x)

    def dense_block(self, table: specs.Dense, x: KerasTensor, name: str) -> KerasTensor:
        """Dense layer on `x`, (batch, units), with activation, and norm and dropout as `table` asks for."""
        y = self.dense(x, table.width, name)
        if table.norm and not self.row.norm_last:
            y = self.norm(y, name, scale=True)
        y = self.activate(y, name, table.activation)
        if table.norm and self.row.norm_last:
            y = self.norm(y, name, scale=True)
        return self.dropout(y, table.dropout, name)

    def dropout(self, x: KerasTensor, rate: float, name: str) -> KerasTensor:
        """Dropout; rate 0 adds no layer."""
        if not rate:
            return x
        return layers.Dropout(rate, seed=self.seed_of(f"{name}_drop"), name=f"{name}_drop")(x)

    def frontend(self, x: KerasTensor) -> KerasTensor:
        """The row's spectrogram of `x`, (batch, samples, 1), normalised; the waveform itself if the row has none."""
        mel = self.row.frontend
        if mel is None:
            return x
        if isinstance(mel, specs.Own):
            with own.seeded(self.seed_of("own")):
                return own.layer(mel, self.row.name)(x)
        if isinstance(mel, specs.Bank):
            return self.bank(mel, x)
        if isinstance(mel, specs.Standardize):
            return features.Standardize(name="waveform_standard")(x)
        if isinstance(mel, specs.Filterbank):
            x = features.LogFilterbank(sr=self.row.sr, name="fbank_log")(x)
            return layers.Reshape((-1, x.shape[2], 1), name="fbank_image")(x)
        drawn = (mel.n_fft, mel.hop_length, mel.n_mels, mel.fmin_hz, mel.fmax_hz, mel.log, mel.htk, mel.reflect)
        x = features.LogMel(self.row.sr, *drawn, name="logmel_mel")(x)
        if mel.norm in ("bands", "fixed"):
            x = self.norm(x, "logmel", scale=mel.norm == "bands", center=mel.norm == "bands")
        if mel.image:
            x = layers.Reshape((-1, x.shape[2], 1), name="logmel_image")(x)
        return self.norm(x, "logmel", scale=True) if mel.norm == "image" else x

    def bank(self, table: specs.Bank, x: KerasTensor) -> KerasTensor:
        """The learned filter bank of `x`, (batch, samples, 1), normalised per band: (batch, frames, bands, 1)."""
        starts = {
            "mel": banks.Gabor(self.row.sr, table.peak),
            "noise": banks.Noise(self.row.sr, table.peak, self.seed_of("bank_conv")),
        }
        floor = banks.FLOOR * (table.peak / banks.PEAK) ** 2
        energies = {"log": banks.LogEnergy, "pcen": banks.Pcen, "pcen_fixed": banks.Pcen}
        for kind, known in ((table.start, starts), (table.compression, energies)):
            if kind not in known:
                raise ValueError(f"the bank of {self.row.name} knows no {kind!r}: take one of {', '.join(known)}")
        x = layers.Conv1D(
            2 * table.n_filters,
            table.kernel,
            strides=table.stride,
            padding="same",
            use_bias=False,
            kernel_initializer=starts[table.start],
            trainable=table.trained,
            name="bank_conv",
        )(x)
        energy = energies[table.compression](
            table.pool, floor, name="bank_energy", trainable=table.compression != "pcen_fixed"
        )
        x = self.norm(energy(x), "bank", scale=True)
        return layers.Reshape((-1, x.shape[2], 1), name="bank_image")(x)

    def initializer(self, name: str, init: str | None = None) -> keras.Initializer:
        """A seeded initialiser; `init` None takes the row's kind."""
        config = {"class_name": init or self.row.init, "config": {"seed": self.seed_of(name)}}
        return keras.initializers.get(config)

    def seed_of(self, name: str) -> int:
        """The seed of the layer `name`: the same on every machine, different for every layer."""
        return zlib.crc32(f"{self.seed}/{name}".encode()) & 0x7FFFFFFF
