"""Concept maps of networks whose concepts are known: where the mass lies, absence, equivariance, differences."""

import numpy as np
import pytest
import torch
from torch import nn

import whatwhere as ww
from whatwhere.concepts import _gradient_run
from whatwhere.concepts.coder import ConceptCoder, pooled
from whatwhere.concepts.gradient_maps import GRADIENTS, implicit_maps, implicit_steps
from whatwhere.concepts.maps import code_maps
from whatwhere.concepts.masked_maps import black_box_maps, black_box_steps
from whatwhere.engine.dependence import binary_hsic, shown_effect
from whatwhere.engine.sampling import base_matrices
from whatwhere.engine.sensitivity import total_order
from whatwhere.nets.cut import Cut

SIDE, PATCH, STRIDE = 64, 16, 4
COLOURS = {0: (1, 0, 0), 1: (0, 1, 0), 2: (0, 0, 1)}
PIXEL_GRADIENTS = [name for name in GRADIENTS if name != "gradcam"]


class Filters(nn.Module):
    """One filter a concept: how much redder (greener, bluer) than the others four by four pixels are, less 0.5."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 3, 1, bias=False)
        self.filters = nn.Conv2d(3, 3, STRIDE, stride=STRIDE)
        self.relu = nn.ReLU()
        self.head = nn.Linear(3, 4)
        with torch.no_grad():
            self.stem.weight.copy_(torch.eye(3)[..., None, None])
            contrast = 1.5 * torch.eye(3) - 0.5
            self.filters.bias.fill_(-0.5)
            self.filters.weight.copy_((contrast / STRIDE**2)[..., None, None].expand(3, 3, STRIDE, STRIDE))

    def forward(self, x):
        return self.head(self.relu(self.filters(self.stem(x))).mean((2, 3)))


@pytest.fixture(scope="module")
def filters():
    """A network with one known filter a concept, and a bank that mixes the filters."""
    preprocess = ww.Preprocess(resize=SIDE, crop=(SIDE, SIDE), mean=(0.5, 0.5, 0.5), std=(0.5, 0.25, 0.2))
    model = ww.VisionModel(Filters(), preprocess=preprocess, name="filters", device="cpu")
    model.batch_size = 16
    return ConceptCoder(model, model.cut("relu"), torch.tensor([[2.0, 0, 0], [0.0, 1, 0], [0.0, 0, 3]]))


def painted(colour, top, left, *, others=()):
    """A grey image with a patch of one concept's colour; `others` are patches of other concepts."""
    image = np.full((SIDE, SIDE, 3), 0.5, dtype=np.float32)
    for which, down, across in ((colour, top, left), *others):
        image[down : down + PATCH, across : across + PATCH] = COLOURS[which]
    return image


def share_inside(values, top, left):
    """Share of a map's size that lies in a patch."""
    scale = SIDE // len(values)
    sizes = np.kron(np.abs(values), np.ones((scale, scale)))
    return sizes[top : top + PATCH, left : left + PATCH].sum() / sizes.sum()


def places(count, step):
    rng = np.random.default_rng(0)
    return [tuple(int(v) * step for v in rng.integers(0, (SIDE - PATCH) // step + 1, 2)) for _ in range(count)]


def every_kind(coder, image, *, but=()):
    yield code_maps(coder, image)
    for gradient in GRADIENTS:
        if gradient not in but:
            yield implicit_maps(coder, image, gradient=gradient, steps=4, noise=0.02)
    for method, rows in (("sobol", 8), ("rise", 256), ("occlusion", None), ("hsic", None)):
        if method not in but:
            yield black_box_maps(coder, image, method=method, rows=rows)


@pytest.mark.parametrize("concept", [0, 1, 2])
def test_a_map_lies_on_the_patch_that_fires_the_concept(filters, concept):
    (top, left) = places(3, 8)[concept]
    other = ((concept + 1) % 3, (top + 24) % 48, (left + 24) % 48)
    for maps in every_kind(filters, painted(concept, top, left, others=[other])):
        assert share_inside(maps.values[concept], top, left) > 0.8, maps.kind
        assert maps.present.tolist() == [k in (concept, other[0]) for k in range(3)]
        assert not maps.flat.any()


@pytest.mark.parametrize("seed", range(6))
def test_so_it_does_wherever_the_patch_is(filters, seed):
    """At any pixel, on no grid: no map leaves what sees the patch, its peak lies there, and four fifths in the patch.

    But for maps of the gradient alone, which is the same for every pixel that a filter sees.
    """
    rng = np.random.default_rng(seed)
    concept, (top, left) = seed % 3, (int(v) for v in rng.integers(0, SIDE - PATCH + 1, 2))
    assert top % STRIDE or left % STRIDE, "places are to be off the grid"
    for maps in every_kind(filters, painted(concept, top, left)):
        values = np.abs(maps.values[concept])
        cell = SIDE // len(values)
        seen = np.zeros((SIDE, SIDE), dtype=bool)
        size = max(cell, STRIDE)
        seen[size * (top // size) : top + PATCH + -(top + PATCH) % size, :] = True
        seen[:, : size * (left // size)] = seen[:, left + PATCH + -(left + PATCH) % size :] = False
        sizes = np.kron(values, np.ones((cell, cell)))
        assert sizes[seen].sum() > (0.8 if maps.kind in ("sobol", "rise", "hsic") else 0.999) * sizes.sum(), maps.kind
        assert seen.ravel()[sizes.argmax()]
        assert maps.present.tolist() == [k == concept for k in range(3)]
        if maps.kind not in ("saliency", "smoothgrad") and cell <= STRIDE:  # masks have cells of half the patch
            assert share_inside(values, top, left) > 0.8, maps.kind


def test_an_absent_concept_has_an_empty_map(filters):
    for maps in every_kind(filters, painted(1, 8, 16)):
        assert maps.present.tolist() == [False, True, False], maps.kind
        assert not maps.values[[0, 2]].any()
        assert maps.values[1].any()
        assert maps.scores[[0, 2]].tolist() == [0, 0]
        assert np.isfinite(maps.values).all()


def test_an_image_without_concepts_costs_one_forward(filters):
    grey = np.full((SIDE, SIDE, 3), 0.5, dtype=np.float32)
    for maps in every_kind(filters, grey):
        assert not maps.present.any()
        assert not maps.values.any()
        assert (maps.n_forwards, maps.n_backwards, maps.complete) == (1, 0, True)


def test_maps_move_with_the_image(filters):
    """By one stride of the network, and by one cell of the mask."""
    first, moved = painted(0, 16, 16, others=[(1, 40, 8)]), painted(0, 24, 32, others=[(1, 48, 24)])
    drawn = ("smoothgrad", "sobol", "rise", "hsic")  # random numbers stay where they are
    for one, two in zip(every_kind(filters, first, but=drawn), every_kind(filters, moved, but=drawn), strict=True):
        cells = one.values.shape[1]
        step = (8 * cells // SIDE, 16 * cells // SIDE)
        assert two.values == pytest.approx(np.roll(one.values, step, axis=(1, 2)), abs=1e-5), one.kind


def test_maps_move_by_a_stride_of_the_network(filters):
    """Also those of gradients, and of masks whose cells are as large as the stride."""
    first = painted(0, 16, 16, others=[(1, 40, 8)])
    moved = painted(0, 16 + STRIDE, 16 - STRIDE, others=[(1, 40 + STRIDE, 8 - STRIDE)])

    def maps(image):
        yield code_maps(filters, image)
        for gradient in ("gradcam", "gradient_input", "saliency", "integrated_gradients"):
            yield implicit_maps(filters, image, gradient=gradient, steps=4)
        yield black_box_maps(filters, image, method="occlusion", grid=SIDE // STRIDE)

    for one, two in zip(maps(first), maps(moved), strict=True):
        step = STRIDE * one.values.shape[1] // SIDE
        assert one.values[:2].any(axis=(1, 2)).all()
        assert two.values == pytest.approx(np.roll(one.values, (step, -step), axis=(1, 2)), abs=1e-5), one.kind


def test_codes_are_the_exact_codes(filters):
    """A patch is 0.5 brighter in its colour and darker in the others: 1, 2 and 2.5 in normalised units."""
    maps = code_maps(filters, painted(0, 8, 8))
    assert maps.values[0, 2:6, 2:6] == pytest.approx((1 + 0.5 * (2 + 2.5) - 0.5) / 2, abs=1e-5)
    assert maps.scores[0] == pytest.approx(16 * maps.values[0].max())
    assert code_maps(filters, painted(0, 8, 8), of="max").scores[0] == pytest.approx(maps.values[0].max())


def smooth(seed=0):
    """A small network of smooth layers, so that differences of its scores mean something; double precision."""
    torch.manual_seed(seed)
    net = nn.Sequential(
        nn.Conv2d(3, 6, 3, stride=2, padding=1), nn.Tanh(), nn.Conv2d(6, 8, 3, padding=1), nn.Sigmoid(),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 3),
    )  # fmt: skip
    model = ww.VisionModel(net.double(), input_size=12, mean=(0.4, 0.5, 0.6), std=(0.2, 0.3, 0.4))
    return ConceptCoder(model, model.cut("3"), torch.rand(4, 8, dtype=torch.float64))


@pytest.mark.parametrize("of", ["sum", "max"])
def test_gradients_are_differences_of_scores_in_pixels(of):
    coder = smooth()
    pixels = np.random.default_rng(0).random((12, 12, 3)).astype(np.float32)
    std = np.asarray(coder.model.preprocess.std)

    with coder.model.computing():
        x = coder.model.to_input(pixels)
        scores = pooled(coder.codes(x), of)[0].numpy()
        step, sizes = 1e-6, torch.tensor(1 / std).repeat_interleave(144)
        moves = (step * torch.diag(sizes)).reshape(432, 3, 12, 12)  # steps of that size in pixel space
        near = [pooled(coder.codes(x + sign * moves), of) for sign in (1, -1)]
        wanted = ((near[0] - near[1]) / (2 * step)).T.reshape(4, 3, 12, 12).numpy()
    saliency = implicit_maps(coder, pixels, gradient="saliency", of=of)
    assert saliency.present.all()
    assert saliency.values == pytest.approx(np.abs(wanted).max(axis=1), abs=2e-5 * np.abs(wanted).max())
    product = implicit_maps(coder, pixels, gradient="gradient_input", of=of)
    difference = np.moveaxis(pixels - np.asarray(coder.model.preprocess.mean), -1, 0)
    assert product.values == pytest.approx((wanted * difference).sum(axis=1), abs=2e-5 * np.abs(wanted).max())
    assert product.scores == pytest.approx(scores)
    assert product.n_backwards == 4


def test_integrated_gradients_add_up_to_the_difference_from_the_baseline():
    coder = smooth(1)
    pixels = np.random.default_rng(1).random((12, 12, 3)).astype(np.float32)
    found = {
        n: implicit_maps(coder, pixels, gradient="integrated_gradients", steps=n, baseline="black") for n in (2, 64)
    }
    assert np.abs(found[64].gaps).max() < 1e-3 * np.abs(found[64].scores).max()
    assert np.abs(found[64].gaps).max() < np.abs(found[2].gaps).max()
    black = code_maps(coder, np.zeros_like(pixels)).scores
    assert found[64].values.sum((1, 2)) - found[64].gaps == pytest.approx(found[64].scores - black, rel=1e-5)
    records = [
        step.record for step in implicit_steps(coder, pixels, gradient="integrated_gradients", steps=64) if step.record
    ]
    assert [record.complete for record in records] == [False] * 63 + [True]
    assert np.corrcoef(records[7].values.ravel(), records[-1].values.ravel())[0, 1] > 0.99


def test_images_are_taken_together_where_memory_allows(monkeypatch):
    coder = smooth(1)
    pixels = np.random.default_rng(1).random((12, 12, 3)).astype(np.float32)
    options = {"gradient": "integrated_gradients", "steps": 11}
    alone = implicit_maps(coder, pixels, **options)
    monkeypatch.setattr(_gradient_run, "_batch_of", lambda _: 8)
    together = implicit_maps(coder, pixels, **options)
    assert together.values == pytest.approx(alone.values, abs=1e-6)
    assert (together.n_backwards, alone.n_backwards) == (44, 44)
    encode = Cut.encode

    def hungry(self, images):
        if len(images) > most:
            raise torch.OutOfMemoryError(f"no room for {len(images)}")
        return encode(self, images)

    monkeypatch.setattr(Cut, "encode", hungry)
    most = 3
    assert implicit_maps(coder, pixels, **options).values == pytest.approx(alone.values, abs=1e-6)

    def failing(self, images):
        if images.requires_grad:
            raise torch.OutOfMemoryError("no room at all")
        return encode(self, images)

    monkeypatch.setattr(Cut, "encode", failing)
    with pytest.raises(MemoryError, match="out of memory on cpu with the gradients of one image"):
        implicit_maps(coder, pixels, **options)


def test_smoothgrad_of_hardly_any_noise_is_saliency():
    coder = smooth(2)
    pixels = np.random.default_rng(2).random((12, 12, 3)).astype(np.float32)
    plain = implicit_maps(coder, pixels, gradient="saliency")
    near = implicit_maps(coder, pixels, gradient="smoothgrad", steps=2, noise=1e-6)
    assert near.values == pytest.approx(plain.values, abs=1e-4 * float(plain.values.max()))
    noisy = [implicit_maps(coder, pixels, gradient="smoothgrad", steps=2, seed=s).values for s in (0, 0, 1)]
    assert np.array_equal(noisy[0], noisy[1])
    assert not np.array_equal(noisy[0], noisy[2])


def test_gradcam_at_an_earlier_layer_is_its_definition():
    coder = smooth(3)
    pixels = np.random.default_rng(3).random((12, 12, 3)).astype(np.float32)
    early = coder.model.cut("1")
    got = implicit_maps(coder, pixels, gradient="gradcam", at=early)
    net = coder.model.source_net
    features = net[:2](coder.model.to_input(pixels)).detach().requires_grad_()
    rows = net[2:4](features).movedim(1, -1).reshape(-1, 8)
    gram = coder.bank @ coder.bank.T
    u = torch.zeros(len(rows), 4, dtype=torch.float64)
    for _ in range(3000):
        u = (u - (u @ gram - rows @ coder.bank.T) / torch.linalg.eigvalsh(gram).max()).clamp_min(0)
    for k in range(4):
        (slope,) = torch.autograd.grad(u[:, k].sum(), features, retain_graph=True)
        wanted = (slope.mean((2, 3), keepdim=True) * features).sum(1)[0].detach()
        assert got.values[k] == pytest.approx(wanted.numpy(), abs=1e-5 * float(wanted.abs().max()))


def test_the_layer_of_a_gradcam_has_to_come_before():
    coder = smooth(4)
    pixels = np.full((12, 12, 3), 0.7, dtype=np.float32)
    before = ConceptCoder(coder.model, coder.model.cut("1"), torch.rand(2, 6))
    with pytest.raises(ValueError, match="at: wanted a layer that is passed on the way to '1', got '3'"):
        implicit_maps(before, np.random.default_rng(0).random((12, 12, 3)), gradient="gradcam", at=coder.cut)
    with pytest.raises(ValueError, match="at: goes with gradient='gradcam' only"):
        implicit_maps(coder, pixels, at=coder.cut)


def test_other_encoders_pass_gradients_on_or_say_that_they_do_not():
    coder = smooth(5)
    pixels = np.random.default_rng(5).random((12, 12, 3)).astype(np.float32)
    signed = ConceptCoder(coder.model, coder.cut, coder.bank, encode=lambda rows: (rows - 0.5) @ coder.bank.T)
    maps = implicit_maps(signed, pixels, gradient="integrated_gradients", steps=32)
    assert maps.present.all()
    assert np.abs(maps.gaps).max() < 1e-2 * np.abs(maps.values).sum((1, 2)).max()
    detached = ConceptCoder(coder.model, coder.cut, coder.bank, encode=lambda rows: rows.detach() @ coder.bank.T)
    numpy = ConceptCoder(
        coder.model, coder.cut, coder.bank, encode=lambda rows: torch.from_numpy(rows.numpy() @ coder.bank.numpy().T)
    )
    plain = ConceptCoder(coder.model, coder.cut, coder.bank, encode=lambda rows: rows @ coder.bank.T)
    wanted = black_box_maps(plain, pixels, method="occlusion", grid=3)
    assert wanted.values.any(axis=(1, 2)).all()
    for blind in (detached, numpy):
        with pytest.raises(ValueError, match=r"encode: wanted a function that passes gradients on.*black_box_maps"):
            implicit_maps(blind, pixels)
        masked = black_box_maps(blind, pixels, method="occlusion", grid=3)
        assert masked.values == pytest.approx(wanted.values, abs=1e-6)
        assert masked.scores == pytest.approx(wanted.scores)
        assert code_maps(blind, pixels).values == pytest.approx(code_maps(plain, pixels).values, abs=1e-6)


def test_masked_maps_are_their_definitions(filters):
    """Every masked image made by itself, then the engine's estimators by hand."""
    image, base = painted(0, 8, 16, others=[(2, 40, 32)]), np.zeros(3, np.float32)
    grid, cells = (4, 2), 8

    def scores(masks):
        spread = np.kron(masks.reshape(-1, *grid), np.ones((1, SIDE // 4, SIDE // 2)))[..., None]
        return np.stack([code_maps(filters, (w * image + (1 - w) * base).astype(np.float32)).scores for w in spread])

    options = {"grid": grid, "baseline": "black", "seed": 5}
    a, b = base_matrices("nested", 4, cells, 5)
    columns = [scores(a)] + [scores(np.where(np.arange(cells) == i, b, a)) for i in range(cells)]
    design = np.stack(columns, axis=1)
    wanted = np.stack([total_order(design[..., k]) for k in (0, 2)])
    sobol = black_box_maps(filters, image, method="sobol", rows=4, **options)
    assert sobol.values[[0, 2]].reshape(2, -1) == pytest.approx(wanted, rel=1e-3)
    assert (sobol.errors[0] >= 0).all()
    whole = code_maps(filters, image).scores
    occlusion = black_box_maps(filters, image, method="occlusion", **options)
    assert occlusion.values.reshape(3, -1) == pytest.approx((whole - scores(1 - np.eye(cells))).T, abs=1e-4)
    coins = (base_matrices("nested", 32, cells, 5)[0] >= 0.5).astype(float)
    rise, few = (black_box_maps(filters, image, method="rise", rows=n, **options) for n in (32, 8))
    fit = np.linalg.lstsq(np.column_stack([coins, np.ones(32)]), scores(coins), rcond=None)[0][:cells].T
    assert rise.values[[0, 2]].reshape(2, -1) == pytest.approx(fit[[0, 2]], abs=1e-4)
    plain = shown_effect(coins[:8], scores(coins[:8]))
    assert few.values[[0, 2]].reshape(2, -1) == pytest.approx(plain[[0, 2]], abs=1e-4)
    hsic = black_box_maps(filters, image, method="hsic", rows=32, **options)
    assert hsic.values[[0, 2]].reshape(2, -1) == pytest.approx(binary_hsic(coins, scores(coins))[[0, 2]], abs=1e-4)
    assert (sobol.n_forwards, occlusion.n_forwards, rise.n_forwards) == (37, 9, 33)


def test_masked_maps_come_step_by_step_and_memory_may_run_out(filters, monkeypatch):
    image = painted(0, 8, 16)
    steps = list(black_box_steps(filters, image, rows=4, grid=4))
    records = [step.record for step in steps if step.record is not None]
    assert [step.done for step in steps] == sorted(step.done for step in steps)
    assert steps[-1].done == steps[-1].total == 4 * 17
    assert [r.complete for r in (records[0], records[-1])] == [False, True]
    encode = Cut.encode

    def hungry(self, images):
        if len(images) > 5:
            raise torch.OutOfMemoryError(f"no room for {len(images)}")
        return encode(self, images)

    monkeypatch.setattr(Cut, "encode", hungry)
    batch = filters.model.batch_size
    again = black_box_maps(filters, image, rows=4, grid=4)
    filters.model.batch_size = batch
    assert again.values == pytest.approx(records[-1].values, abs=1e-6)


def test_the_world_is_as_before_between_two_steps():
    """Grad mode, hooks, and the user's network, which takes a training step in between."""
    coder = smooth(6)
    pixels = np.random.default_rng(6).random((12, 12, 3)).astype(np.float32)
    net = coder.model.source_net.train()
    optimiser = torch.optim.SGD(net.parameters(), lr=1e-3)
    for steps in (
        implicit_steps(coder, pixels, gradient="smoothgrad", steps=3),
        implicit_steps(coder, pixels, gradient="gradcam", at=coder.model.cut("1")),
        black_box_steps(coder, pixels, rows=2, grid=2),
    ):
        with torch.no_grad():
            for _ in steps:
                assert not torch.is_grad_enabled()
                assert not torch.is_inference_mode_enabled()
                hooks = [m._forward_hooks for n in (net, coder.model.net) for m in n.modules()]
                assert not any(hooks)
                assert net.training
                with torch.enable_grad():
                    net(torch.rand(2, 3, 12, 12, dtype=torch.float64)).sum().backward()
                optimiser.step()
                optimiser.zero_grad()
    assert all(p.requires_grad and p.grad is None for p in net.parameters())


def test_maps_within_inference_mode_and_with_tensors_made_there():
    coder = smooth(7)
    pixels = np.random.default_rng(7).random((12, 12, 3)).astype(np.float32)
    wanted = implicit_maps(coder, pixels).values
    with torch.inference_mode():
        inside = ConceptCoder(coder.model, coder.model.cut("3"), coder.bank.clone())
        got = implicit_maps(inside, pixels).values
    assert np.array_equal(got, wanted)
    assert np.array_equal(implicit_maps(inside, pixels).values, wanted)


def test_tokens_of_a_transformer(untrained):
    model = ww.VisionModel(untrained("vit_b_16"), input_size=64, mean=(0.5,) * 3, std=(0.25,) * 3)
    model.batch_size = 4
    cut = model.cut("encoder.layers.encoder_layer_3")
    image = np.random.default_rng(0).random((64, 64, 3)).astype(np.float32)
    with model.computing():
        tokens = cut.encode(model.to_input(image))[0].clone()
    coder = ConceptCoder(model, cut, tokens[[1, 8]])
    codes = code_maps(coder, image)
    assert codes.values.shape == (2, 4, 4)
    assert codes.values[0, 0, 0] == pytest.approx(
        1, abs=1e-3
    )  # the place that the atom is made of, but for the CLS token
    assert codes.values[1, 1, 3] == pytest.approx(1, abs=1e-3)
    pixel = implicit_maps(coder, image, gradient="gradient_input")
    early = implicit_maps(coder, image, gradient="gradcam", at=model.cut("encoder.layers.encoder_layer_1"))
    masked = black_box_maps(coder, image, grid=2, method="occlusion")
    assert (pixel.values.shape, early.values.shape, masked.values.shape) == ((2, 64, 64), (2, 4, 4), (2, 2, 2))
    assert all(np.isfinite(maps.values).all() and not maps.flat.any() for maps in (pixel, early, masked))


@pytest.mark.parametrize(
    ("function", "options", "error", "match"),
    [
        (code_maps, {"of": "mean"}, ValueError, r"of: wanted one of \('sum', 'max'\), got 'mean'"),
        (code_maps, {"pixels": np.zeros((64, 64, 3), int)}, TypeError, "pixels: wanted a float32 array"),
        (code_maps, {"pixels": np.zeros((32, 64, 3))}, ValueError, r"pixels: wanted shape \(64, 64, 3\)"),
        (code_maps, {"pixels": np.full((64, 64, 3), np.nan)}, ValueError, "pixels: wanted finite numbers"),
        (implicit_steps, {"gradient": "lime"}, ValueError, "gradient: wanted one of"),
        (implicit_steps, {"steps": 0}, ValueError, "steps: wanted an integer of at least 1"),
        (implicit_steps, {"noise": 2}, ValueError, "noise: wanted a number above 0 and below 1"),
        (black_box_steps, {"method": "shap"}, ValueError, "method: wanted one of"),
        (black_box_steps, {"grid": 65}, ValueError, "grid: wanted an integer from 1 to 64, got 65"),
        (black_box_steps, {"grid": (2, 2, 2)}, ValueError, "grid: wanted one number of cells a side, or two"),
        (black_box_steps, {"rows": 1}, ValueError, "rows: wanted an integer of at least 2"),
        (black_box_steps, {"rows": 3, "method": "hsic"}, ValueError, "rows: wanted an integer of at least 4"),
        (black_box_steps, {"rows": 3, "method": "occlusion"}, ValueError, "rows: occlusion hides each cell once"),
    ],
)
def test_bad_input(filters, function, options, error, match):
    with pytest.raises(error, match=match):
        function(filters, **{"pixels": painted(0, 0, 0)} | options)


def test_coders_that_do_not_go_together(filters):
    model, cut = filters.model, filters.cut
    with pytest.raises(ValueError, match=r"bank: wanted 3 columns as 'relu' has features, got shape \(2, 4\)"):
        ConceptCoder(model, cut, torch.ones(2, 4))
    with pytest.raises(TypeError, match="encode: wanted a function of features, got int"):
        ConceptCoder(model, cut, torch.ones(2, 3), encode=3)
    for wrong, error, match in (
        (lambda rows: rows.numpy(), TypeError, r"encode: wanted a function to a torch\.Tensor, got ndarray"),
        (lambda rows: rows, ValueError, r"encode: wanted codes of shape \(n, r\) = \(256, 2\), got \(256, 3\)"),
        (lambda rows: rows[:, :2] * torch.nan, ValueError, "encode: wanted finite codes"),
    ):
        with pytest.raises(error, match=match):
            code_maps(ConceptCoder(model, cut, torch.ones(2, 3), encode=wrong), painted(0, 0, 0))
