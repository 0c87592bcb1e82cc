"""Vocoder: mel-spectrogram -> waveform."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "griffin_lim": ["mel_to_magnitude"],
        "mel_to_linear": ["MelToLinear"],
        "waveform": ["image_to_audio", "images_to_audio"],
    },
)
