"""Training: configuration, loop, checkpoints, run directories, several processes."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "config": ["TrainConfig"],
        "distributed": ["launch", "open_data"],
        "loop": ["train"],
        "run_directory": ["read_metrics", "sample_conditions", "sample_files"],
    },
)
