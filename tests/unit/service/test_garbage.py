"""The collector of a service leaves alone what was loaded, and still frees what is made and dropped later."""

import subprocess
import sys

_PROGRAM = """
import gc, weakref
from shared.service import application, garbage

class Node:
    pass

loaded = len(gc.get_objects())
garbage.settle()
print(gc.get_freeze_count() / loaded > 0.9, len(gc.get_objects()) / loaded < 0.1)

dropped = []
for _ in range(60_000):
    node = Node()
    node.itself = node
    dropped.append(weakref.ref(node))
del node
print(gc.isenabled(), any(reference() is None for reference in dropped))
"""


def test_what_a_service_consists_of_is_left_alone_and_what_it_drops_is_freed() -> None:
    done = subprocess.run([sys.executable, "-c", _PROGRAM], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True"] * 4
