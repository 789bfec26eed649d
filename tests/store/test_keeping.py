"""Which checkpoints stay: the n best by a metric, the n newest to go on from, and what of them can still be read."""

import errno
import os

import jax.numpy as jnp
import numpy as np
import pytest

from undertow._checks import UndertowError
from undertow.store.checkpoint import load_checkpoint, save_checkpoint
from undertow.store.keeping import BestCheckpoints, LastCheckpoints, load_newest, rank_checkpoints
from undertow.store.metrics import START


def files(folder):
    return sorted(path.name for path in folder.iterdir())


# The n best


@pytest.mark.parametrize("mode", ["min", "max"])
def test_the_n_best_are_kept_whatever_the_order(tmp_path, mode):
    values = [0.9, 0.5, 0.7, float("nan"), 0.5, 0.2, float("inf"), -float("inf"), 0.8, 0.3]
    best = BestCheckpoints(tmp_path / "checkpoints", metric="error", mode=mode, keep=3)
    for update, value in enumerate(values):
        best.offer(jnp.asarray(value), 100 * update, {"w": jnp.full(2, float(update))}, {"seed": 4})
        seen = [(v, 100 * u) for u, v in enumerate(values[: update + 1]) if np.isfinite(v)]
        expected = sorted(seen, key=lambda item: (item[0] if mode == "min" else -item[0], item[1]))[:3]
        assert [(ranked.value, ranked.update) for ranked in best.ranking()] == expected
        assert rank_checkpoints(tmp_path / "checkpoints") == best.ranking()
        assert files(tmp_path / "checkpoints") == sorted(f"best_update_{u:06d}.safetensors" for _, u in expected)
    tree, metadata = load_checkpoint(best.ranking()[0].path, {"w": jnp.zeros(2)})
    value, update = expected[0]
    assert tree["w"].tolist() == [update / 100] * 2
    assert metadata == {"seed": 4, "best": {"metric": "error", "mode": mode, "value": value, "update": update}}


def test_what_is_not_among_the_best_is_not_written(tmp_path):
    best = BestCheckpoints(tmp_path, metric="error", keep=1)
    assert best.offer(0.5, 1, jnp.ones(1)) == tmp_path / "best_update_000001.safetensors"
    assert best.offer(0.5, 2, jnp.ones(1)) is None  # of equals the earlier one stays
    assert best.offer(float("nan"), 3, jnp.ones(1)) is None
    assert files(tmp_path) == ["best_update_000001.safetensors"]


def test_a_reopened_ranking_goes_on_and_a_repeated_update_replaces_its_file(tmp_path):
    first = BestCheckpoints(tmp_path, metric="error", keep=2)
    for update, value in [(1, 0.5), (2, 0.4)]:
        first.offer(value, update, jnp.ones(1))
    second = BestCheckpoints(tmp_path, metric="error", keep=2)
    assert second.ranking() == first.ranking()
    second.offer(0.4, 2, jnp.ones(1))
    assert [ranked.update for ranked in second.ranking()] == [2, 1]
    second.offer(0.45, 3, jnp.ones(1))
    assert [ranked.update for ranked in second.ranking()] == [2, 3]
    with pytest.raises(UndertowError, match="was kept for the min of 'error', not the min of 'loss'"):
        BestCheckpoints(tmp_path, metric="loss", keep=2)


def test_at_every_step_of_an_offer_the_n_best_are_on_disk(tmp_path, monkeypatch):
    """A kill may come before any system call that changes the directory: what is there then must rank as it should."""
    best = BestCheckpoints(tmp_path, metric="error", keep=2)
    for update, value in [(1, 0.5), (2, 0.4)]:
        best.offer(value, update, jnp.ones(1))
    snapshots = []

    def spy(function):
        def wrapped(*arguments, **options):
            snapshots.append([ranked.update for ranked in rank_checkpoints(tmp_path)[:2]])
            return function(*arguments, **options)

        return wrapped

    monkeypatch.setattr(os, "fsync", spy(os.fsync))
    monkeypatch.setattr(os, "replace", spy(os.replace))
    monkeypatch.setattr("pathlib.Path.unlink", spy(type(tmp_path).unlink))
    best.offer(0.3, 3, jnp.ones(1))
    monkeypatch.undo()
    assert snapshots == [[2, 1], [2, 1], [3, 2], [3, 2]]
    assert files(tmp_path) == ["best_update_000002.safetensors", "best_update_000003.safetensors"]


def test_a_full_disk_keeps_the_best_so_far(tmp_path, monkeypatch):
    best = BestCheckpoints(tmp_path, metric="error", keep=1)
    best.offer(0.5, 1, jnp.ones(1))

    def fail(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(UndertowError, match=os.strerror(errno.ENOSPC)):
        best.offer(0.1, 2, jnp.ones(1))
    monkeypatch.undo()
    assert [ranked.update for ranked in best.ranking()] == [1]
    assert rank_checkpoints(tmp_path) == best.ranking() and len(files(tmp_path)) == 1


def test_a_damaged_best_checkpoint_is_named_and_skipped(tmp_path, caplog):
    best = BestCheckpoints(tmp_path, metric="error", keep=3)
    for update, value in [(1, 0.5), (2, 0.4), (3, 0.6)]:
        best.offer(value, update, jnp.ones(1))
    broken = tmp_path / "best_update_000002.safetensors"
    broken.write_bytes(broken.read_bytes()[:-1])
    save_checkpoint(tmp_path / "best_update_000009.safetensors", jnp.ones(1), {"best": {"value": 0.1}})
    assert [ranked.update for ranked in rank_checkpoints(tmp_path)] == [1, 3]
    assert str(broken) in caplog.text and broken.exists()


@pytest.mark.parametrize("options", [{"mode": "least"}, {"keep": 0}])
def test_options_are_checked(tmp_path, options):
    with pytest.raises(UndertowError):
        BestCheckpoints(tmp_path, metric="error", **options)


def test_checkpoints_of_another_run_are_left_out_and_left_alone(tmp_path, caplog):
    theirs = BestCheckpoints(tmp_path, metric="error", keep=2)
    theirs.offer(0.1, 7, jnp.ones(1), {"run": "theirs"})
    mine = BestCheckpoints(tmp_path, metric="error", keep=2, run="mine")
    assert mine.ranking() == [] and "another run" in caplog.text
    for update, value in [(1, 0.5), (2, 0.4), (3, 0.3)]:
        mine.offer(value, update, jnp.ones(1), {"run": "mine"})
    assert [ranked.update for ranked in mine.ranking()] == [3, 2]
    assert "best_update_000007.safetensors" in files(tmp_path)


# The newest


def test_the_newest_are_kept_and_what_lies_ahead_is_left_alone(tmp_path):
    """After going on from an older one, because the newer ones were damaged, these are no newer than what comes now."""
    last = LastCheckpoints(tmp_path, keep=2)
    for update in (0, 10, 20, 1_000_000):
        last.save(update, jnp.full(1, update))
    assert files(tmp_path) == ["last_update_000020.safetensors", "last_update_1000000.safetensors"]
    last.save(30, jnp.full(1, 30))
    last.save(40, jnp.full(1, 40))
    assert files(tmp_path) == [f"last_update_{each}.safetensors" for each in ("000030", "000040", "1000000")]
    with pytest.raises(UndertowError, match="keep must be a whole number"):
        LastCheckpoints(tmp_path, keep=0)


def about(run, update):
    """The metadata of a run's checkpoint."""
    recorder = {"begun": None, "pending": {}, "seconds": 0.0, "metrics_csv": START}
    return {"run": run, "update": update, "metrics": {}, "recorder": recorder}


def test_the_newest_whole_one_is_found(tmp_path, caplog):
    last = LastCheckpoints(tmp_path, keep=9)
    for update in (10, 20, 30, 40):
        last.save(update, jnp.full(1, update), about("theirs" if update == 40 else "mine", update))
    BestCheckpoints(tmp_path, metric="error").offer(1.0, 25, jnp.full(1, 25), about("mine", 25))
    broken = tmp_path / "last_update_000030.safetensors"
    broken.write_bytes(broken.read_bytes()[:-1])
    tree, metadata, path = load_newest(tmp_path, jnp.zeros(1, int), "mine")
    assert (tree.tolist(), metadata["update"], path.name) == ([25], 25, "best_update_000025.safetensors")
    assert "last_update_000040" in caplog.text and "another run, theirs" in caplog.text
    assert str(broken) in caplog.text and broken.exists()
    assert load_newest(tmp_path / "none", jnp.zeros(1, int)) is None
