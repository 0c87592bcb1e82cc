"""Networks: the U-Net, what it can be conditioned on, the baseline, and what they cost."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "baseline": ["BaselineConfig", "BaselineUNet"],
        "condition": [
            "ClassCondition",
            "EmbeddingCondition",
            "PhoneCondition",
            "TextCondition",
        ],
        "condition_rows": ["drop_conditions"],
        "devices": ["check_processes"],
        "profile": ["describe", "profile_network"],
        "unet": ["UNet", "UNetConfig"],
    },
)
