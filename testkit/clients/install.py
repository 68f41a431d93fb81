"""Installs the clients into a directory of their own: install.py DIRECTORY

Needs pip and nothing else. Does nothing when they are there already. Several tests may call it at
the same time: the first one installs, and the others wait.
"""

import fcntl
import pathlib
import re
import shutil
import subprocess
import sys

REQUIREMENTS = pathlib.Path(__file__).with_name("requirements.txt")


def main(directory):
    wanted = REQUIREMENTS.read_text() + sys.version
    stamp = directory / "installed.txt"
    if stamp.exists() and stamp.read_text() == wanted:
        return
    shutil.rmtree(directory, ignore_errors=True)
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    pip += ["--retries", "2", "--timeout", "60"]
    pip += ["--target", str(directory), "--requirement", str(REQUIREMENTS)]
    subprocess.run(pip, check=True, timeout=240)
    rename_async(directory / "studio_ghibli_api_sdk")
    stamp.write_text(wanted)


def rename_async(package):
    """Renames arguments called `async`, a keyword since Python 3.7."""
    for source in package.rglob("*.py"):
        text = source.read_text(encoding="utf-8")
        source.write_text(re.sub(r"\basync\b", "async_req", text), encoding="utf-8")


if __name__ == "__main__":
    target = pathlib.Path(sys.argv[1])
    target.parent.mkdir(parents=True, exist_ok=True)
    with open(target.with_suffix(".lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        main(target)
