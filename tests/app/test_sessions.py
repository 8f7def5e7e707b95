from pathlib import Path

from sss.app.sessions import Sessions


def test_each_key_has_its_own(tmp_path: Path) -> None:
    sessions = Sessions(tmp_path)
    one, other = sessions.get("a"), sessions.get("b")
    assert one is not other
    assert one.folder != other.folder
    assert sessions.get("a") is one
    sessions.close("a")
    assert sessions.get("a") is not one


def test_the_longest_idle_one_leaves_when_there_are_too_many(tmp_path: Path) -> None:
    sessions = Sessions(tmp_path, most=2)
    first = sessions.get("a")
    first.folder.mkdir()
    sessions.get("b")
    assert sessions.get("a") is first
    sessions.get("c")  # b was idle for longer
    assert sessions.get("a") is first
    sessions.get("d")
    sessions.get("e")
    assert not first.folder.exists()
    assert len(sessions) == 2


def test_idle_ones_leave(tmp_path: Path) -> None:
    sessions = Sessions(tmp_path, idle_seconds=-1)
    first = sessions.get("a")
    assert sessions.get("a") is not first


def test_nothing_is_left_at_the_end(tmp_path: Path) -> None:
    root = tmp_path / "root"
    sessions = Sessions(root)
    folder = sessions.get("a").folder
    folder.mkdir(parents=True)
    (folder / "photo.png").touch()
    sessions.close_all()
    assert not root.exists()
