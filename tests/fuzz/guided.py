"""Fuzz every decoder, guided by coverage: python -m tests.fuzz.guided --seconds 60 [libFuzzer's options].

Needs atheris, which is not among the development packages, since only some platforms have it; `make fuzz` installs it
where available. An input that raises anything but a ProtocolError, or takes more than 64 MiB of memory above
the start, ends the run and is written to the working folder.
"""

import argparse
import resource
import sys
import tempfile
import warnings
from pathlib import Path

import atheris

# Kernels are compiled by Numba, which does not know what the instrumentation adds to them.
KERNELS = [f"secagg.kernels.{path.stem}" for path in Path(__file__).parents[2].glob("secagg/kernels/*.py")]
with atheris.instrument_imports(include=["secagg"], exclude=KERNELS):
    from tests.fuzz.inputs import KEPT, MAX_BYTES, run_input, seeds, write

SPARE_MIB = 64


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m tests.fuzz.guided", description="Any bytes: a ProtocolError or none."
    )
    parser.add_argument("--seconds", type=int, default=60, help="how long (default: %(default)s)")
    parser.add_argument(
        "--keep", action="store_true", help="put the seeds, and inputs that reach something new, into the corpus"
    )
    options, others = parser.parse_known_args()
    warnings.simplefilter("error")
    KEPT.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as found:
        folders = [str(KEPT)] if options.keep else [found, str(KEPT)]
        for data in seeds():
            run_input(data)  # what is loaded and compiled once is part of the start
            write(data, Path(folders[0]))  # ciphertexts are drawn anew by every process, and so is what binds them
        start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
        print(f"{start} MiB at the start, {start + SPARE_MIB} allowed", file=sys.stderr)
        limits = [f"-max_total_time={options.seconds}", f"-rss_limit_mb={start + SPARE_MIB}", f"-max_len={MAX_BYTES}"]
        atheris.Setup([sys.argv[0], *limits, f"-artifact_prefix={Path.cwd()}/", *others, *folders], run_input_only)
        atheris.Fuzz()


def run_input_only(data: bytes) -> None:
    run_input(data)


if __name__ == "__main__":
    main()
