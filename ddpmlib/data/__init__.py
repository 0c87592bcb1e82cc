"""Data sets: recordings -> segments -> one `.npy` of mel-spectrograms and its conditions."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "build": ["build_dataset"],
        "conditions": ["condition_path"],
        "dataset": ["GCPSpectrogramSet", "Reconditioned", "SpectrogramSet", "open_splits"],
        "manifest": ["SPLITS", "little_data", "read_manifest"],
        "preparation": ["AUGMENTATIONS", "Preparation"],
        "recordings": ["held_out_files", "pieces"],
        "segments": ["segment"],
    },
)
