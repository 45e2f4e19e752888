"""Where and with what was measured: asked of the system, the installed packages and git, for the head of a page."""

import importlib.metadata
import os
import platform
import shutil
import subprocess
from pathlib import Path

HERE = Path(__file__).resolve().parent
PACKAGES = (
    "chunkwire", "numpy", "msgspec", "orjson", "pysimdjson", "httpx", "httpx-sse", "sseclient-py", "openai",
    "sudo-ai", "friendli", "mistralai", "pydantic", "duckdb",
)  # fmt: skip


def machine() -> str:
    """The processor, as lscpu names it, and how many of it."""
    model = platform.processor() or platform.machine()
    if shutil.which("lscpu"):
        told = subprocess.run(["lscpu"], capture_output=True, text=True, env=os.environ | {"LC_ALL": "C"}).stdout
        fields = dict(line.split(":", 1) for line in told.splitlines() if ":" in line)
        model = fields.get("Model name", model).strip()
        caches = [f"{key.split()[0]} {fields[key].strip()}" for key in ("L2 cache", "L3 cache") if key in fields]
        model = ", ".join([model, f"{os.cpu_count()} cores", *caches])
    return f"{model}; {platform.system()} {platform.release()}"


def versions() -> str:
    """Python, Rust and every package that takes part."""
    found = [f"{platform.python_implementation()} {platform.python_version()}"]
    if shutil.which("rustc"):
        found.append(" ".join(subprocess.run(["rustc", "-V"], capture_output=True, text=True).stdout.split()[:2]))
    for package in PACKAGES:
        try:
            found.append(f"{package} {importlib.metadata.version(package)}")
        except importlib.metadata.PackageNotFoundError:
            # A benchmark runs without DuckDB too; without the others, but for chunkwire, none would get here.
            if package == "chunkwire":
                found.append("chunkwire (from the source tree)")
    return ", ".join(found)


def commit() -> str:
    """The commit that is measured, and whether it is that alone."""

    def git(*arguments: str) -> str:
        return subprocess.run(["git", *arguments], cwd=HERE, capture_output=True, text=True).stdout.strip()

    if not shutil.which("git") or not (name := git("rev-parse", "--short=12", "HEAD")):
        return "unknown"
    return name + (" with changes" if git("status", "--porcelain", "--", "..", ":!README.md") else "")
