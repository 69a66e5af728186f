"""Train an audio tagger from labels you can't trust, find out which labels to trust, and tag sound with it."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .tagging import Tagger as Tagger

__version__ = "0.1.0"
__all__ = ["Tagger", "__version__"]


def __getattr__(name: str) -> Any:
    # Tagger needs torch, which takes seconds to import; `import earwitness` and `--help` do not wait for it.
    if name == "Tagger":
        from .tagging import Tagger

        return Tagger
    raise AttributeError(f"module 'earwitness' has no attribute {name!r}")
