"""The zoo's networks in PyTorch, written from the same tables as a PyTorch user would write them, and their step."""

import numpy as np
import torch
from torch import nn

from tagkit.graph import specs
from tagkit.graph.blocks import NORM_EPSILON, NORM_MOMENTUM
from tagkit.graph.zoo import find

ACTIVATIONS = {"elu": nn.ELU, "relu": nn.ReLU}


class Network(nn.Module):
    """A row of convolutions, recurrent layers and dense layers; waveforms (batch, 1, samples) to logits.

    Parameters
    ----------
    row : str or tables.Row
    n_tags : int

    Raises
    ------
    ValueError
        The row has something else in it, such as a spectrogram or branches.
    """

    def __init__(self, row: str | specs.Row, n_tags: int = 50):
        super().__init__()
        row = find(row)
        if row.frontend or row.padding != "same" or row.norm_last or row.head.pool != ("flatten",):
            raise ValueError(f"{row.name} has no PyTorch twin here; take dm16, samplecnn or crnn.")
        convs = [t for t in row.stages if isinstance(t, specs.Conv)]
        grus = [t for t in row.stages if isinstance(t, specs.Gru)]
        if len(convs) + len(grus) < len(row.stages) or any(t.skip or t.squeeze or t.pooling != "max" for t in convs):
            raise ValueError(f"{row.name} has no PyTorch twin here; take dm16, samplecnn or crnn.")
        layers, frames, width = [], row.samples, 1
        for table in convs:
            layers += _conv(table, width, row)
            frames, width = -(-frames // table.stride) // table.pool, table.width
        self.convs, self.grus = nn.Sequential(*layers), nn.ModuleList()
        for table in grus:
            self.grus.append(nn.GRU(width, table.units, batch_first=True, bidirectional=table.bidirectional))
            width = table.units * (1 + table.bidirectional)
        self.width = width
        self.head = nn.Sequential(
            nn.Flatten(), nn.Dropout(row.head.dropout), nn.Linear(width if grus else width * frames, n_tags)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits (batch, n_tags)."""
        x = self.convs(x)
        if self.grus:
            x = x.transpose(1, 2)
            for gru in self.grus:
                x, _ = gru(x)
            x = x[:, -1]
        return self.head(x)

    def adopt(self, model) -> None:
        """Take over the weights of the Keras network of the same row, so that both give the same logits."""
        kinds = ("Conv1D", "BatchNormalization", "GRU")
        *_, dense = model.layers
        theirs = [layer for layer in model.layers if type(layer).__name__ in kinds]
        ours = [module for module in self.modules() if type(module) in _TAKE_OVER]
        with torch.no_grad():
            for layer, module in zip(theirs, ours, strict=True):
                _TAKE_OVER[type(module)](module, layer)
            _dense_weights(self.head[-1], dense, self.width)


def _conv(table: specs.Conv, width: int, row: specs.Row) -> list[nn.Module]:
    # A convolution whose stride is its kernel needs no padding where it divides the frames, as in these rows.
    padding = "same" if table.stride == 1 else 0
    layers = [
        nn.Conv1d(width, table.width, table.kernel, table.stride, padding, table.dilation, bias=row.bias),
        nn.BatchNorm1d(table.width, eps=NORM_EPSILON, momentum=1 - NORM_MOMENTUM),
        ACTIVATIONS[row.activation](),
    ]
    if not row.gamma:
        layers[1].weight.requires_grad_(False)
    if table.pool != 1:
        layers.append(nn.MaxPool1d(table.pool))
    if table.dropout:
        layers.append(nn.Dropout(table.dropout))
    return layers


def _conv_weights(module: nn.Conv1d, layer) -> None:
    kernel, *bias = layer.get_weights()
    module.weight.copy_(torch.from_numpy(np.ascontiguousarray(kernel.transpose(2, 1, 0))))
    if bias:
        module.bias.copy_(torch.from_numpy(bias[0]))


def _norm_weights(module: nn.BatchNorm1d, layer) -> None:
    weights = [torch.from_numpy(w) for w in layer.get_weights()]
    if layer.scale:
        module.weight.copy_(weights.pop(0))
    for ours, theirs in zip((module.bias, module.running_mean, module.running_var), weights, strict=True):
        ours.copy_(theirs)


def _gru_weights(module: nn.GRU, layer) -> None:
    """Keras orders the gates update, reset, candidate and PyTorch reset, update, candidate."""
    kernel, recurrent, bias = layer.get_weights()

    def reordered(w):
        z, r, h = np.split(w, 3, axis=-1)
        return torch.from_numpy(np.concatenate([r, z, h], axis=-1))

    module.weight_ih_l0.copy_(reordered(kernel).T)
    module.weight_hh_l0.copy_(reordered(recurrent).T)
    module.bias_ih_l0.copy_(reordered(bias[0]))
    module.bias_hh_l0.copy_(reordered(bias[1]))


def _dense_weights(module: nn.Linear, layer, channels: int) -> None:
    """Keras flattens maps (frames, channels) and PyTorch (channels, frames)."""
    kernel, bias = layer.get_weights()
    turned = kernel.reshape(-1, channels, kernel.shape[1]).swapaxes(0, 1).reshape(kernel.shape)
    module.weight.copy_(torch.from_numpy(turned.T.copy()))
    module.bias.copy_(torch.from_numpy(bias))


_TAKE_OVER = {nn.Conv1d: _conv_weights, nn.BatchNorm1d: _norm_weights, nn.GRU: _gru_weights}


class Step:
    """One training step: windows (batch, samples) of int16 and labels (batch, tags) in, the loss out, on one device."""

    def __init__(self, network: Network, device: str = "cpu"):
        self.network = network.to(device).train()
        self.optimizer = torch.optim.AdamW(network.parameters(), 1e-3, weight_decay=1e-2)
        self.loss = nn.BCEWithLogitsLoss()

    def __call__(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        """Advance by one batch."""
        self.optimizer.zero_grad(set_to_none=True)
        loss = self.loss(self.network(x.float()[:, None] / 32_768), y)
        loss.backward()
        self.optimizer.step()
        return loss.detach()
