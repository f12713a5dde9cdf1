"""Code in the documents can at least be read by those it is meant for."""

import json
import subprocess
from pathlib import Path

import pytest

from tests.docs.documents import ROOT, all_documents, blocks

DOCUMENTS = [path for path in all_documents() if any(blocks(path, kind) for kind in ("bash", "python", "json"))]


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_examples_have_the_form_of_their_language(path: Path) -> None:
    for block in blocks(path, "bash"):
        read = subprocess.run(["bash", "-n"], input=block, capture_output=True, text=True, check=False)
        assert read.returncode == 0, f"{read.stderr}\n{block}"
    for block in blocks(path, "python"):
        compile(block, path.name, "exec")
    for block in blocks(path, "json"):
        json.loads(block)
