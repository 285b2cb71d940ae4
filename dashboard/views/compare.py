from dashboard.compare.page import page

page()
