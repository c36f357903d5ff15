"""What a view of concepts shows: a bank, its photos, and what the network says of both."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Any

import numpy as np

from whatwhere.jobs import Step
from whatwhere.widgets._concept_data import ConceptData, Facts
from whatwhere.widgets._concept_net import ConceptNet
from whatwhere.widgets._guests import GuestStrip, Seen
from whatwhere.widgets._planes import map_bytes, map_scales, rounded
from whatwhere.widgets._strip import Strip, make_strip

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from whatwhere.concepts.bank import ConceptBank
    from whatwhere.concepts.maps import ConceptMaps
    from whatwhere.concepts.refit import Refits
    from whatwhere.model import VisionModel
    from whatwhere.pixels.images import Photo
    from whatwhere.widgets._budget import Budget
    from whatwhere.widgets._calls import Calls

NO_BANK = "The concepts are not extracted yet. Run the cell in a notebook to see them."
_NO_MODEL = "This needs the network: {}."
_NOT_YET = "This needs the finished concepts; they are still being extracted."
_NO_PHOTOS = "A split needs all photos that the concepts were found in: {}."
_NO_REFIT = "Another number of concepts needs all photos that these were found in: {}."
_PARTS = "These are parts of a concept: Concepts.split(k, n_concepts=…) finds another number of them."
_MOST = 40  # concepts that the slider offers, if there are not more already
_MAP_BYTES = 10_000  # of all maps that were asked for: they are saved with the notebook


class Explored:
    """A bank, its photos and its network.

    Parameters
    ----------
    model : VisionModel or None
        The network.
    images : mapping of str to image, or None
        Whole photos.
    calls : Calls
        What a person calls for what is missing.

    Attributes
    ----------
    bank : ConceptBank or None
        The concepts, in order of importance.
    strip : GuestStrip
        Photos.
    net : ConceptNet or None
        The network, once the bank is finished.
    facts : Facts
        What it told.
    extra : int or None
        A photo that was asked for by name, and is shown whatever the others are.
    """

    def __init__(self, model: VisionModel | None, images: Mapping[str, Any] | None, calls: Calls) -> None:
        self._model, self._images, self._calls = model, images, calls
        self._refusal = ""
        self.bank: ConceptBank | None = None
        self.strip, self.facts = GuestStrip(Strip(NO_BANK), 0, None), Facts()
        self._returning: dict[str, Photo] = {}
        self.net: ConceptNet | None = None
        self.extra: int | None = None
        self._data: ConceptData | None = None
        self._sizes: dict[str, tuple[int, int] | None] = {}
        self._refits: Refits | None = None

    def adopt(self, bank: ConceptBank) -> None:
        """Take over a bank, and pair it with the network once it is finished.

        Parameters
        ----------
        bank : ConceptBank
            The bank.

        Raises
        ------
        ValueError
            If the network has other weights than the one that the bank came from, or none of the images is its own.
        """
        order = np.argsort(-bank.importance, kind="stable")
        bank = bank if (order == np.arange(bank.rank)).all() else bank.take(order)
        if self.bank is None or bank.source is not self.bank.source or bank.images != self.bank.images:
            look = None if self._model is None else self._model.preprocess.geometry
            own = make_strip(bank, self._images, self._model, self._calls)
            before, self.strip, self.extra = self.strip, GuestStrip(own, len(bank.images), look), None
            known = (
                [None] * len(bank.images) if bank.source is None else [each.photo for each in bank.source.geometries]
            )
            self._sizes = dict(zip(bank.images, known, strict=True))
        else:
            before = self.strip
        self._returning |= before.empty()
        if bank.complete and self._model is not None:
            self.net = ConceptNet(bank.on(self._model, images=self._images), self.strip)
        self.bank, self.facts = bank, Facts()

    def adopt_or_say(self, bank: ConceptBank) -> None:
        """Take over a bank; what does not go with it is left out, and said.

        Parameters
        ----------
        bank : ConceptBank
            The bank.
        """
        try:
            self.adopt(bank)
        except ValueError as error:
            self._refusal, self._model, self._images = str(error), None, None
            self.adopt(bank)

    def initial(self) -> dict[str, Any]:
        """Say what is chosen at first.

        Returns
        -------
        dict
            Public traits by name.
        """
        bank = self.bank
        if bank is None:
            return {}
        shown = self.strip.order(bank)
        return {
            "selected_concepts": [bank.ids[0]],
            "selected_image": bank.images[shown[0]] if shown else "",
            "names": dict(bank.labels),
            "notes": dict(bank.notes),
            "hidden": list(bank.hidden),
            "pinned": list(bank.pinned),
            "merged": [list(ids) for ids in bank.groups],
        }

    def number_of(self, name: str) -> int | None:
        """Find a photo.

        Parameters
        ----------
        name : str
            What the bank calls it, or a guest.

        Returns
        -------
        int or None
            Its number in the strip; None if it is not there to be shown.
        """
        if self.bank is None or name not in self.bank.images:
            return self.strip.number_of(name)
        n = self.bank.images.index(name)
        return n if self.strip.has(n) else None

    def look_steps(self) -> Iterator[Step[ConceptBank]]:
        """Ask the network what the bank does not say.

        Yields
        ------
        Step
            Photos looked at, and the bank.
        """
        bank, net, facts = self.bank, self.net, Facts()
        yield Step(0, 1, "head", bank)
        if bank is None or net is None:
            return
        for step in net.facts(self.strip.first(bank)):
            facts = step.record or facts
            yield Step(step.done, step.total, step.stage, bank)
        for name, photo in list(self._returning.items()):
            for met in net.meet(photo):
                yield Step(met.done, met.total, met.stage, bank)
                if met.record is not None and self.bank is bank:
                    self.strip.guests[name] = met.record
                    self._returning.pop(name, None)
        if self.bank is bank:  # another one may have come meanwhile
            self._tell_logits(facts)
            self.facts = facts

    def refit_steps(self, bank: ConceptBank, n_concepts: int, known: list[ConceptBank]) -> Iterator[Step[ConceptBank]]:
        """Extract again with another number of concepts.

        Parameters
        ----------
        bank : ConceptBank
            Where to start from.
        n_concepts : int
            How many.
        known : list of ConceptBank
            Banks that were shown before.

        Yields
        ------
        Step
            As from `whatwhere.concepts.refit.Refits.steps`; first one without anything.
        """
        yield Step(0, 0, "concepts", None)
        from whatwhere.concepts.refit import Refits

        if self._refits is None and self._model is not None:
            images = self._images if bank.source is None else None
            self._refits = Refits(bank.on(self._model, images=images))
        if self._refits is not None:
            yield from self._refits.steps(bank, n_concepts, known=known)

    @property
    def most(self) -> int:
        """How many concepts can be asked for."""
        bank = self.bank
        return 0 if bank is None else min(len(bank.images), bank.W.shape[1])

    @property
    def why_no_refit(self) -> str:
        """Why there can be no other number of concepts; empty if there can."""
        if self.bank is not None and self.bank.parent is not None:
            return _PARTS
        return self.why_no_net or ("" if self._whole else _NO_REFIT.format(self._calls.photos))

    @property
    def _whole(self) -> bool:
        """Whether all photos of the bank are there."""
        bank = self.bank
        return bank is not None and (bank.source is not None or all(map(self.strip.has, range(len(bank.images)))))

    def welcome(self, name: str, seen: Seen) -> int:
        """Take in a guest.

        Parameters
        ----------
        name : str
            A name that no other photo has.
        seen : Seen
            What the network and the bank say of it.

        Returns
        -------
        int
            Its number in the strip.
        """
        self.strip.guests[name] = seen
        self._tell_logits(self.facts)
        return self.strip.numbers[-1]

    def _tell_logits(self, facts: Facts) -> None:
        """Note the guests' logits, where those of the others are known."""
        if facts.logits or facts.effects is not None:
            facts.logits.update({number: each.logits for number, each in self.strip.numbered.items()})

    def encode(self, budget: Budget, selected: Sequence[int]) -> dict[str, Any]:
        """Write all that fits as it travels.

        Parameters
        ----------
        budget : Budget
            How much that is.
        selected : sequence of int
            Ids of the concepts that are chosen, the one that is looked at last.

        Returns
        -------
        dict
            Private traits by name.
        """
        bank = self.bank
        if bank is None:
            return {"_title": "" if self._model is None else self._model.name, "_model": self._describe_model()}
        if self._data is None or self._data.bank is not bank or self._data.strip is not self.strip:
            self._data = ConceptData(bank, self.strip, expected=bank.affine and self._model is not None)
        opened = self._opened(bank, selected)
        told = {"_title": bank.provenance.model, "_target": bank.target_name, "_model": self._describe_model()}
        return self._data.traits(budget, self.facts, opened=opened, extra=self.extra) | told

    def crops(self, budget: Budget, selected: Sequence[int]) -> dict[str, Any]:
        """Write the crops alone.

        Parameters
        ----------
        budget : Budget
            How much they may be.
        selected : sequence of int
            Ids of the concepts that are chosen.

        Returns
        -------
        dict
            Private traits by name.
        """
        data = self._data
        return {} if data is None else data.crops(budget, opened=self._opened(data.bank, selected))

    @staticmethod
    def _opened(bank: ConceptBank, selected: Sequence[int]) -> int:
        return bank.ids.index(selected[-1]) if selected and selected[-1] in bank.ids else 0

    def large(self, name: str, budget: Budget) -> dict[str, bytes]:
        """Encode the photo that is looked at.

        Parameters
        ----------
        name : str
            Its name.
        budget : Budget
            How much it may be.

        Returns
        -------
        dict of str to bytes
            A JPEG file by name; empty where there is no such photo.
        """
        n = self.number_of(name)
        return {} if n is None else {name: self.strip.large(n, budget.large)}

    @property
    def sizes(self) -> dict[str, tuple[int, int] | None]:
        """Height and width of the bank's photos, by name; None where the bank has no photos any more."""
        return self._sizes

    @property
    def added(self) -> dict[str, Photo]:
        """Guests, and those that come back once they were looked at with the concepts that there are now."""
        return {name: each.photo for name, each in list(self.strip.guests.items())} | self._returning

    @property
    def gallery(self) -> ConceptData | None:
        """All photos, for those who scroll; None before there are any."""
        return self._data

    @property
    def why_no_net(self) -> str:
        """Why nothing can be asked of the network; empty if it can."""
        if self._model is None:
            return self._refusal or _NO_MODEL.format(self._calls.network)
        return "" if self.net is not None else _NOT_YET

    def clear(self) -> None:
        """Give all up."""
        self.bank = self.net = self.extra = self._data = self._refits = self._model = self._images = None
        self.strip, self.facts = GuestStrip(Strip("The view was closed."), 0, None), Facts()
        self._returning.clear()
        self._sizes.clear()

    def _describe_model(self) -> dict[str, Any]:
        """Say what is there, and why the rest is not."""
        reason, rank = self.why_no_net, 0 if self.bank is None else self.bank.rank
        return {
            "given": not reason,
            "reason": reason,
            "photos": self.strip.reason,
            "split": reason or ("" if self._whole else _NO_PHOTOS.format(self._calls.photos)),
            "rank": self.why_no_refit,
            "most": max(rank, min(self.most, _MOST)),
        }


class MapShelf:
    """The maps that were computed for a view, as many as may be saved."""

    def __init__(self) -> None:
        self._maps: OrderedDict[tuple[str, str], ConceptMaps] = OrderedDict()
        self.changed = False

    def get(self, kind: str, name: str) -> ConceptMaps | None:
        """Return the maps of a photo.

        Parameters
        ----------
        kind : str
            Method of the maps.
        name : str
            Name of the photo.

        Returns
        -------
        ConceptMaps or None
            If they are there.
        """
        return self._maps.get((kind, name))

    def add(self, kind: str, name: str, maps: ConceptMaps) -> None:
        """Keep the maps of a photo; those kept longest go where they are too many.

        Parameters
        ----------
        kind : str
            Method of the maps.
        name : str
            Name of the photo.
        maps : ConceptMaps
            The maps.
        """
        self._maps[kind, name] = maps
        self._maps.move_to_end((kind, name))
        while len(self._maps) > 1 and sum(each.values.size for each in self._maps.values()) > _MAP_BYTES:
            self._maps.popitem(last=False)
        self.changed = True

    def clear(self) -> None:
        """Forget all maps."""
        self.changed = self.changed or bool(self._maps)
        self._maps.clear()

    def traits(self, bank: ConceptBank | None) -> dict[str, Any]:
        """Write the maps as they travel, those of a kind on one scale a concept, which no map changes.

        Parameters
        ----------
        bank : ConceptBank or None
            Whose maps they are; None if there are none.

        Returns
        -------
        dict
            Private traits by name.
        """
        self.changed = False
        overlays: dict[str, bytes] = {}
        scales: dict[str, list[float | None]] = {}
        if bank is None:
            return {"_overlays": overlays, "_overlay_scales": scales}
        for kind in sorted({kind for kind, _ in self._maps}):
            maps = {name: each.values for (other, name), each in self._maps.items() if other == kind}
            rows, columns = next(iter(maps.values())).shape[1:]
            shared = map_scales(bank, kind, (rows, columns))
            overlays |= {f"{kind}/{name}": map_bytes(values, shared) for name, values in maps.items()}
            scales[kind] = rounded(shared)
        return {"_overlays": overlays, "_overlay_scales": scales}
