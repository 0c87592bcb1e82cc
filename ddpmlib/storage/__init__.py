"""Paths, local or in Google Cloud Storage; files that appear whole or not at all; parameters."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "atomic": ["atomic_write", "make_folder"],
        "parameters": ["check_parameters", "check_type", "notebook_parameters"],
        "paths": ["bucket_path", "data_folder", "fetch", "publish"],
    },
)
