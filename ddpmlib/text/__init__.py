"""Text: words, their pronunciation, when they are spoken in a recording, how long they take."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "alignment": ["Alignment", "Interval", "align"],
        "corpus": ["Aligner", "align_recordings", "alignments_path", "read_alignments"],
        "durations": ["DurationPredictor"],
        "frames": ["phone_frames"],
        "normalisation": ["sentences", "spoken_words"],
        "pronunciation": ["Lexicon"],
        "utterance": ["timed"],
    },
)
