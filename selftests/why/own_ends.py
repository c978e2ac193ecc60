# SPDX-License-Identifier: GPL-2.0
"""Makes libssl take any cipher in this process, but not in what it starts.

To be imported before anything else: much of Python's library loads libcrypto,
which reads its configuration once.
"""

import os

os.environ["OPENSSL_CONF"] = os.path.join(
    os.path.dirname(os.path.realpath(__file__)), "any.cnf")
import ssl  # noqa: E402
ssl.create_default_context()
del os.environ["OPENSSL_CONF"]
