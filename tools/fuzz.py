"""Build and run the fuzzers in native/fuzz with clang's libFuzzer and its address and undefined-behaviour sanitizers.

Every ``native/fuzz/NAME_fuzz.cpp`` is one fuzzer. A line ``// Sources: text/regex text/utf8.cpp`` in it names the files
and folders below native/ that it is linked with. It starts from the inputs in ``tests/fuzz_corpus/NAME`` and, if there
is one, the dictionary ``tests/fuzz_corpus/NAME.dict``::

    python tools/fuzz.py                     # every fuzzer, 60 seconds each
    python tools/fuzz.py regex --seconds 600
    python tools/fuzz.py regex --replay      # the corpus alone: quick, for tests
    python tools/fuzz.py regex --keep        # then add new inputs that reach new code to the corpus, merged

An input that breaks something is left in ``build/fuzz/NAME/`` and named in the output; the exit status is then 1.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BUILD = ROOT / "build" / "fuzz"
FLAGS = ["-std=c++20", "-g", "-O1", "-fno-omit-frame-pointer", "-fsanitize=fuzzer-no-link,address,undefined"]
FLAGS += ["-fno-sanitize-recover=undefined", f"-I{ROOT / 'native'}"]


def compiler() -> str:
    """clang++, which has libFuzzer built in."""
    for name in (os.environ.get("CXX", ""), "clang++", *(f"clang++-{version}" for version in range(22, 12, -1))):
        if "clang" in name and shutil.which(name):
            return name
    raise SystemExit("clang++ is needed: it has the fuzzer and the sanitizers built in")


def compiled(clang: str, source: Path) -> Path:
    """The object file of a source, made anew when it or a file that it includes is newer."""
    target = BUILD / "objects" / source.relative_to(ROOT / "native").with_suffix(".o")
    rule = target.with_suffix(".d")  # the compiler's own list of what it read
    if target.exists() and rule.exists():
        read = rule.read_text(encoding="utf-8").partition(":")[2].replace("\\\n", " ").split()
        if all(os.path.exists(path) and os.path.getmtime(path) <= target.stat().st_mtime for path in read):
            return target
    target.parent.mkdir(parents=True, exist_ok=True)
    begun = time.monotonic()
    subprocess.run([clang, *FLAGS, "-MMD", "-MF", str(rule), "-c", str(source), "-o", str(target)], check=True)
    print(f"{source.relative_to(ROOT)}: {time.monotonic() - begun:.0f} s", flush=True)
    return target


def sources_of(fuzzer: Path) -> list[Path]:
    """The fuzzer and what its ``// Sources:`` line names."""
    found = [fuzzer]
    for line in fuzzer.read_text(encoding="utf-8").splitlines():
        if line.startswith("// Sources:"):
            for name in line.removeprefix("// Sources:").split():
                path = ROOT / "native" / name
                found += sorted(path.glob("*.cpp")) if path.is_dir() else [path]
    return [path for path in found if not knows_python(path)]


def knows_python(source: Path) -> bool:
    """Whether a source is part of the face for Python, which a fuzzer goes without."""
    texts = [source.read_text(encoding="utf-8")]
    texts += [header.read_text(encoding="utf-8") for header in (source.with_suffix(".hpp"),) if header.exists()]
    return source.name.startswith("py_") or any("nanobind" in text for text in texts)


def build(name: str, jobs: int) -> Path:
    """The program of the fuzzer `name`."""
    clang = compiler()
    with ThreadPoolExecutor(jobs) as pool:
        sources = sources_of(ROOT / "native" / "fuzz" / f"{name}_fuzz.cpp")
        objects = list(pool.map(lambda source: compiled(clang, source), sources))
    program = BUILD / f"{name}_fuzz"
    link = [clang, "-fsanitize=fuzzer,address,undefined", *map(str, objects), "-lpthread", "-o", str(program)]
    subprocess.run(link, check=True)
    return program


def run(name: str, program: Path, arguments: argparse.Namespace) -> int:
    corpus = ROOT / "tests" / "fuzz_corpus" / name
    corpus.mkdir(parents=True, exist_ok=True)
    work = BUILD / name
    found = work / "corpus"
    found.mkdir(parents=True, exist_ok=True)
    limits = ["-timeout=20", "-rss_limit_mb=3000", f"-artifact_prefix={work}/"]
    if arguments.replay:
        inputs = sorted(path for path in corpus.iterdir() if path.is_file())
        return subprocess.run([str(program), *limits, *map(str, inputs)]).returncode
    dictionary = corpus.with_suffix(".dict")
    words = [f"-dict={dictionary}"] if dictionary.exists() else []
    status = subprocess.run(
        [str(program), *limits, *words, f"-max_total_time={arguments.seconds}", "-print_final_stats=1", found, corpus]
    ).returncode
    if arguments.keep and status == 0:
        status = subprocess.run([str(program), "-merge=1", "-max_len=200", corpus, found]).returncode
    return status


def main() -> None:
    known = sorted(path.stem.removesuffix("_fuzz") for path in (ROOT / "native" / "fuzz").glob("*_fuzz.cpp"))
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(known)}; all when none is given")
    parser.add_argument("--seconds", type=int, default=60, help="for each fuzzer (60)")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="compilers at a time")
    parser.add_argument("--replay", action="store_true", help="run the corpus once and stop")
    parser.add_argument("--keep", action="store_true", help="merge what was found into the corpus")
    arguments = parser.parse_args()
    for name in arguments.names:
        if name not in known:
            parser.error(f"there is no fuzzer {name!r}; there are {', '.join(known)}")
    failed = []
    for name in arguments.names or known:
        print(f"== {name}", flush=True)
        if run(name, build(name, arguments.jobs), arguments):
            failed.append(name)
    if failed:
        sys.exit(f"failed: {', '.join(failed)}; the inputs are in {BUILD}")


if __name__ == "__main__":
    main()
