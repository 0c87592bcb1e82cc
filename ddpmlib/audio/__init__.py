"""Recordings: found, decoded, cleaned; public corpora of speech."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "cleaning": ["LEVEL_DB", "clean", "save_wav"],
        "corpora": ["CORPORA", "fetch_corpus"],
        "decoding": ["AudioError"],
        "recording": ["Recording", "find_audio", "load_audio"],
        "three_voices": ["make_voices"],
    },
)
