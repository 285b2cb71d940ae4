"""Guide: what is shown and how it is defined."""

import pandas as pd
import streamlit as st

from dashboard.links import widgets
from dashboard.samples import SAMPLES
from dashboard.services import catalogue
from vit_engine.trace.statistics import COLUMNS

_TEXT = """
A Vision Transformer cuts a picture into patches and turns each into a *token*; a *CLS token* in front gathers the
whole. In every *layer*, each *head* lets every token look at all others with weights that sum to 1: its *attention*.
The maps show, for one query token, the weights that it gives to the patches.

**The first view** is of DINOv2 ViT-S/14 where its weights are here: a model that was trained on photographs, without
labels. Head 4 of layer 10 keeps to what a picture is of: of its attention for the CLS token, 72 % is on the astronaut's
head, which is 7 % of the picture. The demo models were trained on generated scenes, and follow contrast.

**Query.** CLS to begin with. Click a patch in the large picture to see where that patch attends.

**Layer and head.** The slider and the row of heads, or a click on a small map. Mean, maximum and minimum are taken
over heads, patch by patch. Layers and heads count from 0, as in the API.

**Method.** What the maps are of. The :material/info: beside it says what the method shows, what it takes, where it is
from, and when it misleads.

**Colour.** From 0 to a percentile of the values. On the shared scale the same colour is the same weight in every head
of a layer; on its own scale each head's pattern is seen best.

**Sinks.** An attention sink is a token that at least half of a head's queries give their largest weight to, and that
takes at least twice an even share of the attention. Under the map it is named with what it takes. Set aside, a patch
keeps its weight and gets an outline, and the colours of that head's maps end as if it were not there.

**What a map is worth.** A map that looks right may still show nothing that the model needs. Two measures hold it to
the model and to the picture: under the large map of Explore, by the buttons beside *What is this map worth?*, and the
first of them for all panes of Compare, in its table *Faithfulness*.

**Insertion and deletion.** Patches are put into a blurred picture, or taken out of the picture, from the map's largest
value to its smallest, while the model's score is followed: the probability of a class, or a similarity. An area is the
mean height of that curve. Of insertion a high one is good, for the first patches bring the answer back; of deletion a
low one, for without them it is gone. Beside them stand the same for random orders of the patches, and for the
method's map of the model with randomised weights: a map that does no better has found nothing that the model needs.

**Pointing.** Drag a box around an object, or upload its mask. *Inside* is how much of the map's mass lies in it, and
*× even* how many times as much as of an even map. A *hit* is a map whose largest value lies in the object. *Best IoU*
is the overlap of the object with the map's strongest patches, as intersection over union, at the threshold that suits
the map best: 1 is an exact cut-out, 0 no overlap. All heads are ranked by what they have inside.

**Tokens.** Attention says where a model looks, tokens what it carries on. The first three principal components of a
layer's patch tokens become red, green and blue: patches of one colour carry alike. Components have no sign of their
own, so it is fixed by the neighbouring layers and by where in the picture values are large. Similarity is the cosine of
the angle between two patches' tokens. Two patches of two pictures correspond where each is the other's most similar;
the ratio test keeps those that are clearly nearer than the second best. Tokens have passed the model's final norm,
except where their lengths are shown.

**Compare.** Panes of one picture share one query *point*: each model takes the patch that it falls in. On the shared
scale the same colour is the same attention per area, because a weight is one patch's, and patches differ in size. For
differences and agreement each map is normalised to sum 1 over the patches and brought to a common grid, each patch
shared out by area, so that no mass is lost. A mask is the smallest set of patches that holds the chosen share of the
mass; patches of equal weight stay together.

**Heads.** Distances between heads are Jensen-Shannon divergences of their maps for the query, in bits; groups are
clustered by average linkage on its square root.

**The link** in the address bar reopens exactly this view. An uploaded picture stays with this server for a while.

Nothing here is an approximation: every row is the softmax of the model's own scores, and the statistics are of all
queries of all heads, computed in one streamed pass without ever holding the attention matrix.
"""


def page() -> None:
    widgets.mark()
    st.markdown("#### Guide")
    st.markdown(_TEXT)
    st.markdown("##### Statistics")
    rows = [{"column": column.name, "unit": column.unit, "meaning": column.description} for column in COLUMNS]
    st.table(pd.DataFrame(rows).set_index("column"))
    st.markdown("##### Models")
    st.markdown(
        f"{len(catalogue.models())} are known by name, and others can be opened from their weight files or the Hugging "
        "Face hub. Their page says what each one is, what it costs and what was done with its tensors."
    )
    st.page_link("views/models.py", label="All models", icon=":material/deployed_code:")
    st.markdown("##### Pictures")
    st.markdown("\n".join(f"- {sample.title}: {sample.credit}" for sample in SAMPLES))
