"""A pen for static pictures: shapes and text in picture units, drawn at twice as many pixels for sharp text."""

from __future__ import annotations

from PIL import Image, ImageDraw, ImageFont

SCALE = 2  # pixels a unit
INK, SOFT, LINE, PAPER, WASH = "#1C1C1A", "#5F5D58", "#E3E2DE", "#FFFFFF", "#F5F5F3"
_DARK = 140  # luma below which what is written on a colour is white


def blank(width: float, height: float) -> Image.Image:
    """Make an empty page.

    Parameters
    ----------
    width, height : float
        Its size.

    Returns
    -------
    PIL.Image.Image
        White.
    """
    return Image.new("RGB", (max(1, round(width * SCALE)), max(1, round(height * SCALE))), PAPER)


def on_colour(hue: str) -> str:
    """Choose what to write with on a colour.

    Parameters
    ----------
    hue : str
        ``"#RRGGBB"``.

    Returns
    -------
    str
        White or ink.
    """
    red, green, blue = (int(hue[i : i + 2], 16) for i in (1, 3, 5))
    return PAPER if 0.299 * red + 0.587 * green + 0.114 * blue < _DARK else INK


class Pen:
    """Draws on a page.

    Parameters
    ----------
    page : PIL.Image.Image
        From `blank`.
    """

    def __init__(self, page: Image.Image) -> None:
        self._draw = ImageDraw.Draw(page)

    def box(self, x: float, y: float, width: float, height: float, fill: str) -> None:
        """Fill a rectangle.

        Parameters
        ----------
        x, y, width, height : float
            Left and upper edge, and size.
        fill : str
            Colour.
        """
        corners = (x * SCALE, y * SCALE, (x + width) * SCALE - 1, (y + height) * SCALE - 1)
        self._draw.rectangle(corners, fill=fill)

    def line(self, points: list[tuple[float, float]], fill: str, width: float = 1) -> None:
        """Draw a line through points.

        Parameters
        ----------
        points : list of (float, float)
            At least two.
        fill : str
            Colour.
        width : float, default 1
            Its width.
        """
        self._draw.line([(x * SCALE, y * SCALE) for x, y in points], fill=fill, width=round(width * SCALE))

    def disc(self, x: float, y: float, size: float, fill: str, outline: str | None = None) -> None:
        """Fill a disc.

        Parameters
        ----------
        x, y, size : float
            Left and upper edge, and diameter.
        fill : str
            Colour.
        outline : str, optional
            Colour of its edge.
        """
        corners = (x * SCALE, y * SCALE, (x + size) * SCALE, (y + size) * SCALE)
        self._draw.ellipse(corners, fill=fill, outline=outline, width=SCALE)

    def shape(self, points: list[tuple[float, float]], fill: str, outline: str | None = None) -> None:
        """Fill a polygon.

        Parameters
        ----------
        points : list of (float, float)
            Its corners.
        fill : str
            Colour.
        outline : str, optional
            Colour of its edge.
        """
        self._draw.polygon([(x * SCALE, y * SCALE) for x, y in points], fill=fill, outline=outline, width=SCALE)

    def write(self, x: float, y: float, text: str, *, fill: str = INK, size: int = 11, anchor: str = "lm") -> None:
        """Write a line of text.

        Parameters
        ----------
        x, y : float
            Where its anchor lies.
        text : str
            What.
        fill : str, default ink
            Colour.
        size : int, default 11
            Height of the type.
        anchor : str, default "lm"
            Pillow's: which point of the text is placed.
        """
        font = ImageFont.load_default(size * SCALE)
        self._draw.text((x * SCALE, y * SCALE), text, fill=fill, font=font, anchor=anchor)

    def width_of(self, text: str, size: int = 11) -> float:
        """Measure a line of text.

        Parameters
        ----------
        text : str
            What.
        size : int, default 11
            Height of the type.

        Returns
        -------
        float
            Its width.
        """
        return ImageFont.load_default(size * SCALE).getlength(text) / SCALE

    def concept(self, x: float, y: float, letter: str, hue: str, size: float = 16) -> None:
        """Draw a concept's mark: its letter on its hue.

        Parameters
        ----------
        x, y : float
            Left and upper edge.
        letter : str
            The letter.
        hue : str
            Its colour.
        size : float, default 16
            Diameter.
        """
        self.disc(x, y, size, hue)
        self.write(x + size / 2, y + size / 2, letter, fill=on_colour(hue), size=round(size * 0.62), anchor="mm")
