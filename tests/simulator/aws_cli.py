"""Runs commands of the AWS CLI, one a line of standard input: its own program needs a second to start for each.

    python tests/simulator/aws_cli.py

A line in is ``[words, environment]``, a line out is ``[exit code, standard output, standard error]``, all as JSON. The
Python of the CLI's own environment runs it, so it imports nothing of this project.
"""

import contextlib
import io
import json
import os
import sys

from awscli.clidriver import create_clidriver  # type: ignore[import-not-found]

for line in sys.stdin:
    words, environment = json.loads(line)
    os.environ.update(environment)
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            code = create_clidriver().main(words)
        except SystemExit as left:
            code = left.code
    sys.stdout.write(json.dumps([code, out.getvalue(), err.getvalue()]) + "\n")
    sys.stdout.flush()
