"""The page's modules against their own types, as TypeScript's compiler reads them."""

import subprocess

from daemon.http.web.page import FOLDER


def test_the_modules_keep_to_their_types() -> None:
    found = subprocess.run(["tsc", "-p", FOLDER], capture_output=True, text=True, timeout=100, check=False)
    assert (found.returncode, found.stdout) == (0, "")
