"""Which files are images, recordings, videos and documents, by their endings."""

from __future__ import annotations

__all__ = ["AUDIO", "IMAGES", "METADATA", "PDF", "VIDEOS"]

#: what Pillow reads
IMAGES = (
    "blp bmp dib bufr cur pcx dcx dds ps eps fit fits fli flc ftc ftu gbr gif grib png apng jp2 j2k jpc jpf jpx j2c "
    "icns ico im iim tif tiff jfif jpe jpg jpeg mpg mpeg msp pcd pxr pbm pgm ppm pnm psd bw rgb rgba sgi ras tga icb "
    "vda vst webp wmf emf xbm xpm"
).split()
#: what libsndfile reads
AUDIO = (
    "aiff au avr caf flac htk svx mat4 mat5 mpc2k ogg paf pvf raw rf64 sd2 sds ircam voc w64 wav nist wavex wve xi mp3 "
    "opus"
).split()
VIDEOS = ["mkv", "mp4", "avi", "mpeg", "mov"]
PDF = ["pdf"]
#: the files beside media that say more about them
METADATA = ("metadata.csv", "metadata.jsonl", "metadata.parquet")
