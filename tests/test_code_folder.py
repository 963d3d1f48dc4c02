"""Where machine code is kept: one folder for each kind of processor, and JAX finds what another process left there."""

import os
import subprocess
import sys

from proda.code_folder import instructions_digest, jax_code_folder, let_jax_keep_its_code

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


def test_the_users_own_folder_is_kept(monkeypatch):
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", "elsewhere")
    monkeypatch.delenv("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", raising=False)
    let_jax_keep_its_code()
    assert os.environ["JAX_COMPILATION_CACHE_DIR"] == "elsewhere"
    assert float(os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"]) < 1


def test_a_second_process_takes_what_the_first_has_compiled(tmp_path):
    told = {"JAX_COMPILATION_CACHE_DIR": str(tmp_path), "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0"}
    first, second = (
        subprocess.run([sys.executable, "-c", PROGRAM], env={**os.environ, **told}, capture_output=True, text=True)
        for _ in range(2)
    )
    assert first.stdout == second.stdout == "343.0\n"
    assert "Persistent compilation cache hit" not in first.stderr
    assert "Persistent compilation cache hit" in second.stderr
