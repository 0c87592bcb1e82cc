"""The speech panel without a browser: what it says, shows and keeps; players with phones."""

import json
import re
from dataclasses import replace

import numpy as np
import pytest
import soundfile
from pages import controls_in, images_in, sounds_in
from tiny import PARAMS

from ddpmlib.audio.cleaning import PEAK, unclipped
from ddpmlib.diffusion import provenance
from ddpmlib.diffusion.ddpm import DDPM, WEIGHTS
from ddpmlib.diffusion.speech import Speech, condition_of
from ddpmlib.interface import speech_panel
from ddpmlib.interface.speech_panel import SpeechPanel, SpeechProvenance
from ddpmlib.models.condition import ClassCondition, PhoneCondition
from ddpmlib.spectrogram.codec import load_png
from ddpmlib.text.alignment import Alignment, Interval
from ddpmlib.text.pronunciation import PHONES, SILENCE

RUN, TEXT = "tiny", "The little boat. It crossed the lake."
PART = re.compile(r'<button [^>]*class="part( word)?"[^>]* value="([\d.]+) ([\d.]+)"[^>]*>([^<]+)<')


@pytest.fixture(scope="module")
def model(random_model) -> DDPM:
    """Conditioned on phones, with durations of chance."""
    model = random_model(PhoneCondition((SILENCE, *PHONES), *PARAMS.image_size))
    model.network.condition.durations.correction.fill_(1.0)
    return model


def made_by(**changes) -> SpeechProvenance:
    return SpeechProvenance(**{"run": RUN, "text": TEXT, "num_steps": 3} | changes)


@pytest.fixture(scope="module")
def speech(model) -> Speech:
    return made_by().say(model)


@pytest.fixture
def panel(model, speech) -> SpeechPanel:
    return SpeechPanel(model, made_by(), speech)


def parts(page: str, words: bool = False) -> list[tuple[str, float, float]]:
    """Name, begin and end in seconds of what can be clicked."""
    found = [(kind, name, float(a), float(b)) for kind, a, b, name in PART.findall(page)]
    return [(name, a, b) for kind, name, a, b in found if bool(kind) == words]


def test_where_nobody_can_click_controls_texts_are_shown_as_players(model):
    spoken = [made_by(text=text).say(model) for text in ("one", "two, three")]
    page = speech_panel.open_speech_panel(model, made_by(), spoken).data
    assert page.count("<audio ") == page.count("<svg") == 2
    assert [name for name, *_ in parts(page, words=True)] == ["one", "two", "three"]


def test_the_panel_begins_with_what_was_said(panel):
    assert panel.text.value == TEXT
    assert (panel.num_steps.value, panel.speed.value, panel.seed.value) == (3, 1.0, 0)
    assert parts(panel.page.value, words=True)[2][0] == "boat"


def test_say_does_what_the_controls_say(panel, model):
    panel.text.value, panel.seed.value, panel.num_steps.value = " Good morning, Ada. ", 7, 4
    panel.speed.value, panel.guidance_scale.value = 1.25, 2.0
    panel.say.click()
    settings = {"seed": 7, "speed": 1.25, "guidance_scale": 2.0, "num_steps": 4}
    assert panel.made_by == made_by(text="Good morning, Ada.", **settings)
    [expected] = model.say("Good morning, Ada.", **settings)
    [played] = sounds_in(panel.page.value)
    level = PEAK / np.abs(expected.audio).max()
    np.testing.assert_allclose(played, level * expected.audio, atol=1e-3)
    assert panel.status.text == f"{len(expected.audio) / PARAMS.sample_rate:.1f} s of speech"
    assert not panel.say.disabled


def test_progress_counts_the_steps_of_all_sentences(panel, monkeypatch):
    seen, move = [], SpeechPanel.move_bar

    def spy(self, *args):
        move(self, *args)
        seen.append((self.progress.value, self.progress.max))

    monkeypatch.setattr(SpeechPanel, "move_bar", spy)
    panel.text.value, panel.num_steps.value = "One. Two! Three?", 2
    panel.say.click()
    assert seen == [(i, 6) for i in range(1, 7)]


def test_sentences_follow_each_other_without_a_gap(panel):
    words, [first, second] = parts(panel.page.value, words=True), panel.speech.alignments
    names = ["the", "little", "boat", "it", "crossed", "the", "lake"]
    assert [name for name, *_ in words] == names
    rate = PARAMS.sample_rate / PARAMS.hop_length
    frames = panel.speech.mel.shape[-1] - condition_of(second, panel.model).shape[1]
    assert words[3][1] == pytest.approx(second.words[0].start + frames / rate, abs=1e-3)
    assert words[2][1] == pytest.approx(first.words[2].start, abs=1e-3)
    phones = parts(panel.page.value)
    begins, ends = ([phone[side] for phone in phones] for side in (1, 2))
    assert begins == sorted(begins)
    assert all(0 <= b - e < 6 / rate for b, e in zip(begins[1:], ends, strict=False))
    assert 0 <= panel.speech.mel.shape[-1] / rate - ends[-1] < 6 / rate


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "text is ''; needed: at least one word or number"),
        (" ?! ", "text is '?!'; needed: at least one word or number"),
        ("Привет!", "cannot pronounce 'привет'"),
    ],
)
def test_a_text_that_cannot_be_said_is_explained_and_the_panel_goes_on(panel, text, message):
    before = panel.page.value
    panel.text.value = text
    panel.say.click()
    assert message in panel.status.text
    assert (panel.page.value, panel.made_by.text) == (before, TEXT)
    panel.text.value = "Hello."
    panel.say.click()
    assert panel.made_by.text == "Hello."
    assert panel.status.text.endswith(" s of speech")


def test_what_nothing_pronounces_is_spelled_on_request(panel):
    panel.text.value = "zxcvb"
    panel.say.click()
    assert "cannot pronounce 'zxcvb'; needed: " in panel.status.text
    panel.spell.value = True
    panel.say.click()
    assert panel.made_by.spell
    assert [name for name, *_ in parts(panel.page.value)][1:3] == ["Z", "IY"]


def test_a_model_without_phones_says_so(panel, random_model):
    panel.model = random_model(ClassCondition(2, ("ann", "bob")))
    panel.say.click()
    assert panel.status.text == "condition of the model is labels; needed: phones, to say a text"


def test_what_is_kept_says_the_same_again(model, speech, data_folder):
    folder = data_folder / "runs" / RUN
    folder.mkdir(parents=True)
    model.save(folder / WEIGHTS)
    weights = provenance.weights_hash(RUN)
    panel = SpeechPanel(model, made_by(weights=weights), speech)
    panel.text.value, panel.seed.value = "What's up, Doc?", 3
    panel.say.click()
    panel.keeping.click()
    [path] = (folder / "said").glob("*.json")
    assert path.stem.startswith("what_s_up_doc_seed_3_")
    assert str(path) in panel.status.text
    assert {file.suffix for file in path.parent.iterdir()} == {".wav", ".png", ".json"}
    kept_by = SpeechProvenance(**json.loads(path.read_text()))
    assert kept_by == made_by(weights=weights, text="What's up, Doc?", seed=3)
    loaded = replace(DDPM.load(provenance.run_folder(RUN)), precision=model.precision)
    again = kept_by.say(loaded)
    kept, rate = soundfile.read(path.with_suffix(".wav"))
    assert rate == PARAMS.sample_rate
    np.testing.assert_allclose(kept, unclipped([again.audio])[0], atol=1e-4)
    np.testing.assert_allclose(load_png(path.with_suffix(".png")), again.mel[0], atol=0.01)


def test_speeches_that_differ_in_anything_have_files_of_their_own():
    changes = [{}, {"seed": 1}, {"speed": 1.1}, {"text": TEXT + "!"}, {"weights": "others"}]
    run = {"weights": "some"}
    names = {SpeechProvenance(RUN, **run | {"text": TEXT} | change).name for change in changes}
    assert len(names) == len(changes)


def test_each_part_stands_over_its_own_time():
    alignment = Alignment(
        (Interval("SIL", 0, 0.5), Interval("<b>", 0.5, 0.75), Interval("B", 0.75, 2)),
        (Interval('"b', 0.5, 2.0),),
    )
    frames = 2 * PARAMS.sample_rate // PARAMS.hop_length
    mel, sound = np.zeros((1, PARAMS.n_mels, frames)), np.zeros(2 * PARAMS.sample_rate)
    page = speech_panel.alignment_players([mel], [sound], PARAMS, ["a"], [alignment]).data
    assert "<b>" not in page
    assert parts(page) == [("SIL", 0, 0.5), ("&lt;b&gt;", 0.5, 0.75), ("B", 0.75, 2)]
    assert parts(page, words=True) == [("&quot;b", 0.5, 2)]
    assert "left:25.00%;width:12.50%" in page
    assert "left:25.00%;width:75.00%" in page
    assert len(images_in(page)) == 1


def test_a_very_long_text_has_a_player_without_parts(panel, monkeypatch):
    monkeypatch.setattr(speech_panel, "LONGEST", 0.1)
    panel.show(panel.speech)
    assert panel.page.value.count("<audio ") == 1
    assert not parts(panel.page.value)


def test_every_control_has_a_label(panel):
    controls = list(controls_in(panel.widget))
    assert len(controls) == 8
    assert all(control.description for control in controls)
