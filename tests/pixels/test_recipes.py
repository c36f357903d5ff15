"""Preprocessing of other libraries: the same input, to the last bit where they work on PIL images."""

import functools

import numpy as np
import pytest
import torch
import torchvision.models as tm
from PIL import Image
from torch import nn
from torchvision import transforms as v1
from torchvision.transforms import v2

import whatwhere as ww
from whatwhere.pixels.images import read_photo

IMAGENET = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}
NORMALIZE = v1.Normalize(**IMAGENET)
read = ww.Preprocess.read


@pytest.fixture(scope="module")
def pictures(photos):
    """Photographs, a narrow strip with odd margins, and one that is smaller than any crop."""
    whole = [Image.fromarray(photo).convert("RGB") for photo in photos.values()]
    return [*whole, whole[1].crop((0, 0, 101, 300)), whole[0].crop((10, 10, 43, 30))]


def worst(preprocess, transform, pictures):
    """The largest difference from a transform's result, in grey levels."""
    levels = []
    for picture in pictures:
        photo = read_photo(picture)
        ours = np.moveaxis(preprocess.normalise(preprocess.pixels(photo)), -1, 0)
        theirs = np.asarray(transform(picture))
        assert ours.shape == theirs.shape
        assert preprocess.geometry(photo).size == theirs.shape[1:]
        levels.append(np.abs(ours - theirs) * np.reshape(preprocess.std, (-1, 1, 1)) * 255)
    return np.concatenate([level.ravel() for level in levels])


WEIGHTS = [
    tm.ResNet50_Weights.IMAGENET1K_V1,
    tm.ResNet50_Weights.IMAGENET1K_V2,
    tm.EfficientNet_B0_Weights.IMAGENET1K_V1,
    tm.ViT_B_16_Weights.IMAGENET1K_SWAG_E2E_V1,
    tm.Swin_T_Weights.IMAGENET1K_V1,
    tm.ConvNeXt_Tiny_Weights.IMAGENET1K_V1,
    tm.Inception_V3_Weights.IMAGENET1K_V1,
    tm.segmentation.FCN_ResNet50_Weights.DEFAULT,
    tm.detection.FCOS_ResNet50_FPN_Weights.DEFAULT,
]


@pytest.mark.parametrize("weights", WEIGHTS, ids=str)
def test_torchvisions_weights(weights, pictures):
    preset = weights.transforms()
    assert worst(read(preset), preset, pictures).max() < 1e-3
    assert read(weights) == read(preset)


def test_torchvisions_fields():
    assert read(tm.EfficientNet_B0_Weights.IMAGENET1K_V1) == ww.Preprocess(
        resize=256, crop=(224, 224), interpolation="bicubic", eight_bit=True, **IMAGENET
    )


TO_FLOATS = v2.ToDtype(torch.float32, scale=True)
COMPOSITIONS = {
    "v1": v1.Compose([v1.Resize(72), v1.CenterCrop(64), v1.ToTensor(), NORMALIZE]),
    "v1 by bytes": v1.Compose(
        [v1.Resize((72, 60)), v1.PILToTensor(), v1.ConvertImageDtype(torch.float32), v1.Normalize([0.5] * 3, [0.5] * 3)]
    ),
    "no normalisation": v1.Compose([v1.CenterCrop((50, 70)), v1.ToTensor()]),
    "bicubic by number": v1.Compose([v1.Resize([64], interpolation=3), v1.ToTensor()]),
    "v2": v2.Compose([v2.RGB(), v2.Resize(72), v2.CenterCrop([64]), v2.ToImage(), TO_FLOATS, v2.Normalize(**IMAGENET)]),
    "nested": v1.Compose([v1.Compose([v1.Resize(64), nn.Identity()]), v1.Compose([v1.ToTensor(), NORMALIZE])]),
    "0 to 255": v2.Compose(
        [v2.Resize(64), v2.ToImage(), v2.ToDtype(torch.float32), v2.Normalize([120, 110, 100], [60, 50, 40])]
    ),
}


@pytest.mark.parametrize("name", COMPOSITIONS)
def test_compositions(name, pictures):
    assert worst(read(COMPOSITIONS[name]), COMPOSITIONS[name], pictures).max() < 1e-3


def test_compositions_that_resize_tensors(pictures):
    """Of 8-bit integers within two levels, of floats, before clipping, nearly exactly."""
    integers = v2.Compose([v2.ToImage(), v2.Resize(72, antialias=True), v2.CenterCrop(64), TO_FLOATS, NORMALIZE])
    assert np.quantile(worst(read(integers), integers, pictures), 0.999) < 2
    floats = v2.Compose([v2.ToImage(), TO_FLOATS, v2.Resize(72), v2.CenterCrop(64), NORMALIZE])
    assert not read(floats).eight_bit
    assert worst(read(floats), floats, pictures).max() < 0.5
    sequence = nn.Sequential(v1.Resize(72), v1.CenterCrop(64), v1.ConvertImageDtype(torch.float32), NORMALIZE)
    assert np.quantile(worst(read(sequence), lambda p: sequence(v1.PILToTensor()(p)), pictures), 0.999) < 2


def test_networks_of_grey_images(pictures):
    grey = v1.Compose([v1.Grayscale(), v1.Resize((28, 28)), v1.ToTensor(), v1.Normalize((0.1307,), (0.3081,))])
    preprocess = read(grey)
    assert preprocess.mean == (0.1307,)
    assert worst(preprocess, grey, pictures).max() < 2  # they round to 8 bits before resizing, we after


def test_one_mean_for_an_unknown_number_of_channels_is_asked_about():
    open_question = v1.Compose([v1.ToTensor(), v1.Normalize((0.5,), (0.25,))])
    with pytest.raises(ValueError, match=r"fits grey and colour images alike; give mean and std.*\(mean=\(0\.5,\)\)"):
        read(open_question)
    assert read(open_question, mean=(0.5,), std=(0.25,)).mean == (0.5,)
    assert read(open_question, mean=(0.5,) * 3, std=(0.25,) * 3).std == (0.25,) * 3


def test_a_real_network_sees_the_same_espresso(model, photos):
    """Its own preprocessing, written as torchvision's, gives the same answer but for 8-bit rounding."""
    bicubic = v1.InterpolationMode.BICUBIC
    steps = [v1.Resize(256, bicubic), v1.CenterCrop(224), v1.ToTensor(), v1.Normalize([0.5] * 3, [0.5] * 3)]
    preprocess, picture = read(v1.Compose(steps)), Image.fromarray(photos["coffee"])
    assert preprocess.geometry(read_photo(picture)) == model.preprocess.geometry(read_photo(picture))
    theirs = v1.Compose(steps)(picture)[None]
    ours = torch.from_numpy(preprocess.normalise(preprocess.pixels(read_photo(picture)))).permute(2, 0, 1)[None]
    with model.computing():
        assert torch.allclose(model.logits(ours), model.logits(theirs), atol=1e-4)
        assert model.logits(ours).softmax(1)[0, 967] == pytest.approx(model.predict(picture)[967], abs=0.01)


def _convert_image_to_rgb(image):
    return image.convert("RGB")


def test_clips_own_composition(pictures):
    """Its function that makes pictures RGB, known by name, changes nothing in pixel space."""
    clip = v1.Compose(
        [v1.Resize(64, interpolation=3), v1.CenterCrop(64), _convert_image_to_rgb, v1.ToTensor(), NORMALIZE]
    )
    assert worst(read(clip), clip, pictures).max() < 1e-3


RESIZE, CROP, TENSOR = v1.Resize(72), v1.CenterCrop(64), v1.ToTensor()
REFUSED = [
    ([v1.RandomResizedCrop(64), TENSOR], "its step RandomResizedCrop is random; use the evaluation transform"),
    ([v1.ColorJitter(), TENSOR], "its step ColorJitter is random"),
    ([v2.TrivialAugmentWide(), TENSOR], "its step TrivialAugmentWide is random"),
    ([v1.Pad(3), TENSOR], "its step Pad cannot be drawn back on the photo; give torchvision's"),
    ([v1.FiveCrop(3), TENSOR], "its step FiveCrop cannot be drawn back"),
    ([v1.Lambda(abs), TENSOR], "its step Lambda cannot be drawn back"),
    ([abs, TENSOR], "its step abs cannot be drawn back"),
    ([v1.Resize(72, max_size=90), TENSOR], "its step Resize bounds the long side with max_size"),
    ([RESIZE, RESIZE, TENSOR], "its step Resize is a second resize; keep one"),
    ([CROP, CROP, TENSOR], "its step CenterCrop is a second crop; keep one"),
    ([CROP, RESIZE, TENSOR], "its step Resize resizes after the crop; resize first"),
    ([TENSOR, NORMALIZE, CROP], "its step CenterCrop comes after Normalize; put Normalize last"),
    ([TENSOR, NORMALIZE, NORMALIZE], "its step Normalize normalises a second time"),
    ([RESIZE, NORMALIZE], "its step Normalize normalises a PIL image; put ToTensor"),
    ([RESIZE, CROP], "it ends with a PIL image, wanted floats"),
    ([v1.PILToTensor()], "it ends with 8-bit integers, wanted floats"),
    ([v1.PILToTensor(), v2.Resize(64, antialias=False), TO_FLOATS], r"skips pixels \(antialias=False\)"),
    ([v2.ToDtype(torch.float32)], "comes before ToImage"),
    ([v1.PILToTensor(), v2.ToDtype(torch.int64)], "makes torch.int64, wanted floats"),
    ([v1.PILToTensor(), v2.ToDtype({torch.Tensor: torch.float32})], "has a dtype for each kind of input"),
    ([TENSOR, v1.PILToTensor()], "comes after the values have become floats"),
    ([v1.Grayscale(3), TENSOR], "makes three equal channels"),
]


@pytest.mark.parametrize(("steps", "message"), REFUSED, ids=[message[9:40] for _, message in REFUSED])
def test_steps_that_cannot_be_followed_are_named(steps, message):
    with pytest.raises(ValueError, match=f"^preprocess: .*{message}"):
        read(v1.Compose(steps))


def some_function(picture):
    return picture


@pytest.mark.parametrize(
    ("source", "error", "message"),
    [
        (some_function, TypeError, "can be called but not read; a map on the network's input has to be drawn back"),
        (lambda picture: picture, TypeError, r"give torchvision's weights\.transforms\(\)"),
        (tm.ResNet50_Weights.DEFAULT.transforms, TypeError, r"call it: weights\.transforms\(\)"),
        (functools.partial(some_function), TypeError, "call it"),
        (tm.ResNet50_Weights, TypeError, r"got the class ResNet50_Weights; for weights, its \.DEFAULT"),
        (tm.video.R3D_18_Weights.DEFAULT, TypeError, "VideoClassification is for video"),
        (tm.optical_flow.Raft_Small_Weights.DEFAULT, TypeError, "OpticalFlow is for video"),
        (3, TypeError, "got int, which is not known; give torchvision's"),
        ("imagenet", TypeError, "got str, which is not known"),
    ],
)
def test_what_is_no_preprocessing_is_refused_with_advice(source, error, message):
    with pytest.raises(error, match=f"preprocess: .*{message}"):
        read(source)


def test_a_preprocess_reads_as_itself_and_words_may_add_mean_and_deviation():
    own = ww.Preprocess(resize=256, crop=(224, 224), **IMAGENET)
    assert read(own) is not None
    assert read(own) == own
    assert read(own, mean=(0.5,) * 3).mean == (0.5,) * 3
    assert read(own, std=(0.5,) * 3).mean == own.mean
    pictures_only = v1.Compose([RESIZE, CROP])
    assert read(pictures_only, **IMAGENET) == ww.Preprocess(
        resize=72, crop=(64, 64), interpolation="bilinear", eight_bit=True, **IMAGENET
    )


@pytest.mark.parametrize(
    "words", [{"input_size": 224}, {"resize": 256}, {"crop": None}, {"interpolation": "bilinear"}], ids=str
)
def test_words_that_say_it_twice_are_refused(words):
    with pytest.raises(
        ValueError, match=r"it says how photos are resized and cropped, and so do .*dataclasses\.replace"
    ):
        read(tm.ResNet50_Weights.DEFAULT, **words)


CONFIG = {"input_size": (3, 64, 64), "interpolation": "bicubic", "crop_pct": 0.9, "crop_mode": "center", **IMAGENET}


@pytest.mark.parametrize("mode", ["center", "squash", "border"])
@pytest.mark.parametrize("size", [(3, 64, 64), (3, 48, 80)], ids=str)
@pytest.mark.parametrize("share", [0.875, 0.9, 1.0])
def test_timms_configs_and_transforms(pictures, mode, size, share):
    data = pytest.importorskip("timm.data")
    config = {**CONFIG, "input_size": size, "crop_mode": mode, "crop_pct": share}
    transform = data.create_transform(**config, is_training=False)
    assert worst(read(config), transform, pictures).max() < 1e-3
    assert worst(read(transform), transform, pictures).max() < 1e-3


@pytest.mark.parametrize("name", ["resnet18", "vit_tiny_patch16_224", "tf_efficientnet_b0"])
def test_timms_own_networks(pictures, name):
    timm = pytest.importorskip("timm")
    config = timm.data.resolve_model_data_config(timm.create_model(name, pretrained=False))
    transform = timm.data.create_transform(**config, is_training=False)
    assert worst(read(config), transform, pictures).max() < 1e-3


def test_timms_tensors_from_0_to_255(pictures):
    transforms = pytest.importorskip("timm.data.transforms")
    composition = v1.Compose([v1.Resize(64), transforms.ToTensor(), v1.Normalize([120.0] * 3, [60.0] * 3)])
    assert worst(read(composition), composition, pictures).max() < 1e-3


def test_timms_random_transforms_are_refused():
    data = pytest.importorskip("timm.data")
    with pytest.raises(ValueError, match="is random"):
        read(data.create_transform(64, is_training=True))
    with pytest.raises(ValueError, match="ResizeKeepRatio is random"):
        read(v1.Compose([data.transforms.ResizeKeepRatio(64, random_scale_prob=0.5), TENSOR]))
    with pytest.raises(ValueError, match=r"fits neither the short nor the long side \(longest=0.5\)"):
        read(v1.Compose([data.transforms.ResizeKeepRatio(64, longest=0.5), TENSOR]))
    with pytest.raises(ValueError, match="pads with padding_mode='reflect'"):
        read(v1.Compose([data.transforms.CenterCropOrPad(64, padding_mode="reflect"), TENSOR]))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"mean": None}, r"got a dict without mean; timm\.data\.resolve_model_data_config\(net\) makes one"),
        ({"input_size": 224}, r"wanted input_size = \(channels, height, width\), got 224"),
        ({"input_size": (1, 64, 64)}, "wanted a mean for each of 1 channels"),
        ({"crop_mode": "corner"}, "wanted crop_mode center, squash or border, got 'corner'"),
        ({"crop_border_pixels": 4}, "crop_border_pixels"),
        ({"interpolation": "random"}, "interpolation: wanted one of"),
    ],
)
def test_wrong_timm_configs_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        read({**CONFIG, **change})


def processor(name, **options):
    return getattr(pytest.importorskip("transformers"), f"{name}ImageProcessor")(**options)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("ViT", {}),
        ("CLIP", {}),
        ("ConvNext", {"size": {"shortest_edge": 224}}),
        ("ConvNext", {}),
        ("MobileNetV2", {}),
        ("DeiT", {"size": {"height": 80, "width": 90}, "crop_size": {"height": 64, "width": 64}}),
        ("ViT", {"do_normalize": False}),
        ("ViT", {"do_rescale": False, "image_mean": [120.0] * 3, "image_std": [60.0] * 3}),
        ("MobileViT", {}),
    ],
    ids=str,
)
def test_hugging_face_processors(pictures, name, options):
    """They resize tensors of 8-bit integers: within two levels of Pillow, but for single pixels at edges."""
    made = processor(name, **options)
    levels = worst(read(made), lambda picture: made(picture, return_tensors="np")["pixel_values"][0], pictures)
    assert np.quantile(levels, 0.9999) < 2.01
    assert levels.max() < 12


def test_blue_first_processors_are_noticed():
    assert read(processor("MobileViT")).channel_order == "BGR"


@pytest.mark.parametrize("name", ["EfficientNet", "Levit", "PoolFormer", "Perceiver"])
def test_processors_that_do_otherwise_than_their_settings_say_are_refused(name):
    with pytest.raises(ValueError, match=f"{name}.* does otherwise than its settings say: .*whatwhere.Preprocess"):
        read(processor(name))


def test_processors_with_other_sizes_or_padding_are_refused():
    with pytest.raises(ValueError, match=r"resizes to \{.*longest_edge.*wanted height and width, or shortest_edge"):
        read(processor("ViT", size={"longest_edge": 300, "shortest_edge": 200}))
    with pytest.raises(ValueError, match="has do_pad=True"):
        read(processor("ViT", do_pad=True))
