"""The sessions of all users: each has a folder, and all that is left over is removed."""

from __future__ import annotations

import secrets
import shutil
import threading
import time
from pathlib import Path

from sss.app.session import Session

IDLE_SECONDS = 3600.0
"""A session that nobody touched for so long is closed when the next one is opened."""

MOST_SESSIONS = 8
"""Each holds some hundred megabytes; beyond this the one that has been idle longest is closed."""


class Sessions:
    """Opens, finds and closes sessions.

    Args:
        root: Folder of all sessions' folders; made if missing.
        most: Sessions at once.
        idle_seconds: See :data:`IDLE_SECONDS`.
    """

    def __init__(
        self, root: Path, most: int = MOST_SESSIONS, idle_seconds: float = IDLE_SECONDS
    ) -> None:
        self.root = root
        self._most = most
        self._idle_seconds = idle_seconds
        self._lock = threading.Lock()
        self._open: dict[str, tuple[Session, float]] = {}

    def __len__(self) -> int:
        """How many are open."""
        return len(self._open)

    def get(self, key: str) -> Session:
        """The session of a key, opened if there is none.

        Args:
            key: Tells one page from another.
        """
        now = time.monotonic()
        with self._lock:
            session, _ = self._open.pop(key, (None, now))
            if session is None:
                # Not named by the key: who knows that of another must not guess the folder.
                session = Session(self.root / secrets.token_urlsafe(16))
            self._open[key] = session, now  # the last one used stands last
            idle = [other for other, (_, when) in self._open.items() if self._is_idle(now, when)]
            surplus = list(self._open)[: max(0, len(self._open) - self._most)]
            leaving = [self._open.pop(other)[0] for other in dict.fromkeys([*idle, *surplus])]
        for one in leaving:
            one.close()
        return session

    def close(self, key: str) -> None:
        """Close the session of a key, if it is open."""
        with self._lock:
            session, _ = self._open.pop(key, (None, 0.0))
        if session is not None:
            session.close()

    def close_all(self) -> None:
        """Close every session and remove the folder of them all."""
        for key in list(self._open):
            self.close(key)
        shutil.rmtree(self.root, ignore_errors=True)

    def _is_idle(self, now: float, when: float) -> bool:
        return now - when > self._idle_seconds
