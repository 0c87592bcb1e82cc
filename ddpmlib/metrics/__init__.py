"""Metrics: is it speech, how good, how varied, is it memorized, who speaks."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "diagnosis": ["Clips", "diagnose"],
        "folders": ["evaluate_folder", "score_folder"],
        "intelligibility": ["evaluate_texts", "score_texts"],
        "memorization": ["diversity", "nearest_neighbours"],
        "speakers": ["SpeakerClassifier", "spoken_seconds"],
        "speech": ["evaluate", "score_clips"],
        "statistics": ["Estimate"],
    },
)
