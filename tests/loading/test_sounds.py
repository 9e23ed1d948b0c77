"""Folders of sounds, one folder a class."""

import numpy as np
import pytest
import torch
from scipy.io import wavfile

import workbench as wb
from workbench.errors import WorkbenchError
from workbench.loading.data import read_data
from workbench.loading.sounds import read_sound

NET = """
import torch
from torch import nn
def net():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv1d(1, 4, 9, stride=4), nn.ReLU(), nn.AdaptiveAvgPool1d(1), nn.Flatten(),
                         nn.Linear(4, 2)).eval()
"""


@pytest.fixture
def sounds(tmp_path):
    """Twenty sounds of 80 to 99 samples in two classes, of several types."""
    rng = np.random.default_rng(0)
    for number in range(20):
        folder = tmp_path / "sounds" / ("low", "high")[number % 2]
        folder.mkdir(parents=True, exist_ok=True)
        wave = rng.uniform(-1, 1, 80 + number)
        kinds = (np.int16(wave * 32767), np.float32(wave), np.uint8(wave * 127 + 128), np.int32(wave * (2**31 - 1)))
        wavfile.write(folder / f"{number}.wav", 8000, kinds[number % 4])
    return tmp_path / "sounds"


def test_sounds_are_read_as_long_as_the_longest(sounds):
    data, classes = read_data(sounds)
    assert classes == ["high", "low"]
    assert len(data) == 20
    wave, label = data[0]
    assert wave.shape == (1, 99)
    assert label == 0
    assert 0.5 < float(wave.abs().max()) <= 1
    before = data.digest()
    wavfile.write(sounds / "high" / "1.wav", 8000, np.zeros(200, np.int16))
    assert read_data(sounds)[0].digest() != before


def test_every_type_of_numbers_gives_the_same_wave(tmp_path):
    wave = np.linspace(-0.9, 0.9, 50)
    for name, data in (("a", np.int16(wave * 32768)), ("b", np.float32(wave)), ("c", np.uint8(wave * 128 + 128))):
        wavfile.write(tmp_path / f"{name}.wav", 8000, data)
        rate, read = read_sound(tmp_path / f"{name}.wav")
        assert rate == 8000
        assert np.abs(read - wave).max() < 0.01
    wavfile.write(tmp_path / "stereo.wav", 8000, np.stack([wave, -wave], 1).astype(np.float32))
    assert np.abs(read_sound(tmp_path / "stereo.wav")[1]).max() < 1e-6


def test_a_model_is_judged_by_a_folder_of_sounds(sounds, tmp_path, open_session):
    (tmp_path / "net.py").write_text(NET)
    subject = wb.load(f"{tmp_path / 'net.py'}:net", validation=str(sounds), train=str(sounds))
    assert subject.task.classes == ("high", "low")
    data = [read_data(sounds)[0][place] for place in range(20)]
    with torch.no_grad():
        right = [int(subject.model(wave[None]).argmax()) == label for wave, label in data]
    assert open_session(subject).baseline.score.value == pytest.approx(sum(right) / 20)


def test_what_is_no_sound_is_said(tmp_path):
    (tmp_path / "one").mkdir()
    (tmp_path / "one" / "a.wav").write_bytes(b"RIFF not really")
    with pytest.raises(WorkbenchError, match="cannot be read as a sound"):
        read_data(tmp_path)
    wavfile.write(tmp_path / "one" / "a.wav", 8000, np.zeros(100, np.int16))
    wavfile.write(tmp_path / "one" / "b.wav", 16000, np.zeros(100, np.int16))
    with pytest.raises(WorkbenchError, match=r"same number of samples a second, not 8000 \(a.wav\), 16000 \(b.wav\)"):
        read_data(tmp_path)
    wavfile.write(tmp_path / "one" / "b.wav", 10, np.zeros(601, np.int16))
    with pytest.raises(WorkbenchError, match="longer than 60 seconds"):
        read_data(tmp_path)
