"""Thin library behind the notebooks: audio -> mel-spectrograms -> DDPM -> speech.

Each wing hands on the few names that notebooks use; they are imported when first used, so that
`import ddpmlib` is instant and the workers of a preparation never load torch.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "data.dataset": ["GCPSpectrogramSet", "SpectrogramSet"],
        "diffusion.ddpm": ["DDPM"],
        "spectrogram.mel": ["audio_to_image"],
        "vocoder.waveform": ["image_to_audio"],
    },
)
