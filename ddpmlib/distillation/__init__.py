"""Fewer sampling steps: time grids learnt for a model, and teachers of students."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={"teacher": ["Teacher"], "learnt_grid": ["learn_time_grid"]},
)
