from dashboard.heads.page import page

page()
