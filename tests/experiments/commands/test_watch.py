"""`scaling watch`: what a sweep is like, from its folder alone, and without changing it."""

import pytest

from experiments.cli import main
from experiments.commands.watch import sentence, sparkline
from sweeps.store import Store
from sweeps.watching import Watcher


def listing(folder):
    return {p: (p.stat().st_mtime_ns, p.stat().st_size) for p in folder.rglob("*")}


def results(folder):
    return sorted(folder.glob("runs/*/*/result.json"))


def test_a_sweep_under_way_is_described_and_left_as_it_is(done):
    now = [0.0]
    watcher = Watcher(Store.open(done), clock=lambda: now[0])
    away, claimed, failed = (path.rename(path.with_name("away")) for path in results(done)[:3])
    (claimed.parent / "attempts" / "0001" / "end.json").unlink()
    attempt = failed.parent / "attempts" / "0001"
    (attempt / "end.json").rename(attempt / "failure.json")
    before = listing(done)
    look = watcher.look()
    assert listing(done) == before
    assert (look.planned, look.settled, look.n_under_way) == (9, 6, 1)
    assert look.counts["failed"] == 1 and look.failures[0][0] == failed.parent.name
    assert look.rate is None and len(look.recent) == 6
    assert look.under_way[0].run_id == claimed.parent.name
    # Two more are settled in ten seconds: the last one takes five more.
    for path in (away, claimed):
        path.rename(path.with_name("result.json"))
    now[0] = 10.0
    look = watcher.look()
    assert look.settled == 8 and look.rate == pytest.approx(0.2)
    assert look.seconds_left == pytest.approx(5.0)
    said = sentence("tiny", look)
    assert said == "tiny: 8/9 settled, 1 failed, 12 runs/min, about 5 s left"


def test_a_result_is_read_once(done, monkeypatch):
    watcher = Watcher(Store.open(done))
    assert watcher.look().settled == 9
    for path in results(done):
        path.write_text("damaged since")
    assert watcher.look().settled == 9
    # One that cannot be believed is no result, and is not moved.
    assert Watcher(Store.open(done)).look().settled == 0
    assert len(results(done)) == 9


@pytest.mark.parametrize(
    ("values", "shown"),
    [
        ([], ""),
        ([3.0], "▁"),
        ([0, 7], "▁█"),
        ([float("nan"), 8, 7, 6, 5, 4, 3, 2, 1], "█▇▆▅▄▃▂▁"),
        (list(range(100)), None),
    ],
)
def test_a_sparkline_is_as_high_as_its_values(values, shown):
    line = sparkline(values)
    assert len(line) <= 40 and (shown is None or line == shown)


def test_the_command_prints_a_line_a_sweep_and_ends(done, tmp_path, capsys):
    assert main(["watch", str(done.parent), "--once"]) == 0
    assert "tiny: 9/9 settled" in capsys.readouterr().out
    assert main(["watch", str(done)]) == 0
    assert main(["watch", str(tmp_path / "nothing")]) == 2
    assert "is no results folder" in capsys.readouterr().err
    assert main(["watch", str(done), "--every", "0"]) == 2
    assert "--every 0: give the seconds" in capsys.readouterr().err
