"""What a record says of itself: its predictions, and what made it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Prediction:
    """One class of the unmasked image.

    Parameters
    ----------
    id : int
        Index of the logit.
    name : str
        The class's name, with its id where names repeat.
    probability : float
        Softmax of the logits, in [0, 1].
    """

    id: int
    name: str
    probability: float


@dataclass(frozen=True)
class Provenance:
    """What made a record.

    Parameters
    ----------
    model : str
        Name of the model.
    fingerprint : str
        Hash of its weights.
    source : str
        Python expression that makes the model, or an empty string.
    device : str
        Where it was computed.
    score : str
        What is explained: ``"logit"``.
    baseline : str
        What masked cells fade to: ``"mean"``, the model's mean colour.
    version : str
        Version of whatwhere.
    seconds : float
        Seconds of computing.
    n_extra : int
        Forwards outside the design: the unmasked image, the preview and padding.
    """

    model: str
    fingerprint: str
    source: str
    device: str
    score: str
    baseline: str
    version: str
    seconds: float
    n_extra: int
