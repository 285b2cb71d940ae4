"""The least that a Streamlit page with a heatmap can be: what opening the dashboard is held against."""

import numpy as np
import plotly.graph_objects as go
import streamlit as st

st.plotly_chart(go.Figure(go.Heatmap(z=np.random.default_rng(0).random((37, 37)))), key="overlay")
