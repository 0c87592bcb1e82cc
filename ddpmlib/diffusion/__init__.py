"""Diffusion: schedules, forward process and loss, samplers, guidance, and the DDPM itself."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "ddpm": ["DDPM"],
        "editing": ["Edit"],
        "process": ["PREDICTION_TYPES", "add_noise", "prediction_target", "training_loss"],
        "provenance": ["SampleProvenance"],
        "samplers": ["SAMPLERS"],
        "speech": ["Speech", "replace_word", "save_speech"],
        "schedules": ["SCHEDULES", "noise_schedule"],
    },
)
