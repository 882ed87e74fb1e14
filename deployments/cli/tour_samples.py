"""What `ai-server try` sends to the transforms."""

import subprocess
from pathlib import Path


def sample_picture(folder: Path) -> Path:
    """Draw a colour gradient with a disc."""
    # Imported here so that `ai-server serve` does not pay for it.
    from PIL import Image, ImageDraw

    path = folder / "picture.png"
    if not path.exists():
        red = Image.linear_gradient("L").resize((640, 480))
        picture = Image.merge("RGB", (red, red.rotate(90, expand=True).resize((640, 480)), red.rotate(180)))
        ImageDraw.Draw(picture).ellipse((220, 140, 420, 340), fill="white")
        picture.save(path)
    return path


def sample_film(folder: Path) -> Path:
    """Make four seconds of ffmpeg's moving test picture, with the speech that lies in the folder."""
    import imageio_ffmpeg

    path = folder / "film.mp4"
    if not path.exists():
        command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-nostdin", "-y", "-f", "lavfi"]
        command += ["-i", "testsrc2=size=640x360:rate=25:duration=4", "-i", str(folder / "speech.wav")]
        command += ["-pix_fmt", "yuv420p", "-shortest", str(path)]
        subprocess.run(command, check=True)  # noqa: S603  # no shell; the arguments are our own
    return path
