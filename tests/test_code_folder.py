"""Where machine code is kept: one folder for each kind of processor, and JAX finds what another process left there."""

import os
import subprocess
import sys

from proda.code_cache import instructions_digest, jax_code_folder, let_jax_keep_its_code

PROGRAM = """
import proda, jax, logging
logging.getLogger("jax").setLevel(logging.DEBUG)
logging.getLogger("jax").addHandler(logging.StreamHandler())
print(jax.jit(lambda a: (a @ a).sum())(jax.numpy.ones((7, 7))))
"""


def test_processors_of_other_instructions_have_another_folder(tmp_path):
    digests = set()
    for flags in ("sse avx", "sse avx avx512f"):
        path = tmp_path / "cpuinfo"
        path.write_text(f"processor: 0\nmodel name: one\nflags: {flags}\n")
        digests |= {instructions_digest(path), instructions_digest(path)}
    assert len(digests) == 2 and len(digests | {instructions_digest(tmp_path / "none")}) == 3
    assert jax_code_folder().name == f"compiled-jax-{instructions_digest()}"


def test_the_users_own_folder_is_kept_and_nothing_else_made(monkeypatch):
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", "elsewhere")
    monkeypatch.setattr("proda.code_cache.jax_code_folder", lambda: 1 / 0)
    let_jax_keep_its_code()
    assert os.environ["JAX_COMPILATION_CACHE_DIR"] == "elsewhere"


def test_without_one_processes_are_told_of_ours(monkeypatch):
    monkeypatch.delenv("JAX_COMPILATION_CACHE_DIR")
    let_jax_keep_its_code()
    assert os.environ["JAX_COMPILATION_CACHE_DIR"] == str(jax_code_folder())


def test_a_second_process_takes_what_the_first_has_compiled(tmp_path):
    told = {"JAX_COMPILATION_CACHE_DIR": str(tmp_path), "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0"}
    first, second = (
        subprocess.run([sys.executable, "-c", PROGRAM], env={**os.environ, **told}, capture_output=True, text=True)
        for _ in range(2)
    )
    assert first.stdout == second.stdout == "343.0\n"
    assert "Persistent compilation cache hit" not in first.stderr
    assert "Persistent compilation cache hit" in second.stderr
