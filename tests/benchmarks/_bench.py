"""What the parts of the engine's benchmark share: options, measures, the model, photos and tables."""

from __future__ import annotations

import contextlib
import os
import platform
import resource
import statistics
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    import numpy as np
    import torch
    from numpy.typing import NDArray

    import whatwhere as ww
    from whatwhere.pixels.images import Photo, Pixels

_STARTED = time.perf_counter()


@dataclass(frozen=True)
class Options:
    """What a person asked for; it travels to the processes that measure."""

    device: str = "cpu"
    threads: int = 1
    grid: int = 8  # cells a side, but for the part on rows
    speed_rows: int = 8  # 520 forwards
    rounds: int = 3
    bare_images: int = 256  # forwards of each bare run
    settings_images: int = 64
    compiled: bool = False
    photos: int = 4
    rows_grid: int = 7
    reference_rows: int = 256
    most_rows: int = 128
    map_rows: int = 32


@dataclass
class Cost:
    """What a block of code took: seconds by the wall, in the process and in the system for it, and page faults."""

    wall: float = 0.0
    user: float = 0.0
    system: float = 0.0
    faults: int = 0

    @property
    def cpu(self) -> float:
        return self.user + self.system

    def each(self, forwards: float) -> dict[str, float]:
        """Return milliseconds, and faults, a forward."""
        seconds = {"cpu_ms": self.cpu, "user_ms": self.user, "system_ms": self.system, "wall_ms": self.wall}
        return {name: 1000 * value / forwards for name, value in seconds.items()} | {"faults": self.faults / forwards}


def measure_of(device: str) -> str:
    """Name the cost that comparisons go by: on a shared CPU the wall says nothing, on a GPU the process does not."""
    return "cpu_ms" if device == "cpu" else "wall_ms"


@contextlib.contextmanager
def metered(device: str) -> Iterator[Cost]:
    """Measure a block of code; on a GPU it begins and ends with an idle one."""
    cost = Cost()
    _settle(device)
    before, begin = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
    yield cost
    _settle(device)
    cost.wall = time.perf_counter() - begin
    after = resource.getrusage(resource.RUSAGE_SELF)
    cost.user = after.ru_utime - before.ru_utime
    cost.system = after.ru_stime - before.ru_stime
    cost.faults = after.ru_minflt - before.ru_minflt


def _settle(device: str) -> None:
    if device != "cpu":
        import torch

        torch.cuda.synchronize()


def load(options: Options) -> ww.VisionModel:
    """Load EfficientNet-Lite0, on as many threads as were asked for."""
    import torch

    import whatwhere as ww

    torch.set_num_threads(options.threads)
    return ww.load_model("efficientnet_lite0", device=options.device)


def one_photo(model: ww.VisionModel) -> tuple[NDArray[np.uint8], Pixels]:
    """Return the photo of the speed parts, and what the network is shown of it."""
    import whatwhere as ww
    from whatwhere.pixels.images import read_photo

    photo = ww.examples.photos()["coffee"]
    return photo, model.preprocess.pixels(read_photo(photo))


def masked_batch(
    model: ww.VisionModel, pixels: Pixels, count: int, grid: int, *, channels_last: bool = True
) -> torch.Tensor:
    """Lay out `count` masked images (count, 3, h, w): what the engine shows the network, all resident at once."""
    import numpy as np
    import torch

    from whatwhere.engine.masks import cell_index
    from whatwhere.engine.sampling import random_points

    height, width = pixels.shape[:2]
    masks = random_points(count, grid * grid)[0].astype(np.float32)[:, cell_index(height, width, (grid, grid)).ravel()]
    weights = torch.from_numpy(masks).view(count, 1, height, width).to(model.device)
    batch = weights * model.to_input(pixels)
    return batch.contiguous(memory_format=torch.channels_last if channels_last else torch.contiguous_format)


def photos(count: int) -> dict[str, Photo]:
    """Collect photos: scikit-image's, scikit-learn's where installed, then some of the shared folder."""
    import whatwhere as ww
    from whatwhere.pixels.images import read_photo

    found: dict[str, Any] = dict(ww.examples.photos())
    with contextlib.suppress(ImportError):
        from sklearn.datasets import load_sample_image

        found |= {name: load_sample_image(f"{name}.jpg") for name in ("china", "flower")}
    told = os.environ.get("WHATWHERE_SHARED")
    root = Path(told) if told else Path(__file__).parents[3] / "shared"
    files = sorted((root / "data" / "imagenet_samples").glob("*.jpg"))
    wanted = min(max(count - len(found), 0), len(files))
    found |= {files[k * len(files) // wanted].stem: files[k * len(files) // wanted] for k in range(wanted)}
    return {name: read_photo(image, name=name) for name, image in list(found.items())[:count]}


def spread(values: Iterable[float]) -> dict[str, float]:
    """Return the median of several rounds and their ends."""
    rounds = sorted(values)
    return {"median": statistics.median(rounds), "low": rounds[0], "high": rounds[-1]}


def machine(options: Options) -> str:
    """Say in a line when and on what the figures were made."""
    import torch

    chip = platform.processor() or platform.machine()
    with contextlib.suppress(OSError):
        told = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
        chip = told[0].partition(":")[2].strip() if told else chip
    where = f", {torch.cuda.get_device_name()}" if options.device != "cpu" else ""
    return (
        f"{time.strftime('%Y-%m-%d')}, {chip}, {os.cpu_count()} cores{where}, Python {platform.python_version()}, "
        f"torch {torch.__version__}, {options.threads} thread{'s' * (options.threads > 1)}, "
        f"1-minute load {os.getloadavg()[0]:.1f} at the start"
    )


def say(text: str) -> None:
    """Tell how far it is, apart from the tables."""
    print(f"[{time.perf_counter() - _STARTED:7.1f} s] {text}", file=sys.stderr, flush=True)


def show(value: Any) -> str:
    """Write a cell of a table: three digits, the ends of several rounds in brackets, a dash for nothing."""
    if isinstance(value, dict):
        low, high = show(value["low"]), show(value["high"])
        return show(value["median"]) + (f" ({low} to {high})" if low != high else "")
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.0f}" if abs(value) >= 100 else f"{value:#.3g}".rstrip(".")
    return str(value)


def table(columns: Sequence[str], rows: Iterable[dict[str, Any]], names: dict[str, str] | None = None) -> str:
    """Write rows as a markdown table; `names` says what a column is called."""
    heads = [(names or {}).get(column, column.replace("_", " ")) for column in columns]
    lines = [heads, ["---"] * len(columns), *([show(row.get(column)) for column in columns] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
