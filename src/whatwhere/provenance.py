"""What a record says of itself: its predictions, and what made it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from whatwhere._version import __version__

if TYPE_CHECKING:
    from whatwhere.model import VisionModel


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
        Softmax of the logits, or their sigmoid where there is one, in [0, 1].
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
    plan : str
        How the network was run: precision, layout, batch size, and whether pixels or tokens were blended.
    version : str
        Version of whatwhere.
    seconds : float
        Seconds of computing.
    net_seconds : float
        Of these, seconds inside the network.
    n_extra : int
        Forwards outside the design: the unmasked image, the preview, tuning and padding.
    noise : float, default 0
        What reduced precision may add to an index, as measured; 0 in float32.
    wobble : float, default 0
        Largest difference between two runs of the network on the same image, in logits: above 0 the network is not
        deterministic, and part of every index is noise.
    alone : bool, default True
        Whether an image's logits do not depend on the others in its batch; if they do, images are run one by one.
    changed : bool, default False
        Whether the weights changed while it was computed.
    cached : int, default 0
        Results that were found in `whatwhere.cache` and not computed again: 1 of a record as a whole, whose seconds and
        forwards are those of when it was computed; of a record that was made of photos, how many of them.
    """

    model: str
    fingerprint: str
    source: str
    device: str
    plan: str
    version: str
    seconds: float
    net_seconds: float
    n_extra: int
    noise: float = 0.0
    wobble: float = 0.0
    alone: bool = True
    changed: bool = False
    cached: int = 0

    @classmethod
    def of(
        cls, model: VisionModel, *, fingerprint: str, stamp: tuple[int, ...], complete: bool, **told: Any
    ) -> Provenance:
        """Say what made a record of a model.

        Parameters
        ----------
        model : VisionModel
            The network.
        fingerprint, stamp : str, tuple of int
            Of its weights, when the computation began.
        complete : bool
            Whether the computation is over: the weights are then hashed again, to see whether they changed.
        **told : object
            The other fields; `plan` and `noise` are the model's own by default.

        Returns
        -------
        Provenance
            What is known by now.
        """
        changed = model.stamp() != stamp or (complete and model.fingerprint() != fingerprint)
        return cls(
            model=model.name,
            fingerprint=fingerprint,
            source=model.source,
            device=str(model.device),
            version=__version__,
            changed=changed,
            **{"plan": model.plan.describe(model.precision), "noise": model.plan.noise, "n_extra": 0, **told},
        )
