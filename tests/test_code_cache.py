"""JAX keeps its machine code between processes, in the user's folder if there is one."""

import os

from proda.code_cache import cache_root, set_jax_cache_folder


def test_the_users_own_folder_is_kept(monkeypatch):
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", "elsewhere")
    set_jax_cache_folder()
    assert os.environ["JAX_COMPILATION_CACHE_DIR"] == "elsewhere"


def test_else_processes_get_one_folder_for_each_kind_of_processor(monkeypatch):
    folders = set()
    for machine in ("x86_64", "aarch64", "x86_64"):
        monkeypatch.delenv("JAX_COMPILATION_CACHE_DIR", raising=False)
        monkeypatch.setattr("platform.machine", lambda machine=machine: machine)
        set_jax_cache_folder()
        folders.add(os.environ["JAX_COMPILATION_CACHE_DIR"])
    assert len(folders) == 2 and all(folder.startswith(str(cache_root())) for folder in folders)
