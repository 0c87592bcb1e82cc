"""What stands behind notebook 05: trainings, their results, example sounds."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "examples": ["sound_file", "table_sounds"],
        "results": ["load_results", "measure"],
        "speaking_results": ["sound_files", "VOICES"],
    },
)
