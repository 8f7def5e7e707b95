"""Write requirements.txt, the whole of pyproject.toml's dependencies; ``--check`` only compares.

python .ci/requirements.py
python .ci/requirements.py --check
"""

import re
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
HEADER = "# Everything, from pyproject.toml by .ci/requirements.py: do not edit.\n"


def whole(project: dict) -> str:
    """Each dependency once, under the first extra that asks for it."""
    groups = {"split photos": project["dependencies"], **project["optional-dependencies"]}
    text, seen = HEADER, set()
    for group, requirements in groups.items():
        new = [r for r in requirements if not r.startswith(project["name"]) and name(r) not in seen]
        seen.update(map(name, new))
        text += f"\n# {group}\n" + "".join(f"{requirement}\n" for requirement in new)
    return text


def name(requirement: str) -> str:
    """The distribution's name, normalised as in PEP 503."""
    return re.sub(r"[-_.]+", "-", re.match(r"[\w.-]+", requirement)[0]).lower()


if __name__ == "__main__":
    expected = whole(tomllib.loads((ROOT / "pyproject.toml").read_text())["project"])
    target = ROOT / "requirements.txt"
    if "--check" not in sys.argv:
        target.write_text(expected)
    elif target.read_text() != expected:
        sys.exit("requirements.txt differs from pyproject.toml: run python .ci/requirements.py")
