from dashboard.explore.page import page

page()
