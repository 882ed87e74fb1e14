"""The bit rates that encoders of sound take; a wish becomes the nearest of them."""

_MP2_KBPS = (32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384)
_MP2_LOW_KBPS = (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)
_MP2_LOW_RATE = 28_000
"""Hz; below it the sound is written at 24,000 or less, for which the standard has other bit rates."""
_MP3_MAX_KBPS, _MP3_LOW_MAX_KBPS = 320, 160
_MP3_LOW_RATE = 32_000
"""Hz; likewise."""
_WMA_MIN_KBPS = 24
_OPUS_MAX_KBPS = 256
"""Of each channel."""
_VORBIS_KBPS = (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 250)
"""Of each channel, at the qualities 0 to 10 and 44,100 Hz."""


def nearest_kbps(encoder: str, kbps: int, channels: int, sample_rate: int) -> int:
    """Give the bit rate that the encoder takes, of all channels together."""
    if encoder == "mp2":
        steps = _MP2_LOW_KBPS if sample_rate < _MP2_LOW_RATE else _MP2_KBPS
        return min(steps, key=lambda each: abs(each - kbps))
    if encoder == "wmav2":
        return max(kbps, _WMA_MIN_KBPS)
    if encoder == "libmp3lame":
        return min(kbps, _MP3_LOW_MAX_KBPS if sample_rate < _MP3_LOW_RATE else _MP3_MAX_KBPS)
    highest = {"libopus": _OPUS_MAX_KBPS, "libvorbis": _VORBIS_KBPS[-1]}.get(encoder)
    return min(kbps, highest * channels) if highest else kbps


def vorbis_quality(kbps: int, channels: int) -> int:
    """Give the quality that comes to about this bit rate.

    Asked for the bit rate itself, Vorbis refuses what does not go with the sample rate.
    """
    each = kbps / channels
    return min(range(len(_VORBIS_KBPS)), key=lambda quality: abs(_VORBIS_KBPS[quality] - each))
