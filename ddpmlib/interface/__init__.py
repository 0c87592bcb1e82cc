"""Interface: plots, players, and panels of controls for notebooks."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "corpus_browser": ["browse"],
        "editing_table": ["keep_mask", "open_editing_table"],
        "listening_test_panel": ["open_listening_test"],
        "players": [
            "mel_player",
            "mel_players",
            "metrics_table",
            "player",
            "sound_table",
        ],
        "plots": [
            "curve",
            "loss_curves",
            "mel_grid",
            "show_alignment",
            "show_mel",
            "waveform_stft_mel",
        ],
        "sampling_studio": ["open_studio"],
        "speech_panel": ["SpeechProvenance", "alignment_players", "open_speech_panel"],
        "training_dashboard": ["watch"],
    },
)
