"""The decoders that strangers' files may be given to, by ffmpeg's names."""

_VIDEO = (
    "h264 hevc av1 libdav1d libaom-av1 vp8 vp9 libvpx libvpx-vp9 mpeg1video mpeg2video mpegvideo mpeg4 "
    "msmpeg4 msmpeg4v1 msmpeg4v2 wmv1 wmv2 wmv3 vc1 theora mjpeg prores ffv1 h263 flv dvvideo "
    "huffyuv rawvideo png"
)
_AUDIO = (
    "aac aac_fixed mp3 mp3float mp2 mp2float mp1 mp1float opus libopus vorbis libvorbis flac alac ac3 eac3 "
    "dca wmav1 wmav2 wmapro wmavoice wavpack amrnb amrwb libopencore_amrnb libopencore_amrwb adpcm_ima_wav "
    "adpcm_ms adpcm_ima_qt nellymoser speex pcm_u8 pcm_s8 pcm_s16le pcm_s16be pcm_s24le pcm_s24be "
    "pcm_s32le pcm_s32be "
    "pcm_f32le pcm_f32be pcm_f64le pcm_alaw pcm_mulaw pcm_bluray pcm_dvd"
)
_SUBTITLES = "subrip srt ass ssa webvtt mov_text text"

DECODERS = ",".join(f"{_VIDEO} {_AUDIO} {_SUBTITLES}".split())
