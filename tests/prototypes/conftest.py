"""Small networks whose prototypes are known, or quick."""

import pytest
import torch
from torch import nn

import whatwhere as ww


class Small(nn.Module):
    """Two convolutions with BatchNorm and in-place ReLU, a skip, a linear head."""

    def __init__(self, channels=3):
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(channels, 8, 3, 2, 1), nn.BatchNorm2d(8), nn.ReLU(inplace=True))
        self.second = nn.Sequential(nn.Conv2d(8, 8, 3, 1, 1), nn.BatchNorm2d(8))
        self.act = nn.ReLU(inplace=True)
        self.head = nn.Linear(8, 5)

    def forward(self, x):
        x = self.first(x)
        x = self.act(self.second(x) + x)
        return self.head(x.mean(dim=(2, 3)))


def vision(net, *, size=(32, 32), channels=3, names=None):
    preprocess = ww.Preprocess(resize=None, crop=size, mean=(0.5,) * channels, std=(0.25,) * channels)
    return ww.VisionModel(net, preprocess=preprocess, class_names=names, name="small", device="cpu")


@pytest.fixture(scope="session")
def wrap():
    """Make a VisionModel of a network of small images."""
    return vision


@pytest.fixture(scope="session")
def small():
    torch.manual_seed(3)
    net = Small().eval()
    for norm in (m for m in net.modules() if isinstance(m, nn.BatchNorm2d)):
        nn.init.uniform_(norm.running_mean, -0.2, 0.2)
        nn.init.uniform_(norm.running_var, 0.5, 1.5)
    return vision(net, names=["hen", "crane", "tram", "crane", "cup"])


@pytest.fixture
def untaught():
    """Make such a network with random weights."""
    return lambda: Small().eval()


@pytest.fixture
def grey_small():
    return vision(Small(1).eval(), channels=1)


@pytest.fixture
def quick():
    """A method that takes a moment."""
    return ww.Maco(steps=6, crops=3, size=48, crop=(0.6, 0.25), frames=3)
