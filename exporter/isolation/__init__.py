"""Runs functions in child processes with limits on memory and time.

`Children` starts them, `child` is their program, and `messages` sends data between them.

Files that strangers write are read here: a damaged or explosive file ends a child, not the service, and takes
the child's memory. Children start on first use, stay warm, are replaced after a fault and end with their
parent.

Not `concurrent.futures`: one dead process breaks its pool, and a call that hangs cannot be ended. Not
`pebble`: it unpickles whatever a child sends, of any size, and `multiprocessing` imports `__main__` again.
"""

from exporter.isolation.children import Children

__all__ = ["Children"]
