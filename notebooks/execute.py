"""Executes the notebooks beside this file and writes them back with their output.

Usage: execute.py [--check] [NAME ...]
  --check  write nothing; fail when a notebook fails (continuous integration)
  NAME     beginnings of file names, as 01; all notebooks when left out
"""

import argparse
import pathlib
import sys

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

HERE = pathlib.Path(__file__).resolve().parent


def execute(path: pathlib.Path, write: bool) -> bool:
    """Runs one notebook; whether all its cells went through."""
    notebook = nbformat.read(path, as_version=4)
    client = NotebookClient(notebook, timeout=900, resources={"metadata": {"path": str(HERE)}}, record_timing=False)
    try:
        client.execute()
    except CellExecutionError as error:
        print(f"{path.name}: {error}", file=sys.stderr)
        return False
    # What differs from machine to machine is not part of the notebook.
    notebook.metadata["language_info"] = {"name": "python"}
    if write:
        nbformat.write(notebook, path)
    print(f"{path.name}: {sum(cell.cell_type == 'code' for cell in notebook.cells)} cells")
    return True


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true")
    parser.add_argument("names", nargs="*", metavar="NAME")
    arguments = parser.parse_args()
    paths = sorted(HERE.glob("[0-9][0-9]-*.ipynb"))
    if arguments.names:
        paths = [path for path in paths if any(path.name.startswith(name) for name in arguments.names)]
    if not paths:
        parser.error("no notebook begins like that")
    done = [execute(path, not arguments.check) for path in paths]
    return 0 if all(done) else 1


if __name__ == "__main__":
    sys.exit(main())
