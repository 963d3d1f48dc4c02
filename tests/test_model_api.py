"""The examples of docs/model-api.md run."""

import re

import numpy as np

from proda.study import repository_root


def test_the_examples_of_the_documentation_run(monkeypatch):
    monkeypatch.chdir(repository_root())
    text = (repository_root() / "docs" / "model-api.md").read_text(encoding="utf-8")
    names = {}
    for block in re.findall(r"```python\n(.*?)```", text, re.DOTALL):
        exec(block, names)
    assert names["pools"].shape == (7, 20, 20) and np.isfinite(names["pools"]).all()
    assert names["jacobian"].derivative.shape == (3, 25)
