"""What measures of a map's worth say, in words: the dashboard and the command line say the same."""

from typing import Any

import numpy as np
import pandas as pd

from vit_engine.analysis.worth.faithfulness import Faithfulness

CLEARLY = 2  # standard deviations of random orders
GRADES = {1: "better than chance", 0: "not clearly better than chance", -1: "worse than chance"}
_AREAS = ("insertion_area", "deletion_area")


def grade(area: float, random: np.ndarray, *, rising: bool) -> int:
    """1 where an area is better than those of all random orders and by more than their spread; −1 where worse; else 0.

    random: of several orders. rising: whether a large area is good, as that of insertion is.
    """
    gains = (area - random) * (1 if rising else -1)
    beyond = CLEARLY * random.std()
    if gains.min() > 0 and gains.mean() > beyond:
        return 1
    return -1 if gains.max() < 0 and -gains.mean() > beyond else 0


def distance(area: float, random: np.ndarray, *, rising: bool) -> str:
    """How far an area is from the mean of random orders, in their spread: "3.2 standard deviations better".

    "as good" where it is the mean; without a number where all random orders are equal.
    """
    gain, spread = (area - random.mean()) * (1 if rising else -1), random.std()
    if not gain:
        return "as good"
    side = "better" if gain > 0 else "worse"
    return f"{abs(gain) / spread:.1f} standard deviations {side}" if spread else side


def curve_verdict(area: float, random: np.ndarray, *, rising: bool) -> tuple[int, str]:
    """The grade of an area, and a sentence.

    "Better than chance: 3.2 standard deviations better than the mean of 5 random orders."
    """
    verdict, gap = grade(area, random, rising=rising), distance(area, random, rising=rising)
    than = "as" if gap == "as good" else "than"
    return verdict, f"{GRADES[verdict].capitalize()}: {gap} {than} the mean of {len(random)} random orders."


def faithfulness_verdict(measured: Faithfulness, randomised: Faithfulness | None) -> str:
    """Whether the model needs what a map shows, as one sentence, without a capital.

    randomised: of the same method's map of a model with random weights, without random orders; None where there is
    none.
    """
    orders = f"beside {len(measured.random_insertion)} random orders of the patches, {_both(measured, measured)}"
    if randomised is None:
        return f"{orders}."
    return f"{orders}; the same method's map on randomised weights: {_both(randomised, measured)}."


def _both(measured: Faithfulness, reference: Faithfulness) -> str:
    """Both areas of a measurement, beside the random orders of the reference."""
    insertion = measured.insertion_area, reference.random_insertion
    deletion = measured.deletion_area, reference.random_deletion
    parts = [("insertion", *insertion, True), ("deletion", *deletion, False)]
    return ", ".join(
        f"{name} is {GRADES[grade(area, random, rising=rising)]} ({distance(area, random, rising=rising)})"
        for name, area, random, rising in parts
    )


def faithfulness_frame(measured: Faithfulness, randomised: Faithfulness | None) -> pd.DataFrame:
    """One row a step: as Faithfulness.to_frame() has it, and both curves of randomised weights."""
    frame = measured.to_frame()
    if randomised is None:
        return frame
    return frame.assign(randomised_insertion=randomised.insertion, randomised_deletion=randomised.deletion)


def faithfulness_record(measured: Faithfulness, randomised: Faithfulness | None) -> dict[str, Any]:
    """For run.json: the target, areas, those of random orders and of randomised weights, and the verdict."""
    names = (*_AREAS, "insertion_gain", "deletion_gain")
    return {
        "of": measured.score_label,
        "target": measured.target.name,
        "baseline": measured.baseline,
        **{name: getattr(measured, name) for name in names},
        "random_insertion_areas": measured.random_insertion.tolist(),
        "random_deletion_areas": measured.random_deletion.tolist(),
        **{f"randomised_{name}": randomised and getattr(randomised, name) for name in _AREAS},
        "verdict": faithfulness_verdict(measured, randomised),
    }
