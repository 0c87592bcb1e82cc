"""Mel-spectrograms: their parameters, the codec of their values, and how they are computed."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "codec": ["decode", "encode", "load_png", "save_png"],
        "mel": ["audio_to_image", "audio_to_mel"],
        "params": ["DEFAULT", "PRESETS", "SpectrogramParams"],
    },
)
