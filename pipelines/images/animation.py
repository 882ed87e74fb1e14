"""Animations on their way into a file: every frame is made when Pillow's writer asks for it."""

from collections.abc import Callable

from PIL import Image

from pipelines.images.reading import Frame


class FrameSequence(Image.Image):
    """What Pillow's writers take for an opened animation, so that they need not get all frames at once.

    They seek through it in ascending order, some of them twice.
    """

    def __init__(self, frame: Callable[[int], Frame], count: int, unit_ms: int) -> None:
        """Prepare the first frame.

        Args:
            frame: gives the frame of a number, all of one size, in a mode that the format holds.
            count: how many there are.
            unit_ms: the format's smallest step of time.
        """
        super().__init__()
        self.n_frames, self.is_animated = count, True
        self.durations_ms: list[int] = []
        """Filled as the frames are made; the writers read each entry after its frame."""
        self._frame = frame
        self._unit_ms = unit_ms
        self._wanted_ms = 0.0
        self._position = -1
        self.seek(0)

    def seek(self, frame: int) -> None:
        """Make a frame the current one; EOFError behind the last, as Pillow has it."""
        if frame >= self.n_frames:
            raise EOFError
        if frame == self._position:
            return
        current = self._frame(frame)
        self.im, self._mode, self._size = current.image.im, current.image.mode, current.image.size
        self.palette = current.image.palette
        self._frame_info = current.image.info
        self._position = frame
        if frame == len(self.durations_ms):
            self._add_duration(current.duration_ms)

    def tell(self) -> int:
        """Give the current frame's number."""
        return self._position

    def copy(self) -> Image.Image:
        """Copy the current frame.

        Only copies name their transparent colour: of the sequence's own one, GIF's writer makes the
        background against which it crops frames, and then loses pixels that look like it.
        """
        image = super().copy()
        image.info = dict(self._frame_info)
        return image

    def _add_duration(self, duration_ms: float) -> None:
        """Round to the format's unit without letting the errors add up."""
        self._wanted_ms += duration_ms
        units = round((self._wanted_ms - sum(self.durations_ms)) / self._unit_ms)
        # Browsers play a GIF's frames of one unit ten times slower.
        self.durations_ms.append(max(units, 2 if self._unit_ms > 1 else 1) * self._unit_ms)
