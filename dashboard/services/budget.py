"""How much memory jobs may take side by side."""

import vit_engine as ve


def budget() -> int:
    """Bytes that all jobs together may take; none where the budget that was set is no number: each job tells that."""
    try:
        return ve.memory_budget("auto")
    except ve.VitEngineError:
        return 0
