"""Make the spectrum of photographs that comes with the package, and fit the law's fifteen numbers to it.

    python tests/benchmarks/photo_spectrum.py FOLDER OUT.npz

The packaged file was made from 500 photographs of ImageNet, one of each odd class, less those of under 256 pixels a
side. Only their mean spectrum is kept. Where OUT.npz is there already, its magnitudes have to be the same to the bit.
"""

from __future__ import annotations

import hashlib
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
from scipy.optimize import least_squares

from whatwhere.prototypes.measured import magnitude_from_images
from whatwhere.prototypes.spectrum import Spectrum

MEASURED, STORED = 256, 128
NOTE = (
    "Mean modulus of the Fourier transform of the centre squares of {} photographs of ImageNet, one of each odd class, "
    "made smaller to 256 pixels, normalised by ImageNet's mean and deviation, in decorrelated colours, their edges "
    "faded out; averaged over the square's symmetries, then interpolated in the logarithm to 128 pixels. No picture "
    "can be made out of it."
)
LICENCES = ("none is told with the photographs; they are no part of the package",)


def fit(spectrum: Spectrum) -> None:
    """Print the law that is nearest in the logarithm, rings weighing the same."""
    magnitude = spectrum.magnitude.astype(np.float64)
    side = spectrum.width
    rows, columns = np.fft.fftfreq(side)[:, None], np.fft.rfftfreq(side)[None]
    radius, angle = 512 * np.hypot(rows, columns), np.arctan2(rows, columns)
    inside = (radius > 0) & (radius <= 256)
    r, t = radius[inside], angle[inside]
    for channel in magnitude:
        log = np.log(channel[inside])

        def misfit(p, log=log):
            return (p[0] - p[1] * np.log(r) - (r / np.exp(p[2])) ** p[3] + p[4] * np.cos(4 * t) - log) / np.sqrt(r)

        best = least_squares(misfit, [log.max(), 1.2, np.log(180), 2.0, 0.1])
        a, s, c, q, e = best.x
        error = np.sqrt(np.average((best.fun * np.sqrt(r)) ** 2, weights=1 / r))
        words = (
            f"a={np.exp(a):.5g} s={s:.4g} c={np.exp(c):.4g} q={q:.4g} e={e:.3g} "
            f"mean={channel[0, 0]:.4g} rms={error:.3f}"
        )
        print(words)


def main(folder: str, out: str) -> None:
    """Measure, store and fit."""
    measured = magnitude_from_images(
        folder, size=MEASURED, window=True, mirrored=True, source="photos", licences=LICENCES
    )
    print(measured)
    before = Spectrum.load(out) if Path(out).is_file() else None
    note = NOTE.format(measured.images)
    replace(measured, magnitude=measured.at((STORED, STORED)), width=STORED, note=note).save(out)
    now = Spectrum.load(out)
    if before is not None and before != now:
        raise SystemExit(f"The magnitudes are not those of before: {now.key}, not {before.key}.")
    print(f"images {now.images_hash}, magnitudes {hashlib.sha256(now.magnitude.tobytes()).hexdigest()}")
    fit(measured)
    fit(Spectrum.load(out))


if __name__ == "__main__":
    main(*sys.argv[1:])
